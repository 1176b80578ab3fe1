"""Which step of an answer an advantage is due to, by the verdict of its judge (``algorithm.credit``)."""

from __future__ import annotations

from dataclasses import replace

from raysgpo.algorithms.step_credit import prefix, split
from raysgpo.config import AlgorithmConfig
from raysgpo.records import Group, Rollout


def step_credit(group: Group, config: AlgorithmConfig) -> Group:
    """``step_advantages`` of the answers that have a verdict, from their final advantages; the others keep one for all
    their tokens. Nothing is changed under ``answer``."""
    if config.credit == "answer" or group.dropped is not None or not group.judged:
        return group
    told = {index: rollout for index, rollout in enumerate(group.rollouts_G) if _told(rollout, config)}
    errors = [_first_wrong(rollout) for rollout in told.values()]
    steps = [len(rollout.step_tokens or ()) for rollout in told.values()]
    advantages = [rollout.advantage for rollout in told.values()]
    if config.credit == "prefix":
        stamps = [prefix(*answer) for answer in zip(advantages, errors, steps, strict=True)]
    else:
        # Under a threshold a failed answer is reinforced nowhere, so nobody expects more of one that got on.
        stamps = split(advantages, errors, steps, flat=config.compared_with.threshold)
    rollouts = list(group.rollouts_G)
    for index, stamps_N in zip(told, stamps, strict=True):
        rollouts[index] = replace(rollouts[index], step_advantages=tuple(stamps_N.tolist()))
    return group.with_rollouts(rollouts)


def _told(rollout: Rollout, config: AlgorithmConfig) -> bool:
    """Whether a verdict says of its steps which are right; one without a step has none, a masked one bears no loss."""
    masked = config.mask_truncated and rollout.truncated
    return not rollout.correct and rollout.rts is not None and bool(rollout.step_tokens) and not masked


def _first_wrong(rollout: Rollout) -> int:
    """The place that its RTS is counted to: the number of steps if it was cut off without an error. What the judge
    finds wrong in the guidance is laid to the first step of the policy's own."""
    assert rollout.step_tokens is not None and rollout.given_steps is not None, "its steps were measured"
    steps = len(rollout.step_tokens)
    if rollout.first_error is None:
        return steps if rollout.truncated else steps - 1
    return min(max(rollout.first_error, rollout.given_steps), steps - 1)
