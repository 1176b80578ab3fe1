"""What happens to one ticket: sample -> reward -> judge -> credit -> advantage -> keep.

No Ray here: the sampler comes in as a callable, so the whole path is tested without a cluster.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

from raysgpo import stages
from raysgpo.config import Config
from raysgpo.judging.panel import Panel
from raysgpo.records import Completion, Drop, Group, Role, Rollout, SampleRequest, Segment, Ticket
from raysgpo.sampling import RetryingSampler, SamplingFailed
from raysgpo.tasks.grader import Grader
from raysgpo.tasks.task import Task


@dataclass(frozen=True, slots=True)
class Pipeline:
    """The path of a group, for one run's task, judge and settings."""

    config: Config
    task: Task
    grader: Grader
    panel: Panel | None
    """None where nothing is judged."""
    sample: RetryingSampler

    async def run(self, ticket: Ticket) -> Group:
        """The finished group of a ticket. A failure is a dropped group with its reason, never an exception."""
        group = Group(ticket.position, ticket.step, ticket.epoch, ticket.problem, (), judge=ticket.judge)
        start = time.time()
        try:
            completions_G, attempt = await self.sample(self._request(ticket))
        except SamplingFailed as error:
            interval = (start, time.time())
            return replace(group, dropped=Drop.FAILED, error=str(error), sample_interval=interval)
        rollouts_G = tuple(
            _rollout(ticket, seed, completion, attempt)
            for seed, completion in zip(ticket.seeds_G, completions_G, strict=True)
        )
        return await self._scored(replace(group, rollouts_G=rollouts_G, sample_interval=(start, time.time())))

    def _request(self, ticket: Ticket) -> SampleRequest:
        sampling = self.config.sampling
        return SampleRequest(
            prompt_ids=ticket.prompt_ids,
            seeds_G=ticket.seeds_G,
            max_tokens=sampling.max_tokens,
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            top_k=sampling.top_k,
            stop=sampling.stop,
            min_version=ticket.min_version,
        )

    async def _scored(self, group: Group) -> Group:
        group = await stages.reward(group, self.task, self.grader, self.config.task.failed_grading)
        return await compared(group, self.config, self.task, self.panel)


async def compared(group: Group, config: Config, task: Task, panel: Panel | None) -> Group:
    """What happens to a graded group: judge -> credit -> advantage -> keep. One that was judged is not judged again."""
    algorithm = config.algorithm
    if panel is not None and config.needs_judge and not group.judged:
        group = await stages.judge(group, task, panel, algorithm.partial_credit)
    if config.needs_judge:
        group = stages.credit(group, algorithm.partial_credit)
    return stages.keep(stages.advantage(group, algorithm), algorithm.keep)


def _rollout(ticket: Ticket, seed: int, completion: Completion, attempt: int) -> Rollout:
    return Rollout(
        segments=(
            Segment.given(Role.PROMPT, ticket.prompt_ids),
            Segment.sampled(completion.token_ids_T, completion.logprobs_T),
        ),
        text=completion.text,
        finish_reason=completion.finish_reason,
        seed=seed,
        weight_versions=completion.weight_versions,
        attempt=attempt,
    )
