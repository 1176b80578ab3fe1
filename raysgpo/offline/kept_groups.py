"""Which groups of a file are trained on, and what positive-only training makes of them.

The two halves of the contrast of SGPO (arXiv 2505.11595), section 4.1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from raysgpo.config import AlgorithmConfig, Config, OfflineConfig
from raysgpo.config.overrides import ConfigError
from raysgpo.groups import stages
from raysgpo.offline.groups_file import read_groups, row_of
from raysgpo.output.run_folder import RunFolder
from raysgpo.records import CORRECTNESS, Drop, Group, Problem, Rollout
from raysgpo.tasks.loaded import load_task


def selected(config: Config) -> list[Group] | None:
    """The kept groups of ``offline.groups``, or the task's solutions; None if the run samples its own, or has kept and
    judged them already.

    Raises:
        ConfigError: the file cannot be used, or nothing of it is kept; the message names file and row.
    """
    settings = config.offline
    judged = config.resume is not None and RunFolder(Path(config.resume)).judged.exists()
    if judged:
        return None
    if settings.keep == "solutions":
        return solutions(config)
    if settings.groups is None:
        return None
    try:
        groups = read_groups(settings.groups, rejudge=settings.rejudge)
        return kept_groups(groups, settings, config.algorithm, settings.groups)
    except ValueError as error:
        raise ConfigError(f"offline.groups={error}") from None


def solutions(config: Config) -> list[Group]:
    """Each training problem of the task with its own solution as the one, right answer.

    Raises:
        ConfigError: the task cannot be built, or a problem has no solution.
    """
    try:
        problems = load_task(config).train
    except ValueError as error:
        raise ConfigError(str(error)) from error
    missing = [problem.id for problem in problems if not problem.reference]
    if missing:
        raise ConfigError(
            f"offline.keep=solutions: {len(missing)} of {len(problems)} rows lack a solution (first: {missing[0]}): "
            "add the field 'solution', or remove them"
        )
    return [_solved(position, problem) for position, problem in enumerate(problems)]


def _solved(position: int, problem: Problem) -> Group:
    answer = Rollout(
        segments=(),
        text=problem.reference or "",
        finish_reason="stop",
        seed=0,
        weight_versions=(),
        correct=True,
        reward_parts={CORRECTNESS: 1.0},
    )
    return Group(position=position, step=0, epoch=0, problem=problem, rollouts_G=(answer,))


def kept_groups(groups: Sequence[Group], settings: OfflineConfig, algorithm: AlgorithmConfig, path: str) -> list[Group]:
    """``all_negative``: the groups without a right answer; ``positive``: those with one.

    Raises:
        ValueError: there is none, the kept groups have one response each and are compared with their mean, or
            their verdicts are without what the RTS follows from; the message names ``path``.
    """
    if settings.keep == "all_negative":
        kept = [group for group in groups if group.all_negative]
        missing = "is all-negative, every one has a right answer: take a harder task, or set offline.keep=positive"
    else:
        kept = [group for group in groups if not group.all_negative]
        missing = "has a right answer: take an easier task, or set offline.keep=all_negative"
    if not kept:
        raise ValueError(f"{path}: none of its {len(groups)} groups {missing}")
    alone = len(kept[0].rollouts_G) == 1 and algorithm.needs_group
    if alone and not (settings.keep == "positive" and settings.positive_advantage == "one"):
        raise ValueError(
            f"{path}, row {kept[0].position + 1}: a group of one response has nothing to be compared with: sample two "
            "or more to a prompt, or set algorithm.baseline=none algorithm.scale=none"
        )
    credit = algorithm.partial_credit
    unmeasured = [group for group in kept if group.judged and any(map(_only_scored, group.rollouts_G))]
    by_step = credit.rts == "tokens" or algorithm.credit != "answer"
    if settings.keep == "all_negative" and credit.kind != "none" and by_step and unmeasured:
        raise ValueError(
            f"{row_of(path, unmeasured[0])}: it was judged, without the votes, given_steps and step_tokens that "
            f"algorithm.partial_credit.rts={credit.rts} and algorithm.credit={algorithm.credit} are counted from: set "
            "offline.rejudge=true, or rts=steps and credit=answer"
        )
    return kept


def _only_scored(rollout: Rollout) -> bool:
    """Whether all that is known of a verdict is its RTS, which may have counted steps or tokens."""
    return rollout.rts is not None and not stages.can_be_scored(rollout)


def right_answers(group: Group, algorithm: AlgorithmConfig, advantage: Literal["one", "group"]) -> Group:
    """The group's right answers alone, with what each is worth.

    ``one``: advantage 1. ``group``: the advantage within the whole group (eq. 1), where that is positive; so of
    r = 1, 0, 0, 0 under ddof 1 the one that is left has 0.75 / 0.5 = 1.5, and a group of right answers alone has
    none and is dropped.
    """
    if advantage == "one":
        rollouts = [replace(rollout, advantage=1.0) for rollout in group.rollouts_G if rollout.correct]
    else:
        compared = stages.advantage(group, algorithm)
        rollouts = [rollout for rollout in compared.rollouts_G if rollout.correct and rollout.advantage > 0]
    return replace(group.with_rollouts(rollouts), dropped=None if rollouts else Drop.NO_SIGNAL)
