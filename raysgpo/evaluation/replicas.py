"""Rollout replicas as those who answer."""

from __future__ import annotations

from collections.abc import Iterable

from raysgpo.evaluation.answers import NoReply, Question, Reply
from raysgpo.groups.prepared import EncodedSet
from raysgpo.groups.retrying_sampler import RetryingSampler, SamplingFailed
from raysgpo.records import SampleRequest

IN_FLIGHT = 256
"""Answers that one replica is asked for at a time: enough to fill its batches."""


class ReplicaAnswers:
    """An ``Ask`` of :mod:`raysgpo.evaluation.asking`."""

    def __init__(
        self, sample: RetryingSampler, sets: Iterable[EncodedSet], max_model_len: int, min_version: int
    ) -> None:
        """``max_model_len``: longest prompt plus answer, tokens. ``min_version``: of the weights that may answer."""
        self._sample = sample
        self._token_ids = {one.of.name: one.token_ids for one in sets}
        self._longest = max_model_len
        self._min_version = min_version

    async def __call__(self, question: Question) -> Reply:
        """Raises NoReply."""
        try:
            [completion] = (await self._sample(self.request(question)))[0]
        except SamplingFailed as error:
            raise NoReply(str(error)) from None
        return Reply(completion.text, len(completion.token_ids_T), completion.finish_reason == "length")

    def request(self, question: Question) -> SampleRequest:
        """What an engine is asked. Raises NoReply for a question that leaves no room for an answer."""
        settings, prompt_ids = question.of.settings, self._token_ids[question.of.name].get(question.problem.id)
        if prompt_ids is None:
            raise NoReply("the question is longer than the model's context")
        drawn = settings.temperature > 0
        return SampleRequest(
            prompt_ids=prompt_ids,
            seeds_G=(question.seed,),
            max_tokens=min(settings.max_tokens, self._longest - len(prompt_ids)),
            temperature=settings.temperature,
            top_p=settings.top_p if drawn else 1.0,
            top_k=settings.top_k if drawn else 0,
            min_version=self._min_version,
        )
