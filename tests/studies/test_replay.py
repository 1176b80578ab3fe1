"""A replay does what the trainer did, from a run folder alone: same losses, also from a checkpoint."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist

from raysgpo.config import AlgorithmConfig, Config, OptimizerConfig, RecordsConfig
from raysgpo.config.overrides import dump
from raysgpo.output.group_json import group_row
from raysgpo.output.json_lines import JsonLines
from raysgpo.output.run_folder import RunFolder
from raysgpo.output.update_metrics import over_updates
from raysgpo.policy.policy import Policy
from raysgpo.policy.shares import step_shares
from raysgpo.records import Drop, Group, Problem, Role, Rollout, Segment
from raysgpo.studies.replay import ReplayedStep, replay
from raysgpo.tiny.tiny_model import build_tiny_model, save_tiny_model
from raysgpo.tiny.tiny_policy import TinyConfig
from tests.output.checkpoints import write_checkpoint
from tests.policy.conftest import saved
from tests.resolved import resolved

pytestmark = pytest.mark.slow

UPDATES = 2
STEPS, SAVED, SILENT = 4, 2, 1
"""Steps of the recorded run; the one with a checkpoint; the one whose groups were all dropped."""


@pytest.fixture(scope="module")
def alone() -> Iterator[None]:
    """The process group that a policy needs, unless another test left one for the whole session."""
    if dist.is_initialized():
        yield
        return
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def recorded(alone: None, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A run without sampling: random off-policy groups, trained on by a policy and recorded."""
    folder = tmp_path_factory.mktemp("recorded")
    tiny = TinyConfig(hidden_size=32, intermediate_size=48, heads=2, max_length=64)
    torch.manual_seed(0)
    save_tiny_model(build_tiny_model(tiny.shape), tiny, folder / "model")
    config = Config(
        model=str(folder / "model"),
        steps=STEPS,
        prompts_per_step=2,
        storage=str(folder),
        algorithm=AlgorithmConfig(aggregation="sequence-mean", kl_coefficient=0.1),
        optimizer=OptimizerConfig(lr=1e-2, schedule="linear", updates_per_step=UPDATES),
        records=RecordsConfig(tokens=True),
    )
    run = RunFolder.create(config.storage_root, "recorded")
    run.config.write_text(dump(config))
    policy = Policy.build(
        config.model,
        resolved(config).trainer,
        config.optimizer,
        config.algorithm,
        config.sampling.temperature,
        STEPS * UPDATES,
        world=1,
    )
    draw = np.random.default_rng(1)
    metrics, groups = JsonLines(run.metrics), JsonLines(run.groups)
    for step in range(STEPS):
        if step == SAVED:
            write_checkpoint(run.checkpoints, step, partial(saved, policy), keep=9)
        drawn = [random_group(draw, 2 * step + index, step) for index in range(2)]
        if step == SILENT:
            drawn = [replace(group, dropped=Drop.NO_SIGNAL) for group in drawn]
        row = over_updates(
            [(policy.update(share), share.num_tokens) for [share] in step_shares(step, drawn, config, world=1)]
        )
        for group in drawn:
            groups.write(group_row(group, tokens=True))
        metrics.write({"step": step, **row})
    return run


def random_group(draw: np.random.Generator, position: int, step: int) -> Group:
    return Group(
        position=position,
        step=step,
        epoch=0,
        problem=Problem(f"p{position}", "?", "!"),
        rollouts_G=tuple(random_rollout(draw, number) for number in range(3)),
    )


def random_rollout(draw: np.random.Generator, number: int) -> Rollout:
    length = int(draw.integers(2, 9))
    return Rollout(
        segments=(
            Segment.given(Role.PROMPT, draw.integers(0, 256, 3).astype(np.int32)),
            Segment.sampled(
                draw.integers(0, 256, length).astype(np.int32), draw.normal(-5.5, 0.2, length).astype(np.float32)
            ),
        ),
        text="",
        finish_reason="stop",
        seed=number,
        weight_versions=((0, length),),
        reward_parts={"correctness": 1.0},
        advantage=float(draw.normal()),
    )


def check(rows: list[ReplayedStep], first: int) -> None:
    assert [row.step for row in rows] == list(range(first, STEPS))
    for row in rows:
        assert (row.loss is None) == (row.recorded is None) == (row.step == SILENT)
        assert row.difference <= 1e-6
    assert min(abs(row.recorded) for row in rows if row.recorded is not None) > 1e-3, "a loss of 0 shows nothing"


def test_a_replay_gives_the_recorded_losses(recorded: RunFolder) -> None:
    check(list(replay(recorded)), 0)


def test_a_replay_goes_on_from_a_checkpoint(recorded: RunFolder) -> None:
    check(list(replay(recorded, SAVED)), SAVED)


def test_a_changed_policy_shows_from_the_next_update_on(recorded: RunFolder, tmp_path: Path) -> None:
    copy = RunFolder(shutil.copytree(recorded.path, tmp_path / "run"))
    text = copy.config.read_text()
    assert "lr: 0.01" in text
    copy.config.write_text(text.replace("lr: 0.01", "lr: 0.02"))
    differences = {row.step: row.difference for row in replay(copy)}
    assert all(differences[step] > 1e-4 for step in range(STEPS) if step != SILENT), (
        "the second update of step 0 has it"
    )


def test_a_step_that_was_cut_off_before_its_metrics_is_left_out(recorded: RunFolder, tmp_path: Path) -> None:
    copy = RunFolder(shutil.copytree(recorded.path, tmp_path / "run"))
    lines = copy.metrics.read_text().splitlines(keepends=True)
    copy.metrics.write_text("".join(lines[:-1]) + lines[-1][:-5])
    assert [row.step for row in replay(copy)] == list(range(STEPS - 1))


def test_what_cannot_be_replayed_is_said(recorded: RunFolder, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no checkpoint of step 3; there are: 2 \(checkpoint\.every"):
        replay(recorded, 3)
    copy = RunFolder(shutil.copytree(recorded.path, tmp_path / "run"))
    group = random_group(np.random.default_rng(0), 0, 0)
    copy.groups.unlink()
    JsonLines(copy.groups).write(group_row(group))
    with pytest.raises(ValueError, match=r"position 0 was recorded without tokens: set records\.tokens=true"):
        replay(copy)
    copy.groups.unlink()
    with pytest.raises(ValueError, match="no group with a rollout was recorded"):
        replay(copy)
    copy.metrics.unlink()
    with pytest.raises(ValueError, match="no step from 0 on was recorded"):
        replay(copy)


def test_a_step_that_only_one_side_updated_differs_without_bound() -> None:
    assert ReplayedStep(0, None, None).difference == 0
    assert ReplayedStep(0, 0.5, None).difference == ReplayedStep(0, None, 0.5).difference == float("inf")
