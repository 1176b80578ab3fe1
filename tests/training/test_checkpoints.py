"""How the ranks save together while they train: real processes and files, a conductor that only listens."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from raysgpo.output import checkpoint
from raysgpo.output.whole_file import WriteFailed
from tests.training.conftest import Ranks

pytestmark = pytest.mark.slow

STEP = "step-000003"
FULL = ["0 20000", "1 20000", "0 100"]
"""Whose disk takes no file of how many bytes: none of shards, or not even the model's configuration."""


def shards(place: Path) -> list[str]:
    return sorted(file.name for file in (place / "policy").iterdir())


def test_training_goes_on_while_a_checkpoint_of_its_moment_is_written(ranks: Ranks, tmp_path: Path) -> None:
    first, second = ranks(2, "update", "weights", "slow 1.0", "save 3", "update", "written", "finish", "written")
    for rank in (first, second):
        assert rank["found"][5] == {}, "the update was over before the checkpoint was"
        assert rank["found"][7]["checkpoint/seconds"] > 1
        assert rank["found"][7]["checkpoint/bytes"] == pytest.approx(
            12 * sum(value.numel() for value in first["found"][1].values()), rel=0.01
        )
    assert first["happened"] == [("checkpoint_state", 3), "writing", ("checkpointed", 3)]
    assert second["happened"] == ["writing"]
    made = tmp_path / "checkpoints" / STEP
    assert checkpoint.newest_complete(tmp_path / "checkpoints") == (made, [])
    assert shards(made) == [".metadata", "__0_0.distcp", "__1_0.distcp"], "each rank writes its own"
    assert checkpoint.read_state(made) == {"step": 3, "accuracy": None}
    for world in (1, 4):
        for rank in ranks(world, "restore", "weights", "update"):
            assert rank["found"][0] == 3
            assert all(torch.equal(value, first["found"][1][name]) for name, value in rank["found"][1].items())
            assert rank["found"][2] == pytest.approx(first["found"][4], abs=1e-6)


def test_the_next_checkpoint_waits_for_the_one_before_it_and_each_is_told_of_once(ranks: Ranks) -> None:
    script = ["slow 0.5", "save 3", "save 4", "written", "finish", "written", "written"]
    [only] = ranks(1, *script, config=("checkpoint.keep=1",))
    assert only["found"][3]["checkpoint/seconds"] > 0.5 and only["found"][5]["checkpoint/seconds"] > 0.5
    assert only["found"][6] == {}
    assert only["happened"] == [
        ("checkpoint_state", 3), "writing", ("checkpointed", 3),
        ("checkpoint_state", 4), "writing", ("checkpointed", 4),
    ]  # fmt: skip


@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
def test_an_export_is_made_by_all_ranks_once_the_checkpoint_is_there(dtype: str, ranks: Ranks, tmp_path: Path) -> None:
    first, _ = ranks(2, "update", "weights", "export 3", "finish", config=(f"checkpoint.export_dtype={dtype}",))
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "exports" / STEP)
    number = getattr(torch, dtype)
    assert model.dtype is number
    found = dict(model.named_parameters())
    assert all(torch.equal(found[name], value.to(number)) for name, value in first["found"][1].items())


def test_exports_of_a_way_that_was_gone_back_on_are_no_longer_there(ranks: Ranks, tmp_path: Path) -> None:
    ranks(1, "export 2", "export 3", "export 4", "save 3", "finish")
    assert [entry.name for entry in (tmp_path / "exports").iterdir()] == ["step-000002"]


@pytest.mark.parametrize("full", FULL)
def test_a_checkpoint_waits_for_room_on_whichever_rank_and_says_so_once(
    full: str, ranks: Ranks, tmp_path: Path
) -> None:
    found = ranks(2, "impatient 60", f"full {full}", "save 3", "room_once_said", "finish")
    assert [rank["found"][-1] for rank in found] == [None, None]
    kinds = [one[0] for one in found[0]["happened"]]
    assert kinds == ["checkpoint_state", "say", "checkpointed"]
    said = found[0]["happened"][1][1]
    assert said.startswith(f"{tmp_path}/checkpoints/.{STEP}.partial: ")
    assert "bytes or more could not be written (File too large); the run waits for room" in said
    assert checkpoint.newest_complete(tmp_path / "checkpoints") == (tmp_path / "checkpoints" / STEP, [])


@pytest.mark.parametrize("full", FULL)
def test_one_that_waited_in_vain_ends_the_run_and_leaves_nothing(full: str, ranks: Ranks, tmp_path: Path) -> None:
    found = ranks(2, "save 2", "finish", "impatient 0", f"full {full}", "save 3", "finish", "room")
    for rank in found:
        assert rank["found"][-2].startswith("WriteFailed: ")
        assert rank["found"][-2].endswith("could not be written (File too large)")
    name, failure = found[0]["happened"][-1]
    assert name == "unwritten" and isinstance(failure, WriteFailed)
    assert [entry.name for entry in (tmp_path / "checkpoints").iterdir()] == ["step-000002"]


@pytest.mark.parametrize("killed", [0, 1])
def test_one_that_was_cut_off_is_never_read_and_the_next_cleans_up(killed: int, ranks: Ranks, tmp_path: Path) -> None:
    before, _ = ranks(2, "update", "save 2", "weights", "finish")
    ranks(2, "restore", "update", f"die_in_writing {killed}", "save 3", "finish", status=9)
    partial, there = tmp_path / "checkpoints" / f".{STEP}.partial", checkpoint.steps(tmp_path / "checkpoints")
    assert there == [2]
    assert partial.is_dir() or killed == 1, "rank 0 may have had the time to clean up, but not for itself"
    after, _ = ranks(2, "restore", "weights", "save 3", "finish")
    assert after["found"][0] == 2
    assert all(torch.equal(value, before["found"][2][name]) for name, value in after["found"][1].items())
    left = sorted(entry.name for entry in (tmp_path / "checkpoints").iterdir())
    assert left == ["step-000002", STEP]


@pytest.mark.parametrize("harm", ["missing", "changed"])
def test_a_shard_that_is_lost_or_has_changed_makes_all_ranks_go_back(harm: str, ranks: Ranks, tmp_path: Path) -> None:
    ranks(2, "save 2", "update", "save 3", "finish")
    shard = tmp_path / "checkpoints" / STEP / "policy" / "__1_0.distcp"
    content = bytearray(shard.read_bytes())
    content[-1] ^= 1
    shard.write_bytes(content)
    if harm == "missing":
        shard.unlink()
    first, second = ranks(2, "restore")
    assert (first["found"], second["found"]) == ([2], [2])
    [(name, said)] = first["happened"]
    assert name == "say" and "checkpoint step-000003 cannot be used and was passed over: policy/__1_0.distcp" in said
    assert second["happened"] == [], "rank 0 alone speaks"


def test_without_a_checkpoint_the_run_begins_at_nothing(ranks: Ranks) -> None:
    assert [rank["found"] for rank in ranks(2, "restore")] == [[0], [0]]
