"""From the groups of a step to each rank's share of its updates: what the stages stamped, as the trainer reads it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import islice

import numpy as np

from raysgpo.algorithms.aggregation import aggregate
from raysgpo.config import Config
from raysgpo.config.presets import Denominator
from raysgpo.policy.layout import Size, choose_layout
from raysgpo.policy.micro_batches import Plan, plan_micro_batches
from raysgpo.policy.sequences import Share, TrainSequence
from raysgpo.records import Drop, Float_T, Group, Role, Rollout

Logprobs = list[list[Float_T]]
"""Of one rank's share: micro-batch, sequence, token."""


def step_shares(step: int, groups_P: Sequence[Group], config: Config, world: int) -> list[list[Share]]:
    """The updates of a step, ``optimizer.updates_per_step`` of them, each one share a rank.

    The groups that count are divided over them in their order, as evenly as can be.
    """
    counted = [group for group in groups_P if counts(group, config.algorithm.denominator)]
    left = iter(counted)
    parts = [list(islice(left, size)) for size in config.optimizer.divided(len(counted))]
    first = step * config.optimizer.updates_per_step
    return [update_shares(first + number, part, config, world) for number, part in enumerate(parts)]


def update_shares(update: int, groups_P: Sequence[Group], config: Config, world: int) -> list[Share]:
    """One share a rank of an update over all these groups; ``algorithm.denominator`` says which are counted.

    One without a signal has a gradient of its KL penalty alone: without that it is counted and not computed.
    """
    algorithm = config.algorithm
    counted = [group for group in groups_P if counts(group, algorithm.denominator)]
    aggregation = aggregate(
        algorithm.aggregation,
        [[_loss_weight_T(rollout, algorithm.mask_truncated) for rollout in group.rollouts_G] for group in counted],
        config.sampling.max_tokens,
    )
    weighted = [
        (group, weights_G)
        for group, weights_G in zip(counted, aggregation.weights, strict=True)
        if group.dropped is None or algorithm.kl_coefficient > 0
    ]
    if not weighted or aggregation.denominator == 0:
        return [Share(update, [[]], denominator=1.0, num_tokens=0)] * world
    trained = [group for group, _ in weighted]
    sequences = [
        _sequence(rollout, weight_T)
        for group, weights_G in weighted
        for rollout, weight_T in zip(group.rollouts_G, weights_G, strict=True)
    ]
    plan = _plan(trained, config, world)
    num_tokens = sum(int(sequence.sampled_T.sum()) for sequence in sequences)
    divided = [[[sequences[index] for index in batch] for batch in rank] for rank in plan]
    return [Share(update, batches, aggregation.denominator, num_tokens) for batches in divided]


def counts(group: Group, denominator: Denominator) -> bool:
    """Whether the denominator counts it: what failed, was filtered out or is too old is no part of the step."""
    return group.dropped is None or (denominator == "sampled" and group.dropped is Drop.NO_SIGNAL)


def with_logprobs(groups_P: Sequence[Group], config: Config, logprobs: Sequence[Logprobs]) -> list[Group]:
    """The groups with the logprobs that the ranks worked out for their shares of ``update_shares``, one entry a rank.

    ``Policy.logprobs`` gives them; they take the place of those of the completions. No group may be dropped.
    """
    assert all(group.dropped is None for group in groups_P), "a dropped group has no sequences in a share"
    rollouts = [rollout for group in groups_P for rollout in group.rollouts_G]
    found: dict[int, Float_T] = {}
    for batches, given in zip(_plan(groups_P, config, len(logprobs)), logprobs, strict=True):
        for batch, arrays in zip(batches, given, strict=True):
            found.update(zip(batch, arrays, strict=True))
    scored = iter([_scored(rollout, found[index]) for index, rollout in enumerate(rollouts)])
    return [group.with_rollouts([next(scored) for _ in group.rollouts_G]) for group in groups_P]


def _scored(rollout: Rollout, logprobs_T: Float_T) -> Rollout:
    ends = np.cumsum([len(segment.token_ids_T) for segment in rollout.segments])
    parts = np.split(logprobs_T, ends[:-1])
    segments = tuple(
        replace(segment, logprobs_T=part_T) if segment.role is Role.COMPLETION else segment
        for segment, part_T in zip(rollout.segments, parts, strict=True)
    )
    return replace(rollout, segments=segments)


def _plan(groups_P: Sequence[Group], config: Config, world: int) -> Plan:
    """Indices into the rollouts of all groups, one group after the other."""
    sizes = [
        Size(sum(len(segment.token_ids_T) for segment in rollout.segments), _prompt_length(rollout), number)
        for number, group in enumerate(groups_P)
        for rollout in group.rollouts_G
    ]
    trainer = config.trainer
    return plan_micro_batches(
        sizes, world, trainer.tokens_per_micro_batch, choose_layout(trainer), trainer.attention_parity
    )


def _prompt_length(rollout: Rollout) -> int:
    first = rollout.segments[0]
    return len(first.token_ids_T) if first.role is Role.PROMPT else 0


def _sequence(rollout: Rollout, loss_weight_T: np.ndarray) -> TrainSequence:
    segments = rollout.segments
    sampled_T = np.concatenate([np.full(len(s.token_ids_T), s.role is Role.COMPLETION) for s in segments])
    return TrainSequence(
        token_ids_T=np.concatenate([s.token_ids_T for s in segments]),
        loss_weight_T=loss_weight_T.astype(np.float32),
        advantages_T=np.where(loss_weight_T != 0, _advantages_T(rollout, sampled_T), 0.0).astype(np.float32),
        logprobs_T=np.concatenate([s.logprobs_T for s in segments]),
        sampled_T=sampled_T,
        prompt_length=_prompt_length(rollout),
    )


def _advantages_T(rollout: Rollout, sampled_T: np.ndarray) -> np.ndarray:
    """Where each step has its own, what was given is no step of the policy's and has none."""
    if rollout.step_advantages is None:
        return np.full(len(sampled_T), rollout.advantage)
    assert rollout.step_tokens is not None, "a step's advantage is that of its tokens"
    advantages_T = np.zeros(len(sampled_T))
    advantages_T[sampled_T] = np.repeat(rollout.step_advantages, rollout.step_tokens)
    return advantages_T


def _loss_weight_T(rollout: Rollout, mask_truncated: bool) -> np.ndarray:
    weight_T = np.concatenate([segment.loss_weight_T for segment in rollout.segments])
    return np.zeros_like(weight_T) if mask_truncated and rollout.truncated else weight_T
