"""From a judge's verdict to the advantages of tokens: which answers it tells apart, and where their steps lie."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from raysgpo.config import AlgorithmConfig, Config
from raysgpo.groups import stages
from raysgpo.groups.pipeline import compared
from raysgpo.groups.step_credit import step_credit
from raysgpo.groups.step_lengths import measured
from raysgpo.judging.panel import Panel
from raysgpo.output.group_json import group_from_row, group_row
from raysgpo.policy.shares import update_shares
from raysgpo.records import Drop, Group, Role, Rollout, Segment, Verdict
from raysgpo.tasks.arithmetic import ArithmeticTask
from tests.conftest import build_group, build_rollout
from tests.judging.scripted import scripted
from tests.preset_groups import finished_groups, settings
from tests.resolved import resolved

STEPS = ("3+4=7\n", "7-2=6\n", "#### 6")


def credit(to: str, **settings: Any) -> AlgorithmConfig:
    return AlgorithmConfig(credit=to, partial_credit={"kind": "sgpo"}, **settings)  # type: ignore[arg-type]


def judged(error: int | None, advantage: float, given: int = 0, **changes: Any) -> Rollout:
    """An answer of three steps of 2, 1 and 4 tokens, the last of which ends the turn, that errs in one of them."""
    said = {"verdict": Verdict.ERROR, "first_error": error, "rts": 0.5, "advantage": advantage, "given_steps": given}
    return build_rollout(
        "".join(STEPS), tokens=7, **{"step_tokens": (2, 1, 4), "reasoning_steps": 3, **said, **changes}
    )


def stamps(config: AlgorithmConfig, *rollouts: Rollout, **changes: Any) -> list[tuple[float, ...] | None]:
    group = build_group(0, rollouts, **{"judged": True, **changes})
    return [rollout.step_advantages for rollout in step_credit(group, config).rollouts_G]


def test_with_answer_a_group_is_left_as_it_is() -> None:
    group = build_group(0, [judged(1, 0.5), judged(0, -0.5)], judged=True)
    assert step_credit(group, credit("answer")) is group
    for plain, named in zip(
        finished_groups(settings("sgpo")), finished_groups(settings("sgpo", ["algorithm.credit=answer"])), strict=True
    ):
        assert group_row(plain, tokens=True) == group_row(named, tokens=True)
        assert all(rollout.step_advantages is None for rollout in plain.rollouts_G)


@pytest.mark.parametrize("to", ["prefix", "split"])
def test_what_has_no_verdict_keeps_one_advantage_for_all_its_tokens(to: str) -> None:
    """A right answer, one whose votes were lost, one without a step; and all of a group that was not judged."""
    right = judged(None, 1.0, correct=True, verdict=None, rts=None)
    lost = judged(None, 0.0, verdict=Verdict.LOST, rts=None)
    empty = judged(None, -1.0, step_tokens=(), reasoning_steps=0)
    found = stamps(credit(to), right, lost, empty, judged(1, -0.5))
    assert found[:3] == [None] * 3 and found[3] is not None
    assert stamps(credit(to), judged(1, -0.5), judged=False) == [None]
    assert stamps(credit(to), judged(1, -0.5), dropped=Drop.NO_SIGNAL) == [None]


def test_prefix_is_the_sign_of_the_advantage_by_the_side_of_the_first_error() -> None:
    found = stamps(credit("prefix"), judged(1, -0.5), judged(1, 0.5), judged(0, -0.5), judged(0, 0.5))
    assert found == [(0, -0.5, -0.5), (0.5, 0, 0), (-0.5,) * 3, (0, 0, 0)]


def test_an_answer_that_was_cut_off_has_no_wrong_step_and_one_that_ended_errs_in_its_last() -> None:
    cut = judged(None, 0.5, finish_reason="length", verdict=Verdict.NONE_FOUND)
    ended = judged(None, 0.5, verdict=Verdict.NONE_FOUND)
    assert stamps(credit("prefix"), cut, ended) == [(0.5, 0.5, 0.5), (0.5, 0.5, 0)]
    assert stamps(credit("prefix", mask_truncated=True), cut, ended) == [None, (0.5, 0.5, 0)]


def test_an_error_that_is_found_in_the_guidance_is_laid_to_the_first_step_of_the_policys_own() -> None:
    assert stamps(credit("prefix"), judged(0, -0.5, given=1)) == [(0, -0.5, -0.5)]
    assert stamps(credit("split"), judged(0, -0.5, given=1), judged(2, 0.5)) == [(0.0, -0.5, 0.0), (0.0, 0.5, 0.0)]


def test_a_failed_answer_is_reinforced_on_no_token_under_corpo() -> None:
    """Also where a wrong answer that lies above the threshold stands beside it."""
    for to in ("prefix", "split"):
        for words in ([], ["algorithm.partial_credit.scale=1"], ["algorithm.partial_credit.groups=all_wrong"]):
            config = settings("sgpo_corpo", [f"algorithm.credit={to}", *words])
            groups = finished_groups(config)
            assert any(r.step_advantages is not None for group in groups for r in group.rollouts_G)
            for group in groups:
                for rollout in group.rollouts_G:
                    if rollout.graded < 0.5 and rollout.step_advantages is not None:
                        assert max(rollout.step_advantages) <= 0 and min(rollout.step_advantages) == rollout.advantage


def test_steps_lie_where_the_judge_cut_the_text() -> None:
    """A token that crosses a border belongs to the step that it begins in, and the end of the turn to the last. The
    second step is the first wrong one."""
    pieces = ["3+", "4=7\n7", "-2=6\n", "#", "### 6", ""]
    ends_T = np.cumsum([len(piece) for piece in pieces]).astype(np.int32)
    sampled = Segment.sampled(np.arange(6, dtype=np.int32), np.zeros(6, np.float32))
    segments = (Segment.given(Role.PROMPT, [1, 2]), sampled)
    told = measured(judged(1, -0.5, segments=segments, text_ends_T=ends_T), STEPS)
    group = step_credit(build_group(0, [told], judged=True), credit("prefix"))
    [share] = update_shares(0, [group], settings("sgpo", ["algorithm.credit=prefix"]), 1)
    [sequence] = share.micro_batches[0]
    assert sequence.advantages_T[sequence.sampled_T].tolist() == [0, 0, -0.5, -0.5, -0.5, -0.5]


def test_a_group_that_is_read_back_and_judged_by_its_votes_has_the_same_stamps() -> None:
    """As an offline run has it: the file says the votes, and the settings of now what they are worth."""
    config = settings("sgpo", ["algorithm.credit=split"])
    task = ArithmeticTask(config.task, 1)

    async def never(problem: object, steps: Sequence[str], seed: int) -> int | None:
        raise AssertionError("its votes are there")

    for group in finished_groups(config):
        if group.dropped is not None or not group.judged:
            continue
        bare = [replace(rollout, step_advantages=None, advantage=0.0) for rollout in group.rollouts_G]
        read = group_from_row(group_row(group.with_rollouts(bare), tokens=True))
        again = asyncio.run(compared(read, resolved(config), task, Panel(scripted(never), config.judge)))
        [again] = stages.over_step([again], config.algorithm)
        assert [r.step_advantages for r in again.rollouts_G] == [r.step_advantages for r in group.rollouts_G]


def test_what_a_replay_reads_of_the_record_is_what_was_trained_on() -> None:
    config = settings("sgpo", ["algorithm.credit=split"])
    groups = finished_groups(config)
    read = [group_from_row(json.loads(json.dumps(group_row(group, tokens=True)))) for group in groups]
    assert stamped(groups, config) == stamped(read, config) != stamped(finished_groups(settings("sgpo")), config)


def stamped(groups: Sequence[Group], config: Config) -> list[list[float]]:
    """The advantages of the tokens of each sequence of an update over these groups."""
    [share] = update_shares(0, groups, config, 1)
    return [sequence.advantages_T.tolist() for batch in share.micro_batches for sequence in batch]
