"""A saved policy goes on exactly where it stopped."""

from __future__ import annotations

import json
import shutil
import threading
from pathlib import Path

import pytest
import torch

from raysgpo.output.whole_file import WriteFailed
from raysgpo.policy.model import build_causal
from raysgpo.policy.snapshot import Stager, check_fit
from tests.output.full_disk import no_file_beyond
from tests.policy.conftest import Build, Sequences, Shares, known, saved
from tests.policy.tensors import Tensors, assert_equal, weights

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("architecture", ["qwen2", "qwen3"])
def test_training_goes_on_as_if_it_had_never_stopped(
    architecture: str,
    request: pytest.FixtureRequest,
    build: Build,
    sequences: Sequences,
    shares: Shares,
    tmp_path: Path,
) -> None:
    path = request.getfixturevalue(architecture)
    steps = [shares(sequences(5, seed=k), step=k)[0] for k in range(5)]
    policy = build(path, optimizer={"schedule": "cosine", "warmup_steps": 2})
    for share in steps[:3]:
        policy.update(share)
    saved(policy, tmp_path / "saved")
    expected = [policy.update(share) for share in steps[3:]]

    resumed = build(path, optimizer={"schedule": "cosine", "warmup_steps": 2})
    resumed.load(tmp_path / "saved")
    assert [resumed.update(share) for share in steps[3:]] == expected
    assert_equal(weights(resumed), weights(policy))


def test_a_policy_that_never_made_an_update_can_be_saved(
    qwen2: str, build: Build, sequences: Sequences, shares: Shares, tmp_path: Path
) -> None:
    policy, share = build(qwen2), shares(sequences(4, seed=1))[0]
    saved(policy, tmp_path)
    resumed = build(qwen2)
    resumed.load(tmp_path)
    assert resumed.update(share) == policy.update(share)
    assert_equal(weights(resumed), weights(policy))


def test_the_kl_reference_stays_the_starting_policy_after_a_resume(
    qwen2: str, build: Build, sequences: Sequences, shares: Shares, tmp_path: Path
) -> None:
    steps = [shares(sequences(5, seed=k))[0] for k in range(2)]
    policy = build(qwen2, kl=0.1, lr=1e-2)
    policy.update(steps[0])
    saved(policy, tmp_path)
    resumed = build(qwen2, kl=0.1, lr=1e-2)
    resumed.load(tmp_path)
    kl = known(resumed.update(steps[1]), "policy/kl")
    assert kl > 1e-3
    assert kl == policy.update(steps[1])["policy/kl"]


def test_what_is_copied_is_the_moment_of_the_snapshot(
    qwen2: str, build: Build, sequences: Sequences, shares: Shares, tmp_path: Path
) -> None:
    """Later updates wait for the copy, and what is written after them is what was copied before them."""
    policy, share = build(qwen2), shares(sequences(4, seed=1))[0]
    policy.update(share)
    then, snapshot = weights(policy), policy.snapshot()
    updated = threading.Thread(target=policy.update, args=(share,))
    updated.start()
    updated.join(0.5)
    assert updated.is_alive()
    assert_equal(weights(policy), then)
    snapshot.stage(Stager())
    updated.join(60)
    assert not updated.is_alive()
    snapshot.write(tmp_path)
    resumed = build(qwen2)
    resumed.load(tmp_path)
    assert_equal(weights(resumed), then)
    assert not all(torch.equal(value, then[name]) for name, value in weights(policy).items())


def test_a_copy_that_fails_holds_no_update_up(qwen2: str, build: Build, sequences: Sequences, shares: Shares) -> None:
    class Broken(Stager):
        def copy(self, tensors: Tensors) -> Tensors:
            raise MemoryError("no room in memory")

    policy = build(qwen2)
    with pytest.raises(MemoryError):
        policy.snapshot().stage(Broken())
    policy.update(shares(sequences(4, seed=1))[0])


def test_on_a_full_disk_the_error_has_path_and_bytes_whichever_file_it_is(
    qwen2: str, build: Build, sequences: Sequences, shares: Shares, tmp_path: Path
) -> None:
    policy = build(qwen2)
    policy.update(shares(sequences(4, seed=1))[0])
    saved(policy, tmp_path / "whole")
    sizes = {file.name: file.stat().st_size for file in (tmp_path / "whole").rglob("*") if file.is_file()}
    assert sizes["config.json"] < sizes[".metadata"] < sizes["__0_0.distcp"]
    for room in (10, sizes["config.json"] + 10, sizes["config.json"] + 4096, sizes["__0_0.distcp"] - 10):
        shutil.rmtree(tmp_path / "full", ignore_errors=True)
        with (
            no_file_beyond(room),
            pytest.raises(WriteFailed, match=r"full: [\d,]+ bytes or more .* \(File too large\)"),
        ):
            saved(policy, tmp_path / "full")
    with no_file_beyond(sizes["__0_0.distcp"]):
        saved(policy, tmp_path / "full")


def test_a_folder_that_holds_no_policy_is_named(qwen2: str, build: Build, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"holds no policy/\.metadata: it is not a checkpoint of a run"):
        build(qwen2).load(tmp_path)


def test_a_missing_shard_is_an_error_and_no_half_policy(qwen2: str, build: Build, tmp_path: Path) -> None:
    saved(build(qwen2), tmp_path)
    (tmp_path / "policy" / "__0_0.distcp").unlink()
    with pytest.raises(FileNotFoundError, match=r"__0_0\.distcp"):
        build(qwen2).load(tmp_path)


def test_a_checkpoint_of_another_model_is_refused_with_what_differs(
    qwen2: str, qwen3: str, build: Build, tmp_path: Path
) -> None:
    saved(build(qwen2), tmp_path / "two")
    saved(build(qwen3), tmp_path / "three")
    with pytest.raises(ValueError, match=r"weight of the shape .* is not in it; it is of another model"):
        check_fit(tmp_path / "two", build_causal(qwen3, "eager"))
    deeper = tmp_path / "deeper"
    shutil.copytree(qwen2, deeper)
    settings = json.loads((deeper / "config.json").read_text())
    for layers, message in (
        (3, r"layers\.2\..* is not in it"),
        (1, r"holds model\.model\.layers\.1\..*, which the model"),
    ):
        changed = {**settings, "num_hidden_layers": layers}
        changed.pop("layer_types", None)
        (deeper / "config.json").write_text(json.dumps(changed))
        with pytest.raises(ValueError, match=message):
            check_fit(tmp_path / "two", build_causal(str(deeper), "eager"))
    (deeper / "config.json").write_text(json.dumps({**settings, "intermediate_size": 24}))
    with pytest.raises(ValueError, match=r"gate_proj\.weight of the shape \[24, 32\] has the shape \[48, 32\] there"):
        check_fit(tmp_path / "two", build_causal(str(deeper), "eager"))
    check_fit(tmp_path / "two", build_causal(qwen2, "eager"))
