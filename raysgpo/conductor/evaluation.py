"""Held-out prompts on the rollout replicas, beside the stream and outside the window."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from functools import partial

from raysgpo.conductor.evaluated_sets import EvaluatedSets
from raysgpo.conductor.progress import due
from raysgpo.config import Config
from raysgpo.groups.prepared import Prepared, Prompt
from raysgpo.groups.retrying_sampler import RetryingSampler, SamplingFailed
from raysgpo.output.json_lines import Row
from raysgpo.output.metrics import Metrics, by_label, evaluation_metrics, problem_labels
from raysgpo.output.pass_at_k import mean_pass_at_k, reported_k
from raysgpo.records import Completion, SampleRequest
from raysgpo.seeds import derive_seed
from raysgpo.tasks.grader import make_grader

IN_FLIGHT = 256
"""Answers asked for at one time: enough to fill the replicas' batches, far below Serve's queue limits."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What one evaluation found: the numbers, and each prompt's answer in the order of the prompts."""

    metrics: Metrics
    answers: list[Row]
    set_answers: list[Row] = field(default_factory=list)
    """Every answer to the sets of ``evaluation.sets``."""


def evaluation_due(config: Config, steps_done: int, total_steps: int) -> bool:
    """Before the first step, every ``evaluation.every`` steps, and after the last."""
    every = config.evaluation.every
    return due(steps_done, every) or (every > 0 and steps_done == total_steps)


class Evaluator:
    """Greedy (by default) accuracy of whatever weights the replicas hold, and at the end pass@k."""

    def __init__(self, prepared: Prepared, sample: RetryingSampler) -> None:
        self._config = prepared.config
        self._prompts = prepared.held_out
        self._sample = sample
        self._grader = make_grader(prepared.task, self._config)
        self._sets = EvaluatedSets(prepared, sample)

    async def run(self, min_version: int, last: bool) -> Evaluation:
        """Accuracy with weights of ``min_version``. An answer that never came counts as wrong and in
        ``eval/failed``. The ``last`` of a run draws ``evaluation.samples`` answers more a prompt."""
        samples = self._config.evaluation.samples if last else 1
        places = asyncio.Semaphore(max(1, IN_FLIGHT // samples))
        answers = await asyncio.gather(*(self._one(prompt, min_version, samples, places) for prompt in self._prompts))
        labels_P = [problem_labels(prompt.problem) for prompt in self._prompts]
        metrics = evaluation_metrics(labels_P, [bool(answer["correct"]) for answer in answers])
        metrics["eval/failed"] = sum(answer["correct"] is None for answer in answers)
        if samples > 1:
            right_P = [sum(answer["samples_correct"] or ()) for answer in answers]
            for k in reported_k(samples):
                coverage = partial(mean_pass_at_k, answers=samples, k=k)
                metrics |= by_label(f"eval/pass_at_{k}", labels_P, right_P, coverage)
        of_sets, set_answers = await self._sets.run(min_version)
        return Evaluation(metrics | of_sets, answers, set_answers)

    async def _one(self, prompt: Prompt, min_version: int, samples: int, places: asyncio.Semaphore) -> Row:
        """The answer as a row of ``evaluation_answers.jsonl``, less its step."""
        evaluation, problem = self._config.evaluation, prompt.problem
        async with places:
            seeds: tuple[int, ...] = (derive_seed("evaluation", self._config.seed, problem.id),)
            first = await self._ask(prompt, seeds, evaluation.temperature, min_version)
            drawn = None
            if samples > 1:
                seeds = tuple(derive_seed("coverage", self._config.seed, problem.id, n) for n in range(samples))
                drawn = await self._ask(prompt, seeds, evaluation.samples_temperature, min_version)
            right = await self._grades(prompt, first)
            return {
                "prompt_id": problem.id,
                "correct": right[0] if right else None,
                "text": first[0].text if first else None,
                "num_tokens": len(first[0].token_ids_T) if first else None,
                "truncated": first[0].finish_reason == "length" if first else None,
                "samples_correct": await self._grades(prompt, drawn),
            }

    async def _ask(
        self, prompt: Prompt, seeds: tuple[int, ...], temperature: float, min_version: int
    ) -> list[Completion] | None:
        """One answer a seed; None if none came."""
        sampling, evaluation = self._config.sampling, self._config.evaluation
        request = SampleRequest(
            prompt_ids=prompt.token_ids,
            seeds_G=seeds,
            max_tokens=self._config.evaluation_tokens,
            temperature=temperature,
            top_p=evaluation.top_p if temperature else 1.0,
            top_k=evaluation.top_k if temperature else 0,
            stop=sampling.stop,
            min_version=min_version,
        )
        try:
            async with asyncio.timeout(evaluation.deadline):
                return (await self._sample(request))[0]
        except (SamplingFailed, TimeoutError):
            return None

    async def _grades(self, prompt: Prompt, completions: list[Completion] | None) -> list[bool] | None:
        if completions is None:
            return None
        grades = await self._grader.grades(prompt.problem, [one.text for one in completions])
        return [grade.correct for grade in grades]
