"""A conductor whose trainer is a test: it decides when what happens."""

from __future__ import annotations

import contextlib
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import ray

from raysgpo.conductor.conductor import Conductor
from raysgpo.conductor.live_source import LiveSource
from raysgpo.conductor.messages import Decision, TrainReport
from raysgpo.config import Config
from raysgpo.config.overrides import resolve
from raysgpo.groups.order import Order, rollout_seeds
from raysgpo.groups.prepared import Prepared, Prompt, StartState
from raysgpo.guidance.trajectory import Trajectory
from raysgpo.judging.address import JudgeAddress
from raysgpo.output.metrics import Metrics
from raysgpo.output.run_folder import RunFolder
from raysgpo.policy.sequences import Share
from raysgpo.records import Problem, SampleRequest
from raysgpo.seeds import derive_seed
from raysgpo.serving.handle import RolloutService
from raysgpo.tasks.arithmetic import ArithmeticTask
from raysgpo.tasks.task import Task
from tests.conductor.fake_rollout import FakeHandle, FakeRollout
from tests.patience import PATIENCE
from tests.resolved import resolved

SMALL = """prompts_per_step=2 sampling.group_size=2 task.prompts=5 task.terms=3 evaluation.prompts=3 evaluation.every=2
checkpoint.every=2 rollout.attempts=2 rollout.start_deadline=10 rollout.token_deadline=20 algorithm=sgpo""".split()

RUN_ID = ""
"""Of replicas that were started for no run."""
SETTLE = 0.4
"""Seconds in which a position that may start would have started."""


def settings(*words: str) -> Config:
    return resolve({}, overrides=[*SMALL, *words])


def seeds_at(config: Config, prepared: Prepared, position: int) -> tuple[int, ...]:
    """The seeds of a position, worked out anew."""
    epoch, index = Order(len(prepared.train), config.seed).at(position)
    problem = prepared.train[index].problem
    return rollout_seeds(config.seed, epoch, problem.id, config.sampling.group_size)


def prepared_for(config: Config, steps: int, task: Task | None = None) -> Prepared:
    task = task or ArithmeticTask(config.task, config.evaluation.most_prompts)
    train, held_out = ([byte_prompt(problem) for problem in part] for part in (task.train, task.held_out))
    return Prepared(resolved(config), task, train, held_out, steps)


def byte_prompt(problem: Problem) -> Prompt:
    """A token is a byte; the first line of the reference may be given."""
    ids = list(problem.prompt.encode())
    line = (problem.reference or "").partition("\n")[0] + "\n"
    ids_T = np.frombuffer(line.encode(), dtype=np.uint8).astype(np.int32)
    return Prompt(problem, ids, Trajectory(ids_T, np.arange(1, len(line) + 1, dtype=np.int32), line, at=len(ids)))


class FakeRun:
    """A conductor with a real stream, and a trainer whose every word the test says."""

    def __init__(
        self,
        folder: Path,
        steps: int,
        *words: str,
        start: StartState | None = None,
        held: tuple[int, ...] = (),
        broken: tuple[int, ...] = (),
        task: Task | None = None,
        rollout: Any = None,
        judge: JudgeAddress | None = None,
        hopeless: bool = False,
        hold_evaluation: bool = False,
    ) -> None:
        """``held`` and ``broken`` name positions; a held one is answered after `release`, and so is evaluation."""
        self.config = settings(*words)
        self.prepared = prepared_for(self.config, steps, task)
        self.folder = RunFolder(folder)
        start = start or StartState()
        self.version = start.version
        self.shares: dict[int, Share] = {}
        """What each step was, the last time it was asked for."""
        self._own = rollout is None
        self.rollout = rollout or ray.remote(FakeRollout).options(num_cpus=0, max_concurrency=20_000).remote(
            [*(self.seeds(position) for position in held), *(self._evaluation() if hold_evaluation else ())],
            [self.seeds(position) for position in broken],
            hopeless,
        )
        actor = ray.remote(Conductor).options(num_cpus=0)
        handle: Any = FakeHandle(self.rollout) if self._own else self.rollout
        source = partial(LiveSource, rollout=RolloutService(handle, RUN_ID), judge=judge)
        self.conductor = actor.remote(self.prepared, self.folder, start, source)
        self.call("start", self.conductor)

    def seeds(self, position: int) -> tuple[int, ...]:
        return seeds_at(self.config, self.prepared, position)

    def _evaluation(self) -> list[tuple[int, ...]]:
        """The seeds of every held-out prompt."""
        return [(derive_seed("evaluation", self.config.seed, p.problem.id),) for p in self.prepared.held_out]

    def evaluating(self) -> None:
        """Waits until a held-out prompt is asked for."""
        until = time.monotonic() + PATIENCE
        while not any(len(r.seeds_G) == 1 for _, r in ray.get(self.rollout.requests.remote(), timeout=PATIENCE)):
            assert time.monotonic() < until, "nobody evaluates"
            time.sleep(0.05)

    def call(self, name: str, *arguments: Any) -> Any:
        return ray.get(getattr(self.conductor, name).remote(*arguments), timeout=PATIENCE)

    def publish(self, step: int) -> int:
        """New weights, with ``step`` optimizer steps, are on the fake rollout and known to the conductor."""
        self.version = self.call("next_version", step)
        if self._own:
            ray.get(self.rollout.set_version.remote(self.version), timeout=PATIENCE)
        self.call("published", self.version, step, 1)
        return self.version

    def step(self, step: int) -> Share:
        [share] = self.call("step", step, 0, 1)
        assert isinstance(share, Share)
        self.shares[step] = share
        return share

    def trained(self, step: int, version: int | None = None, sync: Metrics | None = None) -> Decision:
        decision: Decision = ray.get(self.begin_trained(step, version, sync), timeout=120)
        return decision

    def begin_trained(self, step: int, version: int | None = None, sync: Metrics | None = None) -> Any:
        """The reference of the decision that ``trained`` waits for. ``sync``: what the push of the weights found."""
        now = time.time()
        report = TrainReport(
            metrics={"policy/loss": 0.5, **(sync or {})},
            version=version or self.version,
            wait=(now, now),
            train=(now, now),
            sync=(now, now),
        )
        return self.conductor.trained.remote(step, report)

    def whole_step(self, step: int) -> Decision:
        self.step(step)
        self.publish(step + 1)
        return self.trained(step)

    def release(self) -> None:
        ray.get(self.rollout.release.remote(), timeout=PATIENCE)

    def asks_for(self, count: int) -> None:
        """Waits until the first ``count`` positions are asked for, and sees that no other is."""
        until = time.monotonic() + PATIENCE
        while len(self.asked()) < count:
            assert time.monotonic() < until, f"asked for {sorted(self.asked())} alone"
            time.sleep(0.05)
        time.sleep(SETTLE)
        assert set(self.asked()) == set(range(count))

    def asked(self) -> dict[int, SampleRequest]:
        """Position to its first request; evaluation's have one seed and are left out."""
        count = self.prepared.total_steps * self.config.prompts_per_step * self.config.refill_limit
        positions = {self.seeds(position): position for position in range(count)}
        found: dict[int, SampleRequest] = {}
        for _, request in ray.get(self.rollout.requests.remote(), timeout=PATIENCE):
            if request.seeds_G in positions:
                found.setdefault(positions[request.seeds_G], request)
        return found

    def close(self) -> None:
        with contextlib.suppress(ray.exceptions.RayActorError):
            self.call("close")
        for actor in (self.conductor, self.rollout) if self._own else (self.conductor,):
            ray.kill(actor)
