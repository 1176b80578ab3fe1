"""The conductor: one actor that knows where the run stands.

    who            | asks for        | waits for                         | unblocked by
    ---------------|-----------------|-----------------------------------|---------------------------
    group worker   | admit(...)      | the window to move                | trained(step), after weights landed
    group worker   | beat(...)       | nothing                           |
    trainer ranks  | publishing_open | whoever takes the weights         | the run
    trainer rank   | step(k)         | the P groups of step k            | the stream
    trainer rank 0 | trained(k)      | records and, when due, evaluation | the rollout replicas
    other ranks    | decision(k)     | trained(k) of rank 0              | rank 0
    run            | status()        | nothing                           |

One call of each worker process waits, whatever the number of its positions: Ray answers a thousand at a time.
Positions are slots: ``admit`` may be asked twice (Ray Data re-runs tasks), ``step`` gives the same
groups if it is asked again, and groups stay until a checkpoint covers them. So a dead train worker
loses nothing.
"""

from __future__ import annotations

import asyncio
import gc
import time
from typing import Any

from raysgpo.conductor.evaluation import evaluation_due
from raysgpo.conductor.handle import ConductorHandle
from raysgpo.conductor.idle_cores import IdleCores
from raysgpo.conductor.issued_steps import IssuedSteps
from raysgpo.conductor.judge_account import JudgeAccount
from raysgpo.conductor.messages import Admission, Decision, Status, TrainReport
from raysgpo.conductor.progress import Progress, due
from raysgpo.conductor.reporter import Reporter
from raysgpo.conductor.run_state import RunState
from raysgpo.conductor.source import SourceFactory
from raysgpo.conductor.versions import Versions
from raysgpo.config.run_name import plain_name
from raysgpo.groups.prepared import Prepared, StartState
from raysgpo.groups.tickets import Tickets
from raysgpo.groups.window import run_window
from raysgpo.output import checkpoint
from raysgpo.output.metrics import (
    Interval,
    Metrics,
    Solved,
    group_metrics,
    guidance_metrics,
    success_metrics,
    time_metrics,
)
from raysgpo.output.prometheus import REPLICAS_WANTED, STEPS_PLANNED, run_info
from raysgpo.output.replica_count import ReplicaCount, replica_metrics
from raysgpo.output.run_folder import RunFolder
from raysgpo.output.step_warnings import missed_sync, step_warnings
from raysgpo.output.whole_file import WriteFailed
from raysgpo.policy.sequences import Share
from raysgpo.policy.shares import Logprobs
from raysgpo.stores.record_upload import RecordUpload

RARE = 1_000
"""Collections of the middle generation from one of everything to the next, where Python has 10."""


class Conductor:
    """Owns the order of prompts, the window, the steps as they were issued, and the records."""

    def __init__(self, prepared: Prepared, run: RunFolder, start: StartState, source: SourceFactory) -> None:
        config = prepared.config
        self._config, self._run = config, plain_name(run.path.name)
        account = JudgeAccount(run)
        start = account.brought_up_to_date(start)
        algorithm = config.algorithm
        facts = {
            STEPS_PLANNED: prepared.total_steps,
            REPLICAS_WANTED: config.rollout.replicas[0],
            run_info(algorithm.baseline, algorithm.partial_credit.kind): 1.0,
        }
        sizes, sets = start.sizes, bool(prepared.sets)
        self._reporter = Reporter(run, start.step, config.records.tokens, start.messages, sizes, facts, sets)
        self._upload = None if run.store is None else RecordUpload(run, self._reporter.sizes(start.step), self.say)
        self._window = run_window(config, start.step, start.position, prepared.total_steps)
        self._idle = IdleCores()
        self._tickets = Tickets(prepared, start, self._window, account.write)
        self._versions = Versions(start.version)
        self._progress = Progress(prepared.total_steps, trained=start.step)
        self._replicas = ReplicaCount(config.rollout.replicas)
        self._state = RunState(prepared, self._window, self._tickets, self._versions, self._progress, self.say)
        self._source = source(self._state)
        self._issued = IssuedSteps(config, self._versions, run.issued)
        self._decisions: dict[int, Decision] = {}
        self._leaving: set[str] = set()
        self._recording: asyncio.Task[Decision] | None = None
        self._solved = Solved(set(start.solved))
        self._covered = start.step
        self._publishing = asyncio.Event()
        self._issuing = asyncio.Lock()

    def __repr__(self) -> str:
        """What the Ray dashboard calls the actor."""
        return f"conductor of {self._run}"

    # --- who makes the groups ---

    async def start(self, myself: ConductorHandle) -> None:
        """Begin. ``myself``: this actor's handle, for the group workers."""
        _collect_rarely()
        await self._source.start(myself)

    async def admit(self, positions: list[int], seen: int | None) -> Admission:
        """See ``GroupSource.admit``."""
        return await self._source.admit(positions, seen)

    async def dropped(self, position: int) -> None:
        """See ``GroupSource.dropped``."""
        await self._source.dropped(position)

    async def beat(self, name: str, worker: Any, ago: float) -> None:
        """See ``GroupSource.beat``."""
        self._source.beat(name, worker, ago)

    # --- the trainer ---

    def open_publishing(self) -> None:
        """Whoever takes the weights is there."""
        self._publishing.set()

    async def publishing_open(self) -> None:
        """Wait until weights may be published."""
        await self._publishing.wait()

    def next_version(self, step: int) -> int:
        """The number of weights with ``step`` optimizer steps that are about to be published.

        Whoever is about to publish waits for no record: one that is under way belongs to workers that died, and
        its evaluation would be answered by these weights.
        """
        if self._recording is not None:
            self._recording.cancel()
        return self._versions.give_out(step)

    async def published(self, version: int, step: int, ranks: int) -> None:
        """Weights of ``version``, which have ``step`` optimizer steps, are on the replicas.

        After a trainer's restart ``step`` lies before the steps done so far: the window closes
        until the replayed steps have caught up. ``ranks``: of the trainer, for the console.
        """
        if self._versions.land(version, step):
            count = f", {ranks} of them," if self._config.trainer.elastic else ""
            self.say(
                f"the train workers were started again{count} and go on after step {step} (weight version {version})"
            )
        self._window.rewind(step)
        while self._decisions and next(reversed(self._decisions)) >= step:
            self._decisions.popitem()  # they stand in the order of their steps
        await self._state.notify()

    async def step(self, step: int, rank: int, world: int) -> list[Share]:
        """The shares of a rank in the updates of a step; waits until all groups of the step are here.

        Raises:
            RuntimeError: its groups will never come, or a checkpoint covers the step and they are gone.
        """
        if step < self._covered:
            raise RuntimeError(
                f"step {step} was asked for again, but the groups before step {self._covered} are gone, since a "
                "checkpoint covered them; is that checkpoint corrupt? Resume the run: it samples them again"
            )
        self._progress.phase = "sampling"
        async with self._issuing:  # all ranks ask; one of them waits for the groups
            if step not in self._issued:
                self._issued.add(step, await self._source.groups(step), world)
        self._progress.phase = "training"
        return self._issued.shares(step, rank, world)

    def unscored(self, batch: int, rank: int, world: int) -> Share | None:
        """See ``GroupSource.unscored``."""
        return self._source.unscored(batch, rank, world)

    def scored(self, batch: int, rank: int, world: int, logprobs: Logprobs) -> None:
        """See ``GroupSource.scored``."""
        self._source.scored(batch, rank, world, logprobs)

    async def trained(self, step: int, report: TrainReport) -> Decision:
        """Record a step, evaluate when it is due, and move the window.

        Raises:
            RuntimeError: the train workers started again meanwhile; they will train the step once more.
        """
        self._recording = asyncio.create_task(self._take(step, report))
        try:
            return await self._recording
        except asyncio.CancelledError:
            raise RuntimeError(f"the train workers started again while step {step} was being recorded") from None

    async def _take(self, step: int, report: TrainReport) -> Decision:
        replayed = step < self._progress.trained
        evaluation: Metrics = {}
        interval = (0.0, 0.0)
        if not replayed and evaluation_due(self._config, step + 1, self._progress.total):
            evaluation, interval = await self._evaluate(step + 1)
        self.say(missed_sync(step, report.metrics, self._config.rollout.replicas))
        self.say(self._replicas.change(step, report.metrics))
        if not replayed:
            await self._record(step, report, evaluation, interval)
            self._progress.trained = step + 1
        self._progress.step_start = time.time()
        self._progress.phase = "sampling"
        if report.version == self._versions.current:  # else the trainer has started again since
            self._window.release_to(step + 1)
        # It stays: a rank may ask later than rank 0 goes on, where a step has no collective.
        decision = self._decisions[step] = self._decide(step, self._is_new(report.leaving))
        await self._state.notify()
        await asyncio.to_thread(self._issued.put_away, step)  # beside the sampling of the next
        return decision

    def _is_new(self, leaving: tuple[str, ...]) -> bool:
        """Whether a node of the trainer was given notice since the last step."""
        new = set(leaving) - self._leaving
        self._leaving |= new
        return bool(new)

    def _decide(self, step: int, leaving: bool) -> Decision:
        done, settings = step + 1, self._config.checkpoint
        last = done == self._progress.total
        stop = self._progress.stop or last
        export = last or due(done, settings.export_every)
        if leaving:
            self.say(f"a node of the trainer is about to be taken away: a checkpoint is written after step {done}")
        return Decision(stop or export or leaving or due(done, settings.every), export, stop)

    async def decision(self, step: int) -> Decision:
        """What ``trained`` told rank 0, for the other ranks.

        They wait here and not in a collective, whose time-out an evaluation may well exceed.
        """
        async with self._state.changed:
            await self._state.changed.wait_for(lambda: step in self._decisions)
        return self._decisions[step]

    async def _record(self, step: int, report: TrainReport, evaluation: Metrics, interval: Interval) -> None:
        groups = self._issued.groups(step)
        for kind, notice in step_warnings(step, groups, self._config).items():
            self.say(notice, kind)
        row: Metrics = {
            "step": step,
            **group_metrics(groups),
            **guidance_metrics(groups),
            **success_metrics(groups),
            **self._tickets.metrics(step, groups),
            "train/problems_solved_ever": self._solved.add(groups),
            **report.metrics,
            **replica_metrics(report.metrics),
            **time_metrics(groups, report.times(self._progress.step_start, interval)),
            "time/idle_cores": self._idle.mean(),
            **evaluation,
        }
        if await self._reporter.record(row, groups):
            self._tickets.trained(step, groups)

    async def checkpoint_state(self, step: int) -> dict[str, Any]:
        """What a checkpoint after ``step`` optimizer steps must hold beside the policy; the records are on disk."""
        await self._reporter.to_disk()
        if self._upload is not None:
            self._upload.send(self._reporter.sizes(step))
        return {
            "step": step,
            "position": self._window.first_position(step),
            "version": self._versions.newest,
            "solved": sorted(self._solved.ids),
            "controllers": self._tickets.state(step),
            "sizes": self._reporter.sizes(step),
            checkpoint.ACCURACY: self._reporter.accuracy(step),
        }

    def trained_steps(self) -> int:
        """Optimizer steps that are recorded: no checkpoint of a later one is gone on from."""
        return self._progress.trained

    def checkpointed(self, step: int) -> None:
        """A checkpoint covers the steps before ``step``: their groups may go."""
        self._covered = step
        for keeper in (self._source, self._issued, self._reporter, self._tickets):
            keeper.forget_before(step)
        self._versions.forget_before(step - self._config.max_staleness)
        self._decisions = {done: decision for done, decision in self._decisions.items() if done >= step}
        gc.collect()

    def unwritten(self, failure: WriteFailed) -> None:
        """A checkpoint could not be written, however long it was tried: the run ends."""
        self._reporter.failure = failure

    # --- evaluation ---

    async def evaluate_start(self) -> None:
        """Evaluate the policy that the run starts from, before its first step."""
        if (
            evaluation_due(self._config, 0, self._progress.total)
            and self._progress.trained == 0
            and not self._progress.evaluated
        ):
            self._progress.evaluated = True
            await self._evaluate(0)
        self._progress.step_start = time.time()

    async def _evaluate(self, steps_done: int) -> tuple[Metrics, Interval]:
        self._progress.phase, start = "evaluating", time.time()
        last = steps_done == self._progress.total
        found = await self._source.evaluate(self._versions.current, last)
        row = {"step": steps_done, "eval/weight_version": self._versions.current, **found.metrics}
        await self._reporter.record_evaluation(row, found.answers, found.set_answers)
        return found.metrics, (start, time.time())

    # --- the run ---

    def status(self, rows_seen: int) -> Status:
        """What is new since ``rows_seen`` rows."""
        reporter, rows = self._reporter, self._reporter.rows.since(rows_seen)
        judging = not self._tickets.judging_over(self._progress.trained)
        failed = self._source.failure
        no_groups = None if failed is None else str(failed)
        return Status(rows, reporter.take_messages(), self._progress.phase, judging, reporter.failure, no_groups)

    def say(self, message: str | None, kind: str | None = None) -> None:
        """A line for the console, unless there is none or it, or another of its kind, was said before."""
        if message is not None:
            self._reporter.say(message, kind)

    def stop_after_step(self) -> None:
        """End the run after the step that is under way, with a checkpoint."""
        self._progress.stop = True

    def close(self) -> None:
        self._source.close()
        self._issued.close()
        self._reporter.close()


def _collect_rarely() -> None:
    """Of this process. Groups have no cycles, and to look for some among the objects of a step of 4,096 took a third of
    its time. What else has left cycles goes when a checkpoint covers its step."""
    gc.freeze()
    gc.set_threshold(*gc.get_threshold()[:2], RARE)
