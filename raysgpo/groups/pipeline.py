"""What happens to one ticket: sample -> reward -> judge -> credit -> advantage -> keep -> success_filter.

No Ray here: the sampler comes in as a callable, so the whole path is tested without a cluster.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, replace

from raysgpo.config.resolved import ResolvedConfig
from raysgpo.groups import stages
from raysgpo.groups.retrying_sampler import ReplicasUnavailable, RetryingSampler, SamplingFailed
from raysgpo.judging.panel import Panel
from raysgpo.records import Completion, Drop, Group, Hint, Role, Rollout, SampleRequest, Segment, Ticket
from raysgpo.tasks.grader import Grader
from raysgpo.tasks.task import Task


@dataclass(frozen=True, slots=True)
class Pipeline:
    """The path of a group, for one run's task, judge and settings."""

    config: ResolvedConfig
    task: Task
    grader: Grader
    panel: Panel | None
    """None where nothing is judged."""
    sample: RetryingSampler

    async def run(self, ticket: Ticket) -> Group:
        """The finished group of a ticket. A failure is a dropped group with its reason, never an exception."""
        group = Group(
            ticket.position,
            ticket.step,
            ticket.epoch,
            ticket.problem,
            (),
            judge=ticket.judge,
            guidance_length=ticket.guidance_length,
        )
        start = time.time()
        try:
            rollouts_G = await self._sampled(ticket)
        except SamplingFailed as error:
            out = {"sampling/unavailable": 1.0} if isinstance(error, ReplicasUnavailable) else {}
            interval = (start, time.time())
            return replace(group, dropped=Drop.FAILED, error=str(error), sample_interval=interval, counts=out)
        return await self._scored(replace(group, rollouts_G=rollouts_G, sample_interval=(start, time.time())))

    async def _sampled(self, ticket: Ticket) -> tuple[Rollout, ...]:
        """Guided and free rollouts are asked for at the same time: their prompts differ."""
        guided = ticket.hint.rollouts if ticket.hint is not None else 0
        halves = [(ticket.hint, ticket.seeds_G[:guided]), (None, ticket.seeds_G[guided:])]
        parts = await asyncio.gather(*(self._part(ticket, hint, seeds_G) for hint, seeds_G in halves if seeds_G))
        return tuple(rollout for part in parts for rollout in part)

    async def _part(self, ticket: Ticket, hint: Hint | None, seeds_G: tuple[int, ...]) -> list[Rollout]:
        given = _given(ticket.prompt_ids, hint, self.config.guidance.loss_weight)
        sampling = self.config.sampling
        request = SampleRequest(
            prompt_ids=[int(token) for segment in given for token in segment.token_ids_T],
            seeds_G=seeds_G,
            max_tokens=sampling.max_tokens - (len(hint.token_ids) if hint is not None and hint.in_answer else 0),
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            top_k=sampling.top_k,
            stop=sampling.stop,
            min_version=ticket.min_version,
        )
        completions_G, attempt = await self.sample(request)
        text = hint.text if hint is not None else ""
        return [
            _rollout(given, text, seed, completion, attempt)
            for seed, completion in zip(seeds_G, completions_G, strict=True)
        ]

    async def _scored(self, group: Group) -> Group:
        group = await stages.reward(group, self.task, self.grader, self.config.task.failed_grading)
        return await compared(group, self.config, self.task, self.panel)


async def compared(group: Group, config: ResolvedConfig, task: Task, panel: Panel | None) -> Group:
    """What happens to a graded group: overlong -> bonus -> judge -> credit -> advantage -> keep -> success_filter.

    One that was judged is not judged again: what its votes say follows from the settings of now.
    """
    algorithm = config.algorithm
    group = stages.overlong(group, algorithm.soft_overlong, config.sampling.max_tokens)
    group = stages.bonus(group, algorithm.bonus)
    if config.needs_judge:
        if group.judged:
            group = stages.judged_before(group, algorithm.partial_credit)
        elif panel is not None:
            group = await stages.judge(group, task, panel, algorithm.partial_credit)
        group = stages.credit(group, algorithm.partial_credit)
    if not algorithm.needs_step:  # else its advantages wait for the other groups of its step
        group = stages.keep(stages.advantage(group, algorithm), algorithm.keep)
    return stages.success_filter(group, config.curriculum.success_window)


def _given(prompt_ids: list[int], hint: Hint | None, loss_weight: float) -> list[Segment]:
    """What stands before the sampled tokens; ``loss_weight`` is the guidance's."""
    if hint is None:
        return [Segment.given(Role.PROMPT, prompt_ids)]
    segments = [
        Segment.given(Role.PROMPT, prompt_ids[: hint.at]),
        Segment.given(Role.GUIDANCE, hint.token_ids, loss_weight),
        Segment.given(Role.PROMPT, prompt_ids[hint.at :]),
    ]
    return [segment for segment in segments if len(segment.token_ids_T)]


def _rollout(given: list[Segment], text: str, seed: int, completion: Completion, attempt: int) -> Rollout:
    """``text``: the part of the answer that was given."""
    return Rollout(
        segments=(*given, Segment.sampled(completion.token_ids_T, completion.logprobs_T)),
        text=text + completion.text,
        finish_reason=completion.finish_reason,
        seed=seed,
        weight_versions=completion.weight_versions,
        attempt=attempt,
        guidance_characters=len(text),
        text_ends_T=completion.text_ends_T,
    )
