"""Groups of every kind under any preset, made by the pipeline with a scripted sampler and the rule judge."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import numpy as np

from raysgpo.config import Config
from raysgpo.config.overrides import resolve
from raysgpo.groups.pipeline import Pipeline
from raysgpo.groups.retrying_sampler import Answer, RetryingSampler
from raysgpo.groups.stages import over_step
from raysgpo.judging.panel import Panel
from raysgpo.judging.rule import first_wrong
from raysgpo.records import Completion, Group, Problem, SampleRequest, Ticket
from raysgpo.tasks.arithmetic import ArithmeticTask, Chain
from raysgpo.tasks.grader import InlineGrader
from raysgpo.tasks.kinds import build_task
from tests.judging.scripted import scripted
from tests.resolved import resolved

PROBLEM = Chain((3, 4, 2), "+-").problem()
RIGHT = PROBLEM.reference or ""
LATE, EARLY = "3+4=7\n7-2=6\n#### 6", "3+4=8\n8-2=6\n#### 6"
GROUPS = {
    "all right": [RIGHT] * 4,
    "mixed": [RIGHT, LATE, EARLY, RIGHT],
    "one right": [RIGHT, EARLY, EARLY, "no answer"],
    "all negative": [LATE, EARLY, EARLY, LATE],
    "all negative and alike": [EARLY] * 4,
    "no vote for two": [LATE, "lost\n#### 6", EARLY, "lost\n#### 7"],
    "no vote but one": [LATE, "lost\n#### 6", "lost\n#### 8", "lost\n#### 7"],
    "empty": ["", EARLY, LATE, "#### 1"],
}


def settings(preset: str, words: Sequence[str] = ()) -> Config:
    needed = ["algorithm.r_min_correct=0.6"] if preset in ("static", "corpo") else []
    base = ["task.prompts=1", "task.terms=3", "evaluation.prompts=1", "sampling.group_size=4", "judge=rule"]
    return resolve({}, overrides=[*base, f"algorithm={preset}", *needed, *words])


def finished_groups(config: Config) -> list[Group]:
    """The groups of one step, as the trainer gets them."""
    task = ArithmeticTask(config.task, 1)

    async def sample(request: SampleRequest) -> Answer:
        yield [_completion(text) for text in list(GROUPS.values())[request.prompt_ids[0]]]

    async def everything() -> list[Group]:
        panel = Panel(scripted(_moody), config.judge)
        sampler = RetryingSampler(sample, config.rollout)
        pipeline = Pipeline(resolved(config), task, InlineGrader(task.grade), panel, sampler)
        tickets = [Ticket(p, 0, 0, PROBLEM, [p], (1, 2, 3, 4), 1, judge=True) for p in range(len(GROUPS))]
        return [await pipeline.run(ticket) for ticket in tickets]

    return over_step(asyncio.run(everything()), config.algorithm)


def judged_groups(config: Config, texts: Sequence[str]) -> list[Group]:
    """A group of these answers for each training problem of the configuration's task, without a judge."""
    task = build_task(config)

    async def sample(request: SampleRequest) -> Answer:
        yield [_completion(text) for text in texts]

    async def everything() -> list[Group]:
        sampler = RetryingSampler(sample, config.rollout)
        pipeline = Pipeline(
            resolved(config), task, InlineGrader(task.grade), Panel(scripted(_moody), config.judge), sampler
        )
        seeds = tuple(range(len(texts)))
        return [
            await pipeline.run(Ticket(position, 0, 0, problem, [position], seeds, 1, judge=False))
            for position, problem in enumerate(task.train)
        ]

    return asyncio.run(everything())


async def _moody(problem: Problem, steps: Sequence[str], seed: int) -> int | None:
    """The rule judge, silent on some."""
    return None if "lost" in steps[0] else first_wrong(problem, steps)


def _completion(text: str) -> Completion:
    """At least one token, as from an engine: the end of the turn."""
    ids_T = np.frombuffer(text.encode() + b".", dtype=np.uint8).astype(np.int32)
    return Completion(ids_T, np.full(len(ids_T), -0.5, np.float32), "stop", text, ((1, len(ids_T)),))
