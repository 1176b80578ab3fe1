"""How good a judge is: the rates of hand-made rows are worked by hand, and rows come in as they were labelled."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raysgpo.config import JudgeConfig, TaskConfig
from raysgpo.judging.judge import Failure, Judgement, Outcome
from raysgpo.judging.rule import RuleJudge
from raysgpo.records import Problem
from raysgpo.studies.judge_quality.labelled import LabelledRow, chosen, generated, read_labelled
from raysgpo.studies.judge_quality.quality import Scored, baselines, harmonic_mean, quality, score, wilson
from raysgpo.tasks.arithmetic import Chain
from raysgpo.tiny.corruption import corrupted
from tests.judging.scripted import scripted

NO_LOSS = {failure.value: 0 for failure in Failure}


def row(steps: int, first_error: int | None, name: str = "p", **kinds: str) -> LabelledRow:
    problem = Problem(name, "1+1=?", "2", "1+1=2\n#### 2")
    return LabelledRow(problem, tuple(f"step {i}\n" for i in range(steps)), first_error, kinds)


def scored(steps: int, first_error: int | None, *votes: int | None, **kinds: str) -> Scored:
    return Scored(row(steps, first_error, **kinds), votes, 1.0, 10, NO_LOSS)


def ask(judge: Any, rows: Sequence[LabelledRow], **settings: Any) -> list[Scored]:
    got: list[Scored] = []
    asyncio.run(score(judge, JudgeConfig.model_validate(settings), rows, got.append))
    return got


# --- the numbers ---


def test_the_accuracies_are_those_worked_by_hand() -> None:
    report = quality(
        [
            scored(4, 1, 1),  # exact
            scored(4, 1, 2),  # a step late
            scored(4, 3, 0),  # early, and far off
            scored(4, 3, 4),  # no error: not a neighbour of step 3
            scored(4, 0, None),  # lost
            scored(4, None, 4),  # a right one passed
            scored(4, None, 3),  # a right one refused
            scored(4, None, None),  # lost counts as wrong here too
        ]
    )
    assert (report["wrong"]["count"], report["wrong"]["rows"], report["wrong"]["value"]) == (1, 5, 0.2)
    assert (report["right"]["count"], report["right"]["rows"]) == (1, 3)
    assert report["f1"] == pytest.approx(2 * (1 / 5) * (1 / 3) / (1 / 5 + 1 / 3))
    assert report["within_one"]["count"] == 2
    assert report["outcomes_wrong"] == {"exact": 1, "late": 1, "early": 1, "none_found": 1, "lost": 1}
    assert report["lost_verdicts"] == 2


def test_the_majority_is_scored_and_its_agreement_told() -> None:
    report = quality([scored(4, 1, 1, 1, 3), scored(4, 1, 3, 3, 1), scored(4, 1, None, 1, 1), scored(4, 1, 1)])
    assert report["wrong"]["count"] == 3
    assert report["vote_agreement"] == pytest.approx((2 / 3 + 2 / 3 + 1) / 3)


def test_rates_over_nothing_are_null() -> None:
    report = quality([scored(2, None, 2)])
    assert report["wrong"]["value"] is report["f1"] is report["vote_agreement"] is None
    assert report["baselines"] == {"index_1": None, "last_step": None, "uniform": None}
    assert report["right"]["value"] == 1
    assert quality([])["seconds"] == {"mean": None, "p50": None, "p95": None}


def test_the_baselines_are_those_worked_by_hand() -> None:
    rows = [row(2, 1), row(4, 1), row(5, 4), row(10, 0), row(3, None)]
    assert baselines(rows) == pytest.approx(
        {"index_1": 2 / 4, "last_step": 2 / 4, "uniform": (1 / 2 + 1 / 4 + 1 / 5 + 1 / 10) / 4}
    )


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(0, 8)), min_size=1, max_size=8))
def test_the_baselines_are_what_such_judges_score(pairs: list[tuple[int, int]]) -> None:
    rows = [row(steps, first % steps) for steps, first in pairs]
    by_name = baselines(rows)
    last = quality([Scored(one, (len(one.steps) - 1,), 0.0, 0, NO_LOSS) for one in rows])
    second = quality([Scored(one, (1,), 0.0, 0, NO_LOSS) for one in rows if len(one.steps) > 1])
    guesses = quality([Scored(one, (k,), 0.0, 0, NO_LOSS) for one in rows[:1] for k in range(len(one.steps))])
    assert by_name["last_step"] == last["wrong"]["value"]
    assert by_name["index_1"] == second["wrong"]["count"] / len(rows)
    assert baselines(rows[:1])["uniform"] == pytest.approx(guesses["wrong"]["value"])


def test_kinds_are_counted_apart() -> None:
    report = quality([scored(3, 1, 1, source="a"), scored(3, 1, 0, source="b"), scored(3, None, 3, source="b")])
    a, b = report["breakdown"]["source"]["a"], report["breakdown"]["source"]["b"]
    assert (a["wrong"]["value"], a["right"]["value"]) == (1, None)
    assert (b["wrong"]["value"], b["right"]["value"], b["f1"]) == (0, 1, 0)


def test_the_interval_is_wilsons() -> None:
    # Newcombe 1998, table I, method 3: 81 of 263 and 15 of 148; 0 of 20.
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson(15, 148) == pytest.approx((0.0624, 0.1605), abs=5e-5)
    assert wilson(0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)


@given(st.integers(1, 500), st.integers(0, 500))
def test_the_interval_holds_the_rate_and_mirrors(rows: int, count: int) -> None:
    count = min(count, rows)
    low, high = wilson(count, rows)
    assert 0 <= low <= count / rows <= high <= 1
    assert wilson(rows - count, rows) == pytest.approx((1 - high, 1 - low))


def test_the_harmonic_mean_is_low_if_one_is() -> None:
    assert harmonic_mean(0.0, 0.0) == harmonic_mean(0.0, 1.0) == 0
    assert harmonic_mean(0.5, 1.0) == pytest.approx(2 / 3)
    assert harmonic_mean(None, 1.0) is None


# --- asking ---


def test_votes_tokens_and_losses_are_those_of_the_panel() -> None:
    async def judge(problem: Problem, steps: Sequence[str], seed: int, outcome: Outcome = Outcome.UNKNOWN) -> Judgement:
        if problem.id == "broken":
            raise RuntimeError("no judge today")
        if problem.id == "slow":
            await asyncio.sleep(60)
        return Judgement(None, Failure.UNREADABLE, 5) if problem.id == "odd" else Judgement(1, None, 5)

    rows = [row(3, 1, name) for name in ("good", "odd", "broken", "slow")]
    got = {one.row.problem.id: one for one in ask(judge, rows, votes=2, deadline=1.0)}
    assert got["good"].votes == (1, 1) and got["good"].tokens == 10 and got["good"].lost == NO_LOSS
    assert got["odd"].lost == NO_LOSS | {"parse_failures": 2} and got["odd"].tokens == 10
    assert got["broken"].lost == NO_LOSS | {"errors": 2}
    assert got["slow"].lost == NO_LOSS | {"timeouts": 2} and 1.0 <= got["slow"].seconds < 50
    report = quality(list(got.values()))
    assert report["wrong"]["value"] == 0.25
    assert (report["votes"], report["lost_verdicts"], report["tokens"]["mean"]) == (8, 3, 5)


def test_no_row_takes_its_answer_from_another() -> None:
    asked: list[str] = []

    async def judge(problem: Problem, steps: Sequence[str], seed: int) -> int | None:
        asked.append(problem.id)
        return 1

    ask(scripted(judge), [row(3, 1)] * 7)
    assert len(asked) == 7


@pytest.mark.parametrize(("concurrency", "votes", "busiest"), [(4, 1, 4), (6, 3, 6), (2, 3, 2)])
def test_as_many_rows_are_under_way_as_there_are_calls_for(concurrency: int, votes: int, busiest: int) -> None:
    """More would wait for a call to come free while their deadline runs."""
    busy = most = 0

    async def judge(problem: Problem, steps: Sequence[str], seed: int) -> int | None:
        nonlocal busy, most
        busy += 1
        most = max(most, busy)
        await asyncio.sleep(0.01)
        busy -= 1
        return 1

    got = ask(scripted(judge), [row(3, 1)] * 30, concurrency=concurrency, votes=votes)
    assert most == busiest
    assert all(one.exact for one in got) and len(got) == 30


# --- rows of a file ---

GOOD = {"question": "1+1=?", "reference": "1+1=2", "steps": ["1+1=3", "so 3"], "first_error": 0}


def write(path: Path, *rows: Any) -> str:
    path.write_text("".join((one if isinstance(one, str) else json.dumps(one)) + "\n" for one in rows), "utf-8")
    return str(path)


def test_a_labelled_row_is_read_as_it_was_written(tmp_path: Path) -> None:
    full = GOOD | {"id": 7, "source": "mr-gsm8k-x", "final_answer_correct": False, "generator": "someone"}
    answer = GOOD | {"reference": "2", "reference_kind": "answer", "first_error": None}
    nothing = GOOD | {"reference": None, "first_error": 1}
    data = read_labelled(write(tmp_path / "rows.jsonl", full, "", answer, nothing))
    first, second, third = data.rows
    assert not data.arithmetic
    assert (first.problem, first.steps) == (Problem("7", "1+1=?", "", "1+1=2"), ("1+1=3", "so 3"))
    assert first.kinds == {"source": "mr-gsm8k-x", "final answer": "wrong", "reference": "solution"}
    assert (second.problem.answer, second.problem.reference, second.kinds["reference"]) == ("2", None, "answer")
    assert (third.problem.answer, third.problem.reference, third.kinds["reference"]) == ("", None, "none")
    assert [one.position for one in data.rows] == [0, 2, 1]


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ("{", "not JSON"),
        ("3", "int where an object was expected"),
        ({k: v for k, v in GOOD.items() if k != "steps"}, "steps: field required"),
        ({k: v for k, v in GOOD.items() if k != "first_error"}, "first_error: field required"),
        (GOOD | {"steps": []}, "steps: list should have at least 1 item"),
        (GOOD | {"first_error": 2}, "first_error=2 names none of the 2 steps"),
        (GOOD | {"first_error": -1}, "first_error=-1 names none of the 2 steps"),
        (GOOD | {"first_error": True}, "first_error: input should be a valid integer"),
        (GOOD | {"steps": "one"}, "steps: input should be a valid list"),
    ],
)
def test_a_bad_row_is_named(tmp_path: Path, bad: Any, said: str) -> None:
    path = write(tmp_path / "rows.jsonl", GOOD, bad)
    with pytest.raises(ValueError) as error:
        read_labelled(path)
    assert str(error.value).startswith(f"{path}, row 2: ") and said in str(error.value)


def test_a_file_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"none\.jsonl: there is no such file"):
        read_labelled(str(tmp_path / "none.jsonl"))
    write(tmp_path / "groups.jsonl", "{}")
    with pytest.raises(ValueError, match=r"groups\.jsonl, row 1: question: field required"):
        read_labelled(str(tmp_path))
    with pytest.raises(ValueError, match="holds no rows"):
        read_labelled(write(tmp_path / "empty.jsonl", ""))


def test_drawn_rows_are_a_part_of_all_and_the_same_for_a_seed() -> None:
    rows = [row(3, 1, str(index)) for index in range(50)]
    ten = chosen(rows, 10, seed=1)
    assert ten == chosen(rows, 10, seed=1) != chosen(rows, 10, seed=2)
    assert len({one.problem.id for one in ten}) == 10
    names = [one.problem.id for one in chosen(rows, None, seed=1)]
    assert sorted(names) == sorted(one.problem.id for one in rows)
    assert names != [one.problem.id for one in rows]  # an interruption leaves a fair sample


# --- a run's own mistakes ---


def rollout(text: str, correct: bool = False, truncated: bool = False) -> dict[str, Any]:
    return {"text": text, "correct": correct, "truncated": truncated, "reward": 0.0}


GROUP = {"prompt_id": "arithmetic 3+4-2", "prompt": "3+4-2=?", "answer": "5", "reference": "3+4=7\n7-2=5\n#### 5"}


def test_the_wrong_answers_of_a_run_are_labelled_by_rule(tmp_path: Path) -> None:
    wrong, cut = "3+4=7\n7-2=6\n#### 6", "3+4=7\n7-"
    rollouts = [
        rollout(wrong),
        rollout("3+4=7\n7-2=5\n#### 5", correct=True),
        rollout(cut, truncated=True),
        rollout(""),
    ]
    path = write(
        tmp_path / "groups.jsonl", GROUP | {"rollouts": rollouts}, GROUP | {"step": 3, "rollouts": [rollout(wrong)]}
    )
    data = read_labelled(path)
    assert data.arithmetic
    assert [("".join(one.steps), one.first_error, one.kinds["end"]) for one in data.rows] == [
        (wrong, 1, "finished"),
        (cut, None, "cut off"),
    ]
    assert [one.kinds["final answer"] for one in data.rows] == ["wrong", "none"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"prompt_id": "gsm8k-1"}, "row 1: gsm8k-1 is no problem of task.kind=arithmetic"),
        ({"rollouts": [{"text": "x"}]}, r"row 1: rollouts\.0\.correct: field required"),
        ({"rollouts": [rollout("3+4=7", correct=True)]}, "the run has no wrong answer"),
    ],
)
def test_a_run_that_cannot_be_labelled_is_named(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    path = write(tmp_path / "groups.jsonl", GROUP | {"rollouts": [rollout("3+4=8")]} | changes)
    with pytest.raises(ValueError, match=said):
        read_labelled(path)


# --- generated rows ---


def test_generated_rows_are_held_out_distinct_and_of_every_kind() -> None:
    rows = generated(TaskConfig(terms=(3, 4)), 300, seed=5, corrupt=corrupted).rows
    assert len({one.problem.id for one in rows}) == 300
    assert {one.kinds["terms"] for one in rows} == {"3", "4"}
    assert {one.kinds["final answer"] for one in rows} == {"right", "wrong", "none"}
    assert 0.4 < sum(one.first_error is not None for one in rows) / 300 < 0.9
    assert rows == generated(TaskConfig(terms=(3, 4)), 300, seed=5, corrupt=corrupted).rows


def test_generated_chains_are_held_out() -> None:
    seen: list[Chain] = []

    def right(chain: Chain, rng: random.Random) -> str:
        seen.append(chain)
        return chain.solution()

    data = generated(TaskConfig(), 40, seed=0, corrupt=right)
    assert len(seen) == 40 and all(chain.held_out for chain in seen)
    assert all(one.first_error is None for one in data.rows) and data.arithmetic


def test_the_label_is_where_a_slip_was_made() -> None:
    places: list[int] = []

    def slipped(chain: Chain, rng: random.Random) -> str:
        place = rng.randrange(3)
        places.append(place)
        values = iter(range(3))
        return chain.solution(lambda value: value + (next(values) == place))

    data = generated(TaskConfig(), 60, seed=0, corrupt=slipped)
    assert [one.first_error for one in data.rows] == places


def test_more_chains_than_there_are_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"--limit 900: .* gave only \d+ held-out problems"):
        generated(TaskConfig(terms=(2,)), 900, seed=0, corrupt=lambda chain, rng: chain.solution())


def test_the_rule_judge_is_always_right_on_generated_rows() -> None:
    rows = generated(TaskConfig(), 200, seed=3, corrupt=corrupted).rows
    report = quality(ask(RuleJudge(), rows))
    assert (report["wrong"]["value"], report["right"]["value"], report["f1"]) == (1, 1, 1)
