"""Held-out prompts on the rollout replicas, beside the stream and outside the window."""

from __future__ import annotations

import asyncio

from raysgpo.metrics import Metrics, evaluation_metrics
from raysgpo.prepared import Prepared, Prompt
from raysgpo.records import SampleRequest
from raysgpo.sampling import RetryingSampler, SamplingFailed
from raysgpo.seeds import derive_seed
from raysgpo.tasks.grader import make_grader

IN_FLIGHT = 256
"""Requests at one time: enough to fill the replicas' batches, far below Serve's queue limits."""


class Evaluator:
    """Greedy (by default) accuracy of whatever weights the replicas hold."""

    def __init__(self, prepared: Prepared, sample: RetryingSampler) -> None:
        self._config = prepared.config
        self._prompts = prepared.held_out
        self._total_steps = prepared.total_steps
        self._sample = sample
        self._grader = make_grader(prepared.task, self._config.task)

    def due(self, steps_done: int) -> bool:
        """Before the first step, every ``evaluation.every`` steps, and after the last."""
        every = self._config.evaluation.every
        return every > 0 and (steps_done % every == 0 or steps_done == self._total_steps)

    async def run(self, min_version: int) -> Metrics:
        """Accuracy with weights of ``min_version``. An answer that never came counts as wrong and in
        ``eval/failed``."""
        places = asyncio.Semaphore(IN_FLIGHT)
        results = await asyncio.gather(*(self._one(prompt, min_version, places) for prompt in self._prompts))
        difficulty = [prompt.problem.metadata.get("difficulty") for prompt in self._prompts]
        metrics = evaluation_metrics(difficulty, [bool(result) for result in results])
        return {**metrics, "eval/failed": sum(result is None for result in results)}

    async def _one(self, prompt: Prompt, min_version: int, places: asyncio.Semaphore) -> bool | None:
        """Whether the answer is right; None if there is none."""
        config = self._config
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
                completions, _ = await self._sample(request)
            except SamplingFailed:
                return None
            return (await self._grader.grade(prompt.problem, completions[0].text)).correct
