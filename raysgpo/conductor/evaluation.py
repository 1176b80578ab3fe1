"""Held-out prompts on the rollout replicas, beside the stream and outside the window."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from raysgpo.config import Config
from raysgpo.metrics import Metrics, evaluation_metrics
from raysgpo.policy.prompts import Prompt
from raysgpo.records import SampleRequest
from raysgpo.sampling import RetryingSampler, SamplingFailed
from raysgpo.seeds import derive_seed
from raysgpo.tasks.grader import Grader

IN_FLIGHT = 256
"""Requests at one time: enough to fill the replicas' batches, far below Serve's queue limits."""


async def evaluate(
    config: Config, grader: Grader, prompts: Sequence[Prompt], sample: RetryingSampler, min_version: int
) -> Metrics:
    """Accuracy on ``prompts`` with weights of ``min_version``. An answer that never came counts as
    wrong and in ``eval/failed``."""
    places = asyncio.Semaphore(IN_FLIGHT)

    async def one(prompt: Prompt) -> bool | None:
        request = SampleRequest(
            prompt_ids=prompt.token_ids,
            seeds_G=(derive_seed("evaluation", config.seed, prompt.problem.id),),
            max_tokens=config.sampling.max_tokens,
            temperature=config.evaluation.temperature,
            stop=config.sampling.stop,
            min_version=min_version,
        )
        async with places:
            try:
                completions, _ = await sample(request)
            except SamplingFailed:
                return None
            return (await grader.grade(prompt.problem, completions[0].text)).correct

    results = await asyncio.gather(*(one(prompt) for prompt in prompts))
    difficulty = [prompt.problem.metadata.get("difficulty") for prompt in prompts]
    metrics = evaluation_metrics(difficulty, [bool(result) for result in results])
    return {**metrics, "eval/failed": sum(result is None for result in results)}
