"""A whole run in one event loop, without Ray: conductor, window, stream of positions, group workers and replicas.

What stands in for Ray is here; all that decides, assembles and records is the product's own. The trainer is whoever
calls ``train``.
"""

from __future__ import annotations

import asyncio
import gc
import random
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from raysgpo.conductor.conductor import Conductor
from raysgpo.conductor.group_maker import GroupMaker, read_groups, write_groups
from raysgpo.conductor.handle import ConductorHandle
from raysgpo.conductor.live_source import LiveSource
from raysgpo.conductor.messages import Decision, TrainReport
from raysgpo.conductor.run_state import RunState
from raysgpo.conductor.stream import blocks_per_step, position_blocks, segments
from raysgpo.config import Config
from raysgpo.groups.pipeline import Pipeline
from raysgpo.groups.prepared import StartState
from raysgpo.groups.retrying_sampler import RetryingSampler
from raysgpo.output.metrics import Metrics
from raysgpo.output.run_folder import RunFolder
from raysgpo.policy.sequences import Share
from raysgpo.records import Completion, SampleRequest
from raysgpo.serving.handle import RolloutService
from raysgpo.serving.sampler import serve_sampler
from raysgpo.tasks.grader import make_grader
from tests.conductor.fakes import prepared_for

LINE = "so the sum of both is two, and two is what we wanted to know\n"


class LocalHandle:
    """An actor's handle: ``.name.remote(...)`` begins at once, and is the answer when awaited."""

    def __init__(self, actor: Any) -> None:
        self._actor = actor

    def __getattr__(self, name: str) -> LocalMethod:
        return LocalMethod(getattr(self._actor, name))


class LocalMethod:
    def __init__(self, method: Callable[..., Any]) -> None:
        self._method = method

    def remote(self, *arguments: Any) -> asyncio.Task[Any]:
        return asyncio.create_task(self._answer(*arguments))

    async def _answer(self, *arguments: Any) -> Any:
        answer = self._method(*arguments)
        return await answer if asyncio.iscoroutine(answer) else answer


class Replica(Protocol):
    """What a fleet asks."""

    def sample(self, request: SampleRequest, run_id: str) -> AsyncIterator[Any]: ...


class Instant:
    """A replica that answers at once: the first of a group right, the others wrong, all of ``tokens`` tokens."""

    def __init__(self, tokens: int, characters: int = 4, easy: bool = False) -> None:
        """``characters``: of the text, for each token; ``easy``: where the right answer is even, all are right."""
        self._easy = easy
        self._filler = (LINE * (1 + tokens * characters // len(LINE)))[: max(0, tokens * characters - 8)]
        self._ids_T = np.arange(tokens, dtype=np.int32)
        self._logprobs_T = np.linspace(-2, 0, tokens, dtype=np.float32)

    async def sample(self, request: SampleRequest, run_id: str) -> AsyncIterator[list[Completion]]:
        right = eval(bytes(request.prompt_ids).decode().partition("=")[0])
        versions = ((request.min_version, len(self._ids_T)),)
        yield [
            Completion(
                self._ids_T.copy(), self._logprobs_T.copy(), "stop",
                f"{self._filler}\n#### {right if g == 0 or (self._easy and right % 2 == 0) else right + 1}", versions,
            )
            for g in range(len(request.seeds_G))
        ]  # fmt: skip


class Fleet:
    """A Serve handle of replicas in this process: a request goes to the less busy of two."""

    def __init__(self, replicas: list[Any], seed: int = 0) -> None:
        self.replicas = replicas
        self._busy = [0] * len(replicas)
        self._draw = random.Random(seed)
        self.answers = asyncio.Event()
        """Cleared, all requests wait."""
        self.answers.set()

    def options(self, *, stream: bool) -> Fleet:
        return self

    @property
    def sample(self) -> Fleet:
        return self

    def remote(self, request: SampleRequest, run_id: str) -> Answer:
        return Answer(self._answer(request, run_id))

    async def _answer(self, request: SampleRequest, run_id: str) -> AsyncIterator[Any]:
        index = min((self._draw.randrange(len(self._busy)) for _ in range(2)), key=self._busy.__getitem__)
        self._busy[index] += 1
        try:
            await self.answers.wait()
            async for said in self.replicas[index].sample(request, run_id):
                yield said
        finally:
            self._busy[index] -= 1


class Answer:
    """Of a streaming call."""

    def __init__(self, said: AsyncIterator[Any]) -> None:
        self._said = said

    def __aiter__(self) -> AsyncIterator[Any]:
        return self._said

    def cancel(self) -> None: ...


class LocalSource(LiveSource):
    """The live source with a stream of this event loop: as many blocks of positions in flight as Ray Data would have.

    Without ``direct`` groups are ``made`` when they are asked for, and wait, as the bytes that they travel as, until
    they are ``delivered``: the time of either side can be told from the other's.
    """

    def __init__(self, state: RunState, *, fleet: Any, direct: bool = True) -> None:
        super().__init__(state, rollout=RolloutService(fleet, ""))
        self._fleet = fleet
        self._direct = direct
        if not direct:
            fleet.answers.clear()
        self._values: list[bytes] = []
        self._count = 0
        self._made = asyncio.Event()
        self._flows: list[asyncio.Task[None]] = []

    async def start(self, conductor: ConductorHandle) -> None:
        state, config = self._state, self._state.config
        pipeline = Pipeline(
            config=config,
            task=state.prepared.task,
            grader=make_grader(state.prepared.task, config),
            panel=None,
            sample=RetryingSampler(serve_sampler(self._rollout), config.rollout),
        )
        maker = GroupMaker(conductor, pipeline, config.algorithm.refill)
        first = state.window.first_position(state.progress.trained)
        end = first + (state.progress.total - state.progress.trained) * config.prompts_per_step * config.refill_limit
        blocks = (
            block
            for segment in segments(first, end, config.prompts_per_step)
            for block in position_blocks(*segment, config.prompts_per_step)
        )
        tasks = (config.max_staleness + 1) * blocks_per_step(config.prompts_per_step) * config.refill_limit
        self._flows = [asyncio.create_task(self._flow(maker, blocks)) for _ in range(tasks)]

    async def _flow(self, maker: GroupMaker, blocks: Iterator[list[int]]) -> None:
        for block in blocks:
            for group in await maker.begin(block):
                value = write_groups([await group])
                if self._direct:
                    await self._take(value)
                else:
                    self._values.append(value)
                    self._count += 1
                    self._made.set()

    async def _take(self, value: bytes) -> None:
        for group in read_groups(value):
            await self._arrived(group)

    async def made(self, count: int) -> None:
        """Make groups until so many were made since the start; they wait for their delivery."""
        if self._count >= count:  # with S > 0 they were made with those before
            return
        self._fleet.answers.set()
        while self._count < count:
            self._made.clear()
            await self._made.wait()
        self._fleet.answers.clear()

    async def deliver(self) -> int:
        """All that wait arrive; their bytes."""
        values, self._values = self._values, []
        for value in values:
            await self._take(value)
        return sum(map(len, values))

    def close(self) -> None:
        for flow in self._flows:
            flow.cancel()


class LocalRun:
    """A conductor whose stream, workers and replicas live in this event loop."""

    def __init__(self, config: Config, steps: int, folder: Path, fleet: Any, *, direct: bool = True) -> None:
        self.run = RunFolder(folder)
        self.sources: list[LocalSource] = []
        self.conductor = Conductor(prepared_for(config, steps), self.run, StartState(), self._source(fleet, direct))
        self.version, self._seen = 0, 0

    def _source(self, fleet: Any, direct: bool) -> Callable[[RunState], LocalSource]:
        def made(state: RunState) -> LocalSource:
            self.sources.append(LocalSource(state, fleet=fleet, direct=direct))
            return self.sources[-1]

        return made

    @property
    def source(self) -> LocalSource:
        return self.sources[-1]

    async def start(self) -> None:
        self._thresholds = gc.get_threshold()
        handle: Any = LocalHandle(self.conductor)
        await self.publish(0)
        await self.conductor.start(handle)

    async def publish(self, step: int) -> None:
        self.version = self.conductor.next_version(step)
        await self.conductor.published(self.version, step, 1)

    async def shares(self, step: int) -> list[Share]:
        return await self.conductor.step(step, 0, 1)

    async def finish(self, step: int, metrics: Metrics | None = None) -> Decision:
        """The step is trained: new weights, its report, a checkpoint where one is due, and the console's question."""
        await self.publish(step + 1)
        now = time.time()
        report = TrainReport(metrics or {"policy/loss": 0.5}, self.version, (now, now), (now, now), (now, now))
        decision = await self.conductor.trained(step, report)
        if decision.checkpoint:
            await self.conductor.checkpoint_state(step + 1)
            self.conductor.checkpointed(step + 1)
        self._seen += len(self.conductor.status(self._seen).rows)
        return decision

    async def train(self, step: int) -> None:
        await self.shares(step)
        await self.finish(step)

    def close(self) -> None:
        """The process is as it was before."""
        self.conductor.close()
        gc.set_threshold(*self._thresholds)
        gc.unfreeze()
