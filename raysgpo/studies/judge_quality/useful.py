"""What a judge's verdicts are worth to a training: the answers to which they give a gradient, and what one costs.

The wrong responses, in the order of their digests and those of one problem side by side, stand in groups of
``GROUP``; each group goes through a run's own stages under the preset ``sgpo``: no error found in an answer that
ended wrong is no vote, the first error gives the RTS, the RTS the reward (eq. 2), and the group's mean and standard
deviation the advantage. An answer is useful where its advantage is not 0, and of the right sign where the labels give
an advantage of that sign. The cosine is that of the two vectors of advantages, over all of these answers: 1 of a judge
without errors, 0 of one that guesses. The cost of a useful gradient is what all verdicts on wrong responses took, lost
ones included, over the useful ones.

Groups of a training are of one problem, and its answers more alike than those of a file: compare judges on the same
rows, and take none of it for the share of a run.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from raysgpo.config import AlgorithmConfig, PartialCreditConfig
from raysgpo.groups.stages import advantage, credit, judged_before
from raysgpo.records import CORRECTNESS, Group, Problem, Rollout
from raysgpo.studies.judge_quality.labelled import LabelledRow
from raysgpo.studies.judge_quality.quality import Scored, share

GROUP = 8
"""Answers to one prompt, ``sampling.group_size`` by default."""
SGPO = AlgorithmConfig(partial_credit=PartialCreditConfig(kind="sgpo"))


def useful(scored: Sequence[Scored]) -> dict[str, Any]:
    """``useful`` of the wrong responses, ``right_sign`` of the useful ones; ``net``, those of the right sign less the
    others over all wrong responses; ``cosine`` of the advantages with those of the labels; and tokens and seconds a
    useful gradient. None where there is no such."""
    wrong = _side_by_side([one for one in scored if one.row.first_error is not None])
    pairs = [pair for first in range(0, len(wrong), GROUP) for pair in _advantages(wrong[first : first + GROUP])]
    found = [(judged, right) for judged, right in pairs if judged != 0]
    count, right_sign = len(found), sum(judged * right > 0 for judged, right in found)
    return {
        "useful": share([judged != 0 for judged, _ in pairs]),
        "right_sign": share([judged * right > 0 for judged, right in found]),
        "net": (2 * right_sign - count) / len(wrong) if wrong else None,
        "cosine": _cosine(pairs),
        "tokens_each": sum(one.tokens for one in wrong) / count if count else None,
        "seconds_each": sum(one.seconds for one in wrong) / count if count else None,
    }


def _cosine(pairs: Sequence[tuple[float, float]]) -> float | None:
    norms = math.prod(math.hypot(*side) for side in zip(*pairs, strict=True)) if pairs else 0.0
    return sum(judged * right for judged, right in pairs) / norms if norms else None


def _side_by_side(scored: Sequence[Scored]) -> list[Scored]:
    by_problem: dict[str, list[Scored]] = {}
    for one in sorted(scored, key=lambda one: one.row.digest):
        by_problem.setdefault(one.row.problem.prompt, []).append(one)
    return [one for rows in by_problem.values() for one in rows]


def _advantages(scored: Sequence[Scored]) -> list[tuple[float, float]]:
    """Of each answer of a group: by the judge's votes, and by the labels."""
    judged = _group([_rollout(one.row, one.votes) for one in scored])
    right = _group([_rollout(one.row, (one.row.position,)) for one in scored])
    return [(one.advantage, other.advantage) for one, other in zip(judged, right, strict=True)]


def _group(rollouts: Sequence[Rollout]) -> tuple[Rollout, ...]:
    problem = Problem("labelled", "", "", None)
    group = Group(0, 0, 0, problem, tuple(rollouts), judge=True, judged=True)
    judged = judged_before(group, SGPO.partial_credit)
    return advantage(credit(judged, SGPO.partial_credit), SGPO).rollouts_G


def _rollout(row: LabelledRow, votes: Sequence[int | None]) -> Rollout:
    """A wrong answer that ended, with its votes."""
    steps = len(row.steps)
    return Rollout(
        segments=(),
        text="".join(row.steps),
        finish_reason="stop",
        seed=0,
        weight_versions=(),
        correct=False,
        reward_parts={CORRECTNESS: 0.0},
        reasoning_steps=steps,
        given_steps=0,
        step_tokens=(1,) * steps,
        votes=tuple(votes),
    )
