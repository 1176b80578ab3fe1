"""Training again on the recorded groups of a run: no engine, no Ray, one process.

What the trainer reads of a group stands in ``groups.jsonl`` (with ``records.tokens=true``), so the
recorded losses come out again; where they do not, the trainer has changed, and not the sampling.
"""

from __future__ import annotations

from collections.abc import Container, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import torch
import torch.distributed as dist

from raysgpo.config import Config
from raysgpo.config.overrides import load, resolve
from raysgpo.output import checkpoint
from raysgpo.output.group_json import group_from_row
from raysgpo.output.json_lines import read_rows
from raysgpo.output.run_folder import RunFolder
from raysgpo.output.update_metrics import over_updates
from raysgpo.policy.model_size import parameters
from raysgpo.policy.policy import Policy
from raysgpo.policy.shares import step_shares
from raysgpo.records import Group
from raysgpo.start.machine import Machine, with_machine
from raysgpo.start.preparation import find_model, model_settings, prepare


@dataclass(frozen=True, slots=True)
class ReplayedStep:
    """``ReplayedStep(step=3, loss=-0.0125, recorded=-0.0125)``; both None: the step had no group to train on."""

    step: int
    loss: float | None
    recorded: float | None

    @property
    def difference(self) -> float:
        """|loss - recorded|; infinite if only one of the two made an update."""
        if self.loss is None or self.recorded is None:
            return 0.0 if self.loss is self.recorded else float("inf")
        return abs(self.loss - self.recorded)


def replay(run: RunFolder, first_step: int = 0) -> Iterator[ReplayedStep]:
    """Train on the recorded steps from ``first_step`` on, beginning with the policy that the run had there.

    That is the run's own model for step 0, else the checkpoint of that step.

    Raises:
        ValueError: nothing was recorded from there on, it was recorded without tokens, or there is
            no checkpoint of ``first_step``.
    """
    losses = {row["step"]: row.get("policy/loss") for row in read_rows(run.metrics) if row["step"] >= first_step}
    start = _checkpoint(run, first_step) if first_step else None
    if not losses:
        raise ValueError(f"{run.path}: no step from {first_step} on was recorded")
    _require_tokens(run)
    return _train(run, start, losses)


def _train(run: RunFolder, start: Path | None, losses: dict[int, float | None]) -> Iterator[ReplayedStep]:
    config = resolve(load(run.config))
    with alone():
        policy = _policy(config)
        if start is not None:
            policy.load(start)
        for step, groups in _recorded(run, losses):
            updates = step_shares(step, groups, config, world=1)
            metrics = over_updates([(policy.update(share), share.num_tokens) for [share] in updates])
            yield ReplayedStep(step, metrics["policy/loss"], losses[step])


def _checkpoint(run: RunFolder, step: int) -> Path:
    try:
        return checkpoint.of_step(run.checkpoints, step)
    except ValueError as error:
        hint = "(checkpoint.every and checkpoint.keep say which are made and stay)"
        raise ValueError(f"{run.path}: {error} {hint}") from None


def _require_tokens(run: RunFolder) -> None:
    """Raises before the model is loaded; a group that was never sampled tells nothing."""
    for row in read_rows(run.groups):
        if row["rollouts"]:
            group_from_row(row)
            return
    raise ValueError(f"{run.groups}: no group with a rollout was recorded")


def _recorded(run: RunFolder, steps: Container[int]) -> Iterator[tuple[int, list[Group]]]:
    """The groups of those steps, read as they are needed; they were written in this order."""
    rows = (row for row in read_rows(run.groups) if row["step"] in steps)
    for step, groups in groupby(rows, key=lambda row: row["step"]):
        yield step, [group_from_row(row) for row in groups]


def _policy(config: Config) -> Policy:
    def quiet(message: str) -> None:
        del message

    steps = config.steps if config.steps is not None else prepare(config, say=quiet).total_steps
    model = find_model(config, say=print)
    config = with_machine(config, parameters(model_settings(model)), Machine.here())
    return Policy.build(
        model,
        config.trainer,
        config.optimizer,
        config.algorithm,
        config.sampling.temperature,
        total_updates=steps * config.optimizer.updates_per_step,
        world=1,
    )


@contextmanager
def alone() -> Iterator[None]:
    """A process group of this process alone, which the policy's collectives need; one that is there will do."""
    if dist.is_initialized():
        assert dist.get_world_size() == 1, "a replay runs in one process"
        yield
        return
    backend = "nccl" if torch.cuda.is_available() else "gloo"
    dist.init_process_group(backend, store=dist.HashStore(), rank=0, world_size=1)
    try:
        yield
    finally:
        dist.destroy_process_group()
