"""Groups that are sampled as the run goes: one stream of positions, admitted by the window."""

from __future__ import annotations

import asyncio
import sys
import time
from typing import Any

from raysgpo.conductor.assembly import Assembly
from raysgpo.conductor.evaluation import Evaluation, Evaluator
from raysgpo.conductor.handle import ConductorHandle
from raysgpo.conductor.heartbeats import Heartbeats
from raysgpo.conductor.messages import Admission
from raysgpo.conductor.run_state import RunState
from raysgpo.conductor.stream import StreamThread, build_dataset, segments, stall_deadline
from raysgpo.groups.retrying_sampler import RetryingSampler
from raysgpo.judging.address import JudgeAddress
from raysgpo.output.step_warnings import failed_group
from raysgpo.policy.sequences import Share
from raysgpo.policy.shares import Logprobs
from raysgpo.records import Group, Ticket
from raysgpo.serving.handle import RolloutService
from raysgpo.serving.sampler import serve_sampler

LOOK = 10.0
"""Seconds without any change between two looks at who makes the groups."""


class LiveSource:
    """A :class:`raysgpo.conductor.source.GroupSource`: rollout replicas sample, Ray Data streams."""

    def __init__(
        self, state: RunState, *, rollout: RolloutService, judge: JudgeAddress | None = None, run: str = "run"
    ) -> None:
        """``judge``: None without a judge's server; ``run``: what it is called, for the Ray dashboard."""
        self._run = run
        self._state = state
        self._rollout = rollout
        self._judge = judge
        self._assembly = Assembly(state.window, state.progress.trained)
        self._evaluator = Evaluator(state.prepared, RetryingSampler(serve_sampler(rollout), state.config.rollout))
        self._failure: BaseException | None = None
        self._stream: StreamThread | None = None
        self._heartbeats = Heartbeats()

    async def start(self, conductor: ConductorHandle) -> None:
        state, config, progress = self._state, self._state.config, self._state.progress
        if progress.over:
            return
        first = state.window.first_position(progress.trained)
        most = (progress.total - progress.trained) * config.prompts_per_step * config.refill_limit
        loop = asyncio.get_running_loop()

        def arrived(group: Group) -> None:
            asyncio.run_coroutine_threadsafe(self._arrived(group), loop).result()

        def failed(error: BaseException) -> None:
            asyncio.run_coroutine_threadsafe(self._failed(error), loop).result()

        datasets = (
            build_dataset(config, state.prepared.task, conductor, self._rollout, self._judge, *segment, name=self._run)
            for segment in segments(first, first + most, config.prompts_per_step)
        )
        self._stream = StreamThread(datasets, arrived, failed)
        self._stream.start()

    async def admit(self, positions: list[int], seen: int | None) -> Admission:
        """The tickets of those that the window has reached.

        None for one whose group is here already, or if the run is over (with ``refill`` more positions are
        streamed than may be needed).
        """
        if not any(map(self._settled, positions)):  # nor will one be before the limit moves: each is asked for once
            async with self._state.changed:
                await self._state.changed.wait_for(lambda: self._limit != seen)
        tickets = {position: self._ticket(position) for position in positions if self._settled(position)}
        return Admission(tickets, self._limit)

    @property
    def _limit(self) -> int:
        """The first position that may not start."""
        if self._state.progress.over:
            return sys.maxsize
        return self._state.window.limit if self._state.versions.ready else -1

    def _settled(self, position: int) -> bool:
        return position < self._limit or position in self._assembly

    def _ticket(self, position: int) -> Ticket | None:
        if self._state.progress.over or position in self._assembly:
            return None
        return self._state.tickets.ticket(position, self._state.versions.current)

    def beat(self, name: str, worker: Any, ago: float) -> None:
        self._heartbeats.heard(name, worker, ago)

    async def dropped(self, position: int) -> None:
        self._state.window.dropped(position)
        await self._state.notify()

    async def _arrived(self, group: Group) -> None:
        self._assembly.add(group)
        self._state.tickets.judge_budget.settle(group)
        self._state.say(failed_group(group))
        await self._state.notify()

    async def _failed(self, error: BaseException) -> None:
        self._failure = error
        await self._state.notify()

    async def groups(self, step: int) -> list[Group]:
        """The deadline runs from when any group last arrived or got on."""
        try:
            groups = await self._awaited(step)
            _refuse_an_outage(step, groups)
        except RuntimeError as error:
            self._failure = self._failure or error
            raise
        return groups

    @property
    def failure(self) -> BaseException | None:
        return self._failure

    async def _awaited(self, step: int) -> list[Group]:
        deadline, last = stall_deadline(self._state.config), time.monotonic()
        while (groups := self._assembly.step(step)) is None:
            if self._failure is not None:
                raise RuntimeError(f"the stream of groups failed: {self._failure}") from self._failure
            if await self._changes():
                last = time.monotonic()
            elif min(time.monotonic() - last, self._heartbeats.progress_ago) > deadline:
                missing = self._assembly.missing(step)
                raise RuntimeError(
                    f"no group arrived or got on for {deadline:.0f} s; step {step} still waits for "
                    f"{len(missing)} groups, the first at position {missing[0]}"
                )
            else:
                self._say_hung(self._heartbeats.kill_silent())
        return groups

    async def _changes(self) -> bool:
        """Whether anything does within LOOK seconds."""
        async with self._state.changed:
            try:
                await asyncio.wait_for(self._state.changed.wait(), LOOK)
            except TimeoutError:
                return False
        return True

    def _say_hung(self, workers: int) -> None:
        if workers:
            self._state.say(f"{workers} group workers had hung and were started again")

    def forget_before(self, step: int) -> None:
        """The groups of a step are kept by whoever was handed them."""

    def unscored(self, batch: int, rank: int, world: int) -> Share | None:
        """None: the engine gives each token's logprob with it."""
        return None

    def scored(self, batch: int, rank: int, world: int, logprobs: Logprobs) -> None:
        raise AssertionError("what the engine sampled has its logprobs")

    async def evaluate(self, min_version: int, last: bool) -> Evaluation:
        return await self._evaluator.run(min_version, last)

    def close(self) -> None:
        if self._stream is not None:
            self._stream.stop()


def _refuse_an_outage(step: int, groups: list[Group]) -> None:
    """A step for which no replica could be had consumed its prompts for nothing: the run ends, and can be gone on with.

    Raises:
        RuntimeError: that is so.
    """
    if all(group.counts.get("sampling/unavailable") for group in groups):
        raise RuntimeError(f"no rollout replica could be had for any of the groups of step {step}: {groups[-1].error}")
