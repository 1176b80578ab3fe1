"""The conductor: one actor that knows where the run stands.

    who            | asks for        | waits for                         | unblocked by
    ---------------|-----------------|-----------------------------------|---------------------------
    group worker   | admit(position) | the window to reach the position  | trained(step), after weights landed
    trainer ranks  | wait_for_repl.. | the rollout replicas to be up     | the run
    trainer rank   | step(k)         | the P groups of step k            | the stream
    trainer rank 0 | trained(k)      | records and, when due, evaluation | the rollout replicas
    other ranks    | decision(k)     | trained(k) of rank 0              | rank 0
    run            | status()        | nothing                           |

Positions are slots: ``admit`` may be asked twice (Ray Data re-runs tasks), ``step`` gives the same
groups if it is asked again, and groups stay until a checkpoint covers them. So a dead train worker
loses nothing.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

from raysgpo.conductor.assembly import Assembly
from raysgpo.conductor.evaluation import Evaluator
from raysgpo.conductor.issued_steps import IssuedSteps
from raysgpo.conductor.messages import Decision, Status, TrainReport
from raysgpo.conductor.progress import Progress
from raysgpo.conductor.reporter import Reporter
from raysgpo.conductor.stream import StreamThread, build_dataset, stall_deadline
from raysgpo.conductor.versions import Versions
from raysgpo.groups.prepared import Prepared, StartState
from raysgpo.groups.retrying_sampler import RetryingSampler
from raysgpo.groups.tickets import Tickets
from raysgpo.groups.window import run_window
from raysgpo.judging.address import JudgeAddress
from raysgpo.output.metrics import Interval, Metrics, Solved, group_metrics, guidance_metrics, time_metrics
from raysgpo.output.run_folder import RunFolder
from raysgpo.output.step_warnings import failed_group, missed_sync, step_warnings
from raysgpo.policy.sequences import Share
from raysgpo.records import Group, Ticket
from raysgpo.serving.sampler import serve_sampler


class Conductor:
    """Owns the order of prompts, the window, the assembly of steps, evaluation and the records."""

    def __init__(
        self, prepared: Prepared, run: RunFolder, rollout: Any, start: StartState, judge: JudgeAddress | None = None
    ) -> None:
        """``rollout``: the Serve handle of the rollout deployment; ``judge``: None without a judge's server."""
        config = prepared.config
        self._config = config
        self._prepared = prepared
        self._rollout = rollout
        self._evaluator = Evaluator(prepared, RetryingSampler(serve_sampler(rollout), config.rollout))
        self._reporter = Reporter(run, start.step, config.records.tokens, said=start.messages)
        self._judge = judge
        self._window = run_window(config, start.step, start.position, prepared.total_steps)
        self._tickets = Tickets(prepared, start, self._window)
        self._assembly = Assembly(self._window)
        self._decisions: dict[int, Decision] = {}
        self._solved = Solved(set(start.solved))
        self._versions = Versions(start.version)
        self._issued = IssuedSteps(config, self._versions)
        self._covered = start.step
        self._progress = Progress(prepared.total_steps, trained=start.step)
        self._changed = asyncio.Condition()
        self._replicas_up = asyncio.Event()
        self._failure: BaseException | None = None
        self._stream: StreamThread | None = None

    # --- the stream ---

    async def start(self, myself: Any) -> None:
        """Begin to stream. ``myself``: this actor's handle, for the group workers."""
        config, progress = self._config, self._progress
        if progress.over:
            return
        first = self._window.first_position(progress.trained)
        most = (progress.total - progress.trained) * config.prompts_per_step * config.refill_limit
        loop = asyncio.get_running_loop()

        def arrived(group: Group) -> None:
            asyncio.run_coroutine_threadsafe(self._arrived(group), loop).result()

        def failed(error: BaseException) -> None:
            asyncio.run_coroutine_threadsafe(self._failed(error), loop).result()

        dataset = build_dataset(config, self._prepared.task, myself, self._rollout, self._judge, first, first + most)
        self._stream = StreamThread(dataset, arrived, failed)
        self._stream.start()

    async def admit(self, position: int) -> Ticket | None:
        """The ticket of a position, once the window has reached it.

        None if its group is here already, or if the run is over (with ``refill`` more positions are
        streamed than may be needed).
        """
        async with self._changed:
            await self._changed.wait_for(
                lambda: self._progress.over or (self._versions.ready and self._window.may_start(position))
            )
        done = position in self._assembly or position < self._window.first_position(self._covered)
        return None if done or self._progress.over else self._tickets.ticket(position, self._versions.current)

    async def dropped(self, position: int) -> None:
        """The group of this position will not be trained on; it arrives once those before it have."""
        self._window.dropped(position)
        await self._notify()

    async def _arrived(self, group: Group) -> None:
        self._assembly.add(group)
        self._tickets.judge_budget.settle(group)
        self.say(failed_group(group))
        await self._notify()

    async def _failed(self, error: BaseException) -> None:
        self._failure = error
        await self._notify()

    async def _notify(self) -> None:
        """Wake everyone who waits for something to change."""
        async with self._changed:
            self._changed.notify_all()

    # --- the trainer ---

    def replicas_are_up(self) -> None:
        """All rollout replicas have started: weights may be published."""
        self._replicas_up.set()

    async def wait_for_replicas(self) -> None:
        await self._replicas_up.wait()

    def next_version(self, step: int) -> int:
        """The number of weights with ``step`` optimizer steps that are about to be published."""
        return self._versions.give_out(step)

    async def published(self, version: int, step: int) -> None:
        """Weights of ``version``, which have ``step`` optimizer steps, are on the replicas.

        After a trainer's restart ``step`` lies before the steps done so far: the window closes
        until the replayed steps have caught up.
        """
        if self._versions.land(version, step):
            self.say(f"the train workers were started again and go on after step {step} (weight version {version})")
        self._window.rewind(step)
        self._decisions = {done: decision for done, decision in self._decisions.items() if done < step}
        await self._notify()

    async def step(self, step: int, rank: int, world: int) -> Share:
        """The share of a rank in a step; waits until all groups of the step are here.

        Raises:
            RuntimeError: the stream failed, nothing arrived before the deadline, or a checkpoint covers
                the step and its groups are gone.
        """
        if step < self._covered:
            raise RuntimeError(
                f"step {step} was asked for again, but the groups before step {self._covered} are gone, since a "
                "checkpoint covered them; is that checkpoint corrupt? Resume the run: it samples them again"
            )
        self._progress.phase = "sampling"
        if step not in self._issued:
            self._issued.add(step, await self._groups(step), world)
        self._progress.phase = "training"
        return self._issued.share(step, rank)

    async def _groups(self, step: int) -> list[Group]:
        """The groups of a step. The deadline runs from the last arrival."""
        deadline = stall_deadline(self._config)
        while (groups := self._assembly.step(step)) is None:
            if self._failure is not None:
                raise RuntimeError(f"the stream of groups failed: {self._failure}") from self._failure
            async with self._changed:
                try:
                    await asyncio.wait_for(self._changed.wait(), deadline)
                except TimeoutError:
                    missing = self._assembly.missing(step)
                    raise RuntimeError(
                        f"no group arrived for {deadline:.0f} s; step {step} still waits for "
                        f"{len(missing)} groups, the first at position {missing[0]}"
                    ) from None
        return groups

    async def trained(self, step: int, report: TrainReport) -> Decision:
        """Record a step, evaluate when it is due, and move the window."""
        replayed = step < self._progress.trained
        evaluation: Metrics = {}
        interval = (0.0, 0.0)
        if not replayed and self._evaluator.due(step + 1):
            evaluation, interval = await self._evaluate(step + 1)
        self.say(missed_sync(step, report.metrics, self._config.rollout.replicas))
        if not replayed:
            self._record(step, report, evaluation, interval)
            self._progress.trained = step + 1
        self._progress.step_start = time.time()
        self._progress.phase = "sampling"
        if report.version == self._versions.current:  # else the trainer has started again since
            self._window.release_to(step + 1)
        self._decisions[step] = self._decide(step)
        await self._notify()
        return self._decisions[step]

    def _decide(self, step: int) -> Decision:
        last = step + 1 == self._progress.total
        every = self._config.checkpoint.every
        stop = self._progress.stop or last
        return Decision(checkpoint=stop or (every > 0 and (step + 1) % every == 0), stop=stop)

    async def decision(self, step: int) -> Decision:
        """What ``trained`` told rank 0, for the other ranks.

        They wait here and not in a collective, whose time-out an evaluation may well exceed.
        """
        async with self._changed:
            await self._changed.wait_for(lambda: step in self._decisions)
        return self._decisions[step]

    def _record(self, step: int, report: TrainReport, evaluation: Metrics, interval: Interval) -> None:
        groups = self._issued.groups(step)
        for kind, notice in step_warnings(step, groups, self._config).items():
            self.say(notice, kind)
        row: Metrics = {
            "step": step,
            **group_metrics(groups),
            **guidance_metrics(groups),
            "train/problems_solved_ever": self._solved.add(groups),
            **report.metrics,
            **time_metrics(groups, report.times(self._progress.step_start, interval)),
            **evaluation,
        }
        self._reporter.record(row, groups)
        self._tickets.trained(step, groups)

    def checkpoint_state(self, step: int) -> dict[str, Any]:
        """What a checkpoint after ``step`` optimizer steps must hold beside the policy."""
        return {
            "step": step,
            "position": self._window.first_position(step),
            "version": self._versions.newest,
            "solved": sorted(self._solved.ids),
            "controllers": self._tickets.state(step),
        }

    def checkpointed(self, step: int) -> None:
        """A checkpoint covers the steps before ``step``: their groups may go."""
        self._covered = step
        self._assembly.forget_before(step)
        self._issued.forget_before(step)

    # --- evaluation ---

    async def evaluate_start(self) -> None:
        """Evaluate the policy that the run starts from, before its first step."""
        if self._evaluator.due(0) and self._progress.trained == 0 and not self._progress.evaluated:
            self._progress.evaluated = True
            await self._evaluate(0)
        self._progress.step_start = time.time()

    async def _evaluate(self, steps_done: int) -> tuple[Metrics, Interval]:
        self._progress.phase, start = "evaluating", time.time()
        found = await self._evaluator.run(self._versions.current, steps_done == self._prepared.total_steps)
        row = {"step": steps_done, "eval/weight_version": self._versions.current, **found.metrics}
        self._reporter.record_evaluation(row, found.answers)
        return found.metrics, (start, time.time())

    # --- the run ---

    def status(self, rows_seen: int) -> Status:
        """What is new since ``rows_seen`` rows."""
        rows = self._reporter.rows[rows_seen:]
        judging = not self._tickets.judging_over(self._progress.trained)
        return Status(rows, self._reporter.take_messages(), self._progress.phase, judging)

    def say(self, message: str | None, kind: str | None = None) -> None:
        """A line for the console, unless there is none or it, or another of its kind, was said before."""
        if message is not None:
            self._reporter.say(message, kind)

    def stop_after_step(self) -> None:
        """End the run after the step that is under way, with a checkpoint."""
        self._progress.stop = True

    def close(self) -> None:
        if self._stream is not None:
            self._stream.stop()
        self._reporter.close()
