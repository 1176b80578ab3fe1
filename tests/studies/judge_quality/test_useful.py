"""The gradients that verdicts give are those of a run's stages, and the hand-worked ones."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raysgpo.config import JudgeConfig, TaskConfig
from raysgpo.groups import stages
from raysgpo.judging.judge import Failure
from raysgpo.judging.panel import Panel
from raysgpo.records import Group, Problem, Rollout
from raysgpo.studies.judge_quality.labelled import LabelledRow
from raysgpo.studies.judge_quality.quality import Scored
from raysgpo.studies.judge_quality.useful import GROUP, SGPO, useful
from raysgpo.tasks.arithmetic import ArithmeticTask
from tests.judging.scripted import scripted

NO_LOSS = {failure.value: 0 for failure in Failure}
PROBLEM = Problem("p", "1+1=?", "2", "1+1=2\n#### 2")


def scored(
    name: str, first_error: int | None, *votes: int | None, tokens: int = 10, problem: Problem = PROBLEM
) -> Scored:
    steps = tuple(f"{name}, step {i}\n" for i in range(4))
    return Scored(LabelledRow(problem, steps, first_error), votes, 0.5, tokens, NO_LOSS)


def test_a_group_worked_by_hand() -> None:
    """First errors 0, 1, 3 and a lost vote: three rewards that differ, none the mean; the fourth has no part.

    The labels say 0, 1, 2, 3, whose rewards eq. 2 makes 0.0067, 0.0759, 0.5 and 0.9241, mean 0.377: the first two lie
    below and the third above. The judge's 0.0067, 0.0759 and 0.9241 have the mean 0.336: the third, which it calls
    wrong in the last step, lies above in both.
    """
    found = useful([scored("a", 0, 0), scored("b", 1, 1), scored("c", 2, 3), scored("d", 3, None, tokens=30)])
    assert (found["useful"]["count"], found["useful"]["rows"]) == (3, 4)
    assert (found["right_sign"]["count"], found["right_sign"]["rows"]) == (3, 3)
    assert (found["net"], found["tokens_each"], found["seconds_each"]) == (3 / 4, 60 / 3, 2 / 3)


def test_a_wrong_sign_is_told() -> None:
    """The judge has the two the other way round."""
    found = useful([scored("a", 0, 3), scored("b", 3, 0)])
    assert (found["useful"]["value"], found["right_sign"]["value"], found["net"], found["tokens_each"]) == (
        1,
        0,
        -1,
        10,
    )


def test_the_cosine_of_a_judge_that_is_right_reversed_or_half_right() -> None:
    """Two answers to a problem have the advantages 1 / sqrt 2 and -1 / sqrt 2: right in one of two problems is 0."""
    one, other = Problem("1", "1+1=?", "2"), Problem("2", "2+2=?", "4")
    right = [scored(f"a{i}", 0 if i % 2 else 3, 0 if i % 2 else 3, problem=one) for i in range(GROUP)]
    wrong = [scored(f"b{i}", 0 if i % 2 else 3, 3 if i % 2 else 0, problem=other) for i in range(GROUP)]
    silent = [scored(f"c{i}", 0 if i % 2 else 3, None, problem=other) for i in range(GROUP)]
    assert useful(right)["cosine"] == pytest.approx(1) and useful(wrong)["cosine"] == pytest.approx(-1)
    assert useful(right + wrong)["cosine"] == pytest.approx(0, abs=1e-9)
    assert useful(right + silent)["cosine"] == pytest.approx(2**-0.5)
    assert useful(silent)["cosine"] is useful([])["cosine"] is None


@pytest.mark.parametrize("votes", [(1, 1, 1), (4, 4, 4), (None, None, None), (0, None, 4)])
def test_a_judge_that_tells_nothing_apart_gives_no_gradient(votes: tuple[int | None, ...]) -> None:
    """All alike, no error in any, all lost, and one score alone."""
    found = useful([scored(name, 1 + place, vote) for place, (name, vote) in enumerate(zip("abc", votes, strict=True))])
    assert found["useful"] == {**found["useful"], "count": 0, "rows": 3}
    assert found["tokens_each"] is found["seconds_each"] is found["right_sign"]["value"] is None and found["net"] == 0


def test_right_responses_cost_and_count_nothing_and_no_rows_are_null() -> None:
    pair = [scored("a", 0, 0), scored("b", 3, 3)]
    assert useful([*pair, scored("right", None, 2, tokens=1000)]) == useful(pair)
    assert useful([])["useful"]["value"] is useful([])["tokens_each"] is None


def test_answers_to_one_problem_stand_in_one_group() -> None:
    """Within each of two problems all answers are called alike, between them they are not: nothing is learned."""
    first, second = Problem("1", "1+1=?", "2"), Problem("2", "2+2=?", "4")
    alike = [scored(f"a{i}", 1, 0, problem=first) for i in range(GROUP)]
    others = [scored(f"b{i}", 1, 3, problem=second) for i in range(GROUP)]
    mixed = [one for pair in zip(alike, others, strict=True) for one in pair]
    assert useful(mixed)["useful"]["count"] == 0


@given(st.permutations(range(12)))
def test_the_order_in_which_verdicts_come_changes_nothing(order: list[int]) -> None:
    rng = random.Random(1)
    rows = [scored(str(i), rng.randrange(4), rng.choice([None, 0, 1, 2, 3, 4])) for i in range(12)]
    assert useful([rows[i] for i in order]) == useful(rows)


@pytest.mark.parametrize("seed", range(20))
def test_the_advantages_are_those_that_a_run_gives_the_same_votes(seed: int) -> None:
    rng = random.Random(seed)
    votes = [rng.choice([None, 0, 1, 2, 3, 4]) for _ in range(GROUP)]
    rows = [scored(f"{i}", rng.randrange(4), vote) for i, vote in enumerate(votes)]
    by_text = {"".join(one.row.steps): one.votes[0] for one in rows}

    async def said(problem: Problem, steps: Sequence[str], seed: int) -> int | None:
        return by_text["".join(steps)]

    texts = ["".join(one.row.steps) for one in rows]
    rollouts = tuple(
        Rollout((), text, "stop", 0, (), correct=False, reward_parts={"correctness": 0.0}) for text in texts
    )
    group = Group(0, 0, 0, PROBLEM, rollouts, judge=True)
    panel = Panel(scripted(said), JudgeConfig())
    judged = asyncio.run(stages.judge(group, ArithmeticTask(TaskConfig(), 1), panel, SGPO.partial_credit))
    compared = stages.advantage(stages.credit(judged, SGPO.partial_credit), SGPO)
    assert useful(rows)["useful"]["count"] == sum(rollout.advantage != 0 for rollout in compared.rollouts_G)
