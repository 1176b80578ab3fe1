"""A saved policy goes on exactly where it stopped, and is a Hugging Face checkpoint."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from raysgpo.output.whole_file import WriteFailed
from raysgpo.policy.policy import Policy
from tests.output.full_disk import no_file_beyond
from tests.policy.conftest import Build, Sequences, Shares, Tensors, known

pytestmark = pytest.mark.slow


def weights(policy: Policy) -> Tensors:
    return {name: value.clone() for name, value in policy.weights()}


def assert_equal(found: Tensors, expected: Tensors) -> None:
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)


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
    policy.snapshot().write(tmp_path / "saved")
    expected = [policy.update(share) for share in steps[3:]]

    resumed = build(path, optimizer={"schedule": "cosine", "warmup_steps": 2})
    resumed.load(tmp_path / "saved")
    assert [resumed.update(share) for share in steps[3:]] == expected
    assert_equal(weights(resumed), weights(policy))


@pytest.mark.parametrize("architecture", ["qwen2", "qwen3"])
def test_it_is_a_hugging_face_checkpoint_with_its_tokenizer(
    architecture: str,
    request: pytest.FixtureRequest,
    build: Build,
    sequences: Sequences,
    shares: Shares,
    tmp_path: Path,
) -> None:
    path = request.getfixturevalue(architecture)
    policy = build(path)
    policy.update(shares(sequences(5, seed=0))[0])
    policy.snapshot().write(tmp_path / "saved")
    saved = AutoModelForCausalLM.from_pretrained(tmp_path / "saved")
    assert_equal(dict(saved.named_parameters()), weights(policy))
    assert (tmp_path / "saved" / "tokenizer.json").read_text() == '{"stands for": "a tokenizer"}'
    assert (tmp_path / "saved" / "chat_template.jinja").read_text() == "{{ messages }}"
    again = build(str(tmp_path / "saved"))
    assert_equal(weights(again), weights(policy))


def test_a_policy_that_never_made_an_update_can_be_saved(
    qwen2: str, build: Build, sequences: Sequences, shares: Shares, tmp_path: Path
) -> None:
    policy, share = build(qwen2), shares(sequences(4, seed=1))[0]
    policy.snapshot().write(tmp_path)
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
    policy.snapshot().write(tmp_path)
    resumed = build(qwen2, kl=0.1, lr=1e-2)
    resumed.load(tmp_path)
    kl = known(resumed.update(steps[1]), "policy/kl")
    assert kl > 1e-3
    assert kl == policy.update(steps[1])["policy/kl"]


def test_on_a_full_disk_the_error_has_path_and_bytes_whichever_file_it_is(
    qwen2: str, build: Build, sequences: Sequences, shares: Shares, tmp_path: Path
) -> None:
    policy = build(qwen2)
    policy.update(shares(sequences(4, seed=1))[0])
    policy.snapshot().write(tmp_path / "whole")
    sizes = {file.name: file.stat().st_size for file in (tmp_path / "whole").iterdir()}
    assert sizes["config.json"] < sizes["model.safetensors"] < sizes["optimizer.pt"]
    for room in (10, sizes["config.json"] + 10, sizes["model.safetensors"] + 10, sizes["optimizer.pt"] - 10):
        with (
            no_file_beyond(room),
            pytest.raises(WriteFailed, match=r"full: [\d,]+ bytes or more .* \(File too large\)"),
        ):
            policy.snapshot().write(tmp_path / "full")
    with no_file_beyond(sizes["optimizer.pt"]):
        policy.snapshot().write(tmp_path / "full")


def test_a_folder_that_holds_no_policy_is_named(qwen2: str, build: Build, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"optimizer\.pt"):
        build(qwen2).load(tmp_path)


REFUSED = """{"do_sample": false, "eos_token_id": 260, "pad_token_id": 256, "temperature": 0.6, "top_p": 0.9}"""
"""Settings of generation that transformers loads and refuses to save."""


def test_settings_of_generation_that_transformers_refuses_to_save_are_saved_as_they_were(
    qwen2: str, build: Build, sequences: Sequences, shares: Shares, tmp_path: Path
) -> None:
    model = tmp_path / "model"
    shutil.copytree(qwen2, model)
    (model / "generation_config.json").write_text(REFUSED)
    with pytest.raises(ValueError, match="Fix these issues to save"):
        AutoModelForCausalLM.from_pretrained(model).save_pretrained(tmp_path / "refused")
    policy = build(str(model))
    policy.update(shares(sequences(5, seed=0))[0])
    policy.snapshot().write(tmp_path / "saved")
    assert (tmp_path / "saved" / "generation_config.json").read_text() == REFUSED
    resumed = build(str(model))
    resumed.load(tmp_path / "saved")
    resumed.snapshot().write(tmp_path / "again")
    assert_equal(weights(build(str(tmp_path / "again"))), weights(policy))


def test_settings_of_generation_that_stand_in_the_models_own_are_no_loss_either(
    qwen2: str, build: Build, tmp_path: Path
) -> None:
    model = tmp_path / "model"
    shutil.copytree(qwen2, model)
    (model / "generation_config.json").unlink()
    config = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(json.dumps({**config, "temperature": 0.6, "eos_token_id": 260}))
    build(str(model)).snapshot().write(tmp_path / "saved")
    assert json.loads((tmp_path / "saved" / "generation_config.json").read_text())["eos_token_id"] == 260
