"""From the groups of a step to each rank's share: what the stages stamped, as the trainer reads it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from raysgpo.algorithms.aggregation import aggregate
from raysgpo.config import Config
from raysgpo.policy.plan import choose_layout, plan_step
from raysgpo.policy.sequences import Share, TrainSequence
from raysgpo.records import Group, Role, Rollout


def step_shares(step: int, groups_P: Sequence[Group], config: Config, world: int) -> list[Share]:
    """One share a rank. Dropped groups are left out of the gradient and of its denominator."""
    trained = [group for group in groups_P if group.dropped is None]
    if not trained:
        return [Share(step, [[]], denominator=1.0, num_tokens=0)] * world
    aggregation = aggregate(
        config.algorithm.aggregation,
        [[_loss_weight_T(rollout) for rollout in group.rollouts_G] for group in trained],
        config.sampling.max_tokens,
    )
    sequences = [
        _sequence(rollout, weight_T)
        for group, weights_G in zip(trained, aggregation.weights, strict=True)
        for rollout, weight_T in zip(group.rollouts_G, weights_G, strict=True)
    ]
    trainer = config.trainer
    layout = choose_layout(trainer.layout, trainer.attention)
    lengths = [len(sequence) for sequence in sequences]
    plan = plan_step(lengths, world, trainer.tokens_per_micro_batch, layout)
    num_tokens = sum(int(sequence.sampled_T.sum()) for sequence in sequences)
    return [
        Share(step, [[sequences[index] for index in batch] for batch in rank], aggregation.denominator, num_tokens)
        for rank in plan
    ]


def _sequence(rollout: Rollout, loss_weight_T: np.ndarray) -> TrainSequence:
    segments = rollout.segments
    sampled_T = np.concatenate([np.full(len(s.token_ids_T), s.role is Role.COMPLETION) for s in segments])
    return TrainSequence(
        token_ids_T=np.concatenate([s.token_ids_T for s in segments]),
        loss_weight_T=loss_weight_T.astype(np.float32),
        advantages_T=np.where(loss_weight_T != 0, rollout.advantage, 0.0).astype(np.float32),
        logprobs_T=np.concatenate([s.logprobs_T for s in segments]),
        sampled_T=sampled_T,
    )


def _loss_weight_T(rollout: Rollout) -> np.ndarray:
    return np.concatenate([segment.loss_weight_T for segment in rollout.segments])
