"""A judge that counts the steps from 0 is named; an honest one, a random one and one that errs early are not."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raysgpo.config import Config, JudgeConfig
from raysgpo.judging.judge import Failure
from raysgpo.records import Problem
from raysgpo.studies.judge_quality.judges import NamedJudge
from raysgpo.studies.judge_quality.labelled import LabelledRow
from raysgpo.studies.judge_quality.measurement import Tally
from raysgpo.studies.judge_quality.numbering import ROWS, Answer, Numbering, numbering, tail, warning
from raysgpo.studies.judge_quality.quality import Scored, accuracies, numbered, zeros
from raysgpo.studies.judge_quality.quality_table import table
from raysgpo.studies.judge_quality.report import make_report

Named = Callable[[int, int, random.Random], int | None]
"""(first error, steps, luck) to the step that a judge names, 0-based; the number of steps for none, None for a lost
vote."""


def rows(count: int, steps: Sequence[int] = (3, 4, 5, 6, 7, 8), seed: int = 0, least: int = 0) -> list[LabelledRow]:
    """Wrong in any step from ``least`` on; a fifth is right."""
    rng = random.Random(seed)
    made = []
    for index in range(count):
        size = rng.choice(steps)
        error = None if index % 5 == 0 else rng.randrange(least, size)
        texts = tuple(f"step {step} of {index}\n" for step in range(size))
        made.append(LabelledRow(Problem(str(index), "?", "1"), texts, error))
    return made


def asked(named: Named, labelled: Sequence[LabelledRow], seed: int = 1) -> list[Scored]:
    """What such a judge says of them."""
    rng = random.Random(seed)
    lost = {failure.value: 0 for failure in Failure}

    def vote(row: LabelledRow) -> int | None:
        return len(row.steps) if row.first_error is None else named(row.first_error, len(row.steps), rng)

    return [Scored(row, (vote(row),), 0.0, 0, lost) for row in labelled]


def from_0(error: int, steps: int, rng: random.Random) -> int | None:
    """Finds four in five and counts from 0: step 0, which there is none of, is a lost vote."""
    found = error if rng.random() < 0.8 else rng.randrange(steps)
    return found - 1 if found else None


def honest(error: int, steps: int, rng: random.Random) -> int | None:
    return error if rng.random() < 0.8 else rng.randrange(steps)


def from_2(error: int, steps: int, rng: random.Random) -> int | None:
    return error + 1 if error + 1 < steps else None


def at_random(error: int, steps: int, rng: random.Random) -> int | None:
    return rng.randrange(steps)


def early(error: int, steps: int, rng: random.Random) -> int | None:
    """Often one step early, as often exact, and sometimes more."""
    return max(0, error - rng.choice([0, 0, 1, 1, 2]))


def always_early(error: int, steps: int, rng: random.Random) -> int | None:
    """Any step before the first error; the first step has none before it."""
    return rng.randrange(error) if error else 0


def first_step(error: int, steps: int, rng: random.Random) -> int | None:
    return 0


def second_step(error: int, steps: int, rng: random.Random) -> int | None:
    return 1


def last_but_one(error: int, steps: int, rng: random.Random) -> int | None:
    return steps - 2


def half_from_0(error: int, steps: int, rng: random.Random) -> int | None:
    """Now so, now so: no rule that could be named."""
    return error - 1 if error and rng.random() < 0.5 else error


def silent(error: int, steps: int, rng: random.Random) -> int | None:
    return rng.choice([None, steps])


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("least", [0, 1])
def test_a_judge_that_counts_from_0_is_named(seed: int, least: int) -> None:
    assert numbered(asked(from_0, rows(120, seed=seed, least=least))).shift == -1
    assert numbered(asked(from_2, rows(120, seed=seed))).shift == 1


def test_it_is_named_on_chains_of_one_length_too() -> None:
    """Three steps: off by one can be seen at the second and at the third."""
    assert numbered(asked(from_0, rows(200, steps=(3,)))).shift == -1


@pytest.mark.parametrize("seed", range(5))
def test_an_honest_judge_counts_as_told(seed: int) -> None:
    assert numbered(asked(honest, rows(120, seed=seed))).shift == 0


@pytest.mark.parametrize("count", [60, 400])
@pytest.mark.parametrize("steps", [(3,), (2, 3), (3, 4, 5, 6, 7, 8)])
@pytest.mark.parametrize("least", [0, 1])
@pytest.mark.parametrize(
    "named", [at_random, early, always_early, first_step, second_step, last_but_one, half_from_0, silent, honest]
)
def test_no_other_judge_is(named: Named, least: int, steps: tuple[int, ...], count: int) -> None:
    for seed in range(3):
        found = numbered(asked(named, rows(count, steps, seed, least), seed + 10))
        assert found.shift in (None, 0), found


def test_nor_one_that_always_names_one_place_where_most_errors_are_next_to_it() -> None:
    """Labels at the second, or at the last step, in nine of ten."""
    second = [Answer(1, 6, 0)] * 90 + [Answer(3, 6, 0)] * 10
    third = [Answer(2, 6, 1)] * 90 + [Answer(4, 6, 1)] * 10
    last = [Answer(n - 1, n, n - 2) for n in (4, 5, 6, 7) for _ in range(25)] + [Answer(1, 6, 4)] * 10
    assert [numbering(answers, False).shift for answers in (second, third, last)] == [None] * 3


def test_too_few_rows_give_no_verdict() -> None:
    shifted = [Answer(1 + index % 5, 6, index % 5) for index in range(ROWS)]
    assert numbering(shifted, False).shift == -1
    few = numbering(shifted[:-1], False)
    assert (few.shift, few.enough, few.rows, few.early) == (None, False, ROWS - 1, ROWS - 1)
    assert numbering([], False) == Numbering(None, 0, 0, 0, 0, False)
    exact = [Answer(1, 6, 1)] * (ROWS - 1)
    assert numbering(exact, False).shift is None and numbering([*exact, Answer(2, 6, 2)], False).shift == 0


def test_the_tails_are_those_worked_by_hand() -> None:
    assert tail(0, 0) == tail(0, 3) == 1.0
    assert tail(3, 3) == 1 / 8 and tail(2, 3) == 4 / 8
    assert tail(2, 2, odds=3) == 9 / 16 and tail(1, 2, odds=3) == 15 / 16
    assert tail(ROWS, ROWS, odds=3) < 0.001 < tail(ROWS - 1, ROWS - 1, odds=3)


@given(st.integers(0, 200), st.integers(0, 200), st.sampled_from([1, 3]))
def test_a_tail_is_a_chance_and_falls_with_the_hits(hits: int, rows: int, odds: int) -> None:
    hits = min(hits, rows)
    assert 0 <= tail(hits + 1, rows, odds) <= tail(hits, rows, odds) <= 1


def lines(named: Named, labelled: Sequence[LabelledRow], data: str, **settings: object) -> tuple[list[str], object]:
    """The table, and what the report says of the numbering."""
    tally = Tally(asked(named, labelled))
    config = Config(judge=JudgeConfig.model_validate(settings))
    report = make_report(data, 0, NamedJudge("judge", config), len(labelled), tally)
    return list(table(report)), report["numbering"]


def test_the_table_and_the_report_say_it_in_one_line_and_correct_nothing() -> None:
    shown, told = lines(from_0, rows(200), "rows.jsonl")
    assert isinstance(told, dict) and told["shift"] == -1
    assert shown[-1] == f"\n{told['warning']}" and "\n" not in str(told["warning"])
    near = told["early"] + told["exact"] + told["late"]
    assert shown[-1] == (
        "\nwarning: the judge counts the steps from 0, though it is told to count from 1: "
        f"in {told['early']} of the {near} wrong responses where it is at most one step off it names the step before "
        "the first error, and nothing is corrected; set judge.structured=false, or another judge.model"
    )
    assert any(line.startswith("  numbering of the steps     from 0, see the warning (") for line in shown)
    exact = next(line for line in shown if "first error found exactly" in line)
    assert float(exact.split()[4]) < 20, "its accuracy is what it is"


def test_the_accuracy_after_the_shift_is_that_of_the_same_answers_counted_from_0() -> None:
    """It finds four in five, and a first step it calls 0: as told that is no step, and read from 0 it is the first."""
    labelled = rows(300)
    honest_ones = asked(honest, labelled)
    zero_based = [
        replace(one, votes=(None if number is None or number < 1 else number - 1,), said=(rf"\boxed{{{number}}}",))
        if one.row.first_error is not None
        else one
        for one in honest_ones
        for number in one.votes
    ]
    assert sum(one.position is None for one in zero_based) == zeros(zero_based) > 0
    found = numbered(zero_based)
    assert found.shift == -1 and found.early > 0.9 * found.rows * 0.8
    after = accuracies([one.recounted(1 + found.shift) for one in zero_based])
    assert after == accuracies(honest_ones)
    assert accuracies([one.recounted(1) for one in zero_based]) == accuracies(zero_based)


def test_labels_that_may_count_from_1_are_named_beside_the_judge() -> None:
    """No row is wrong in its first step."""
    shown, _ = lines(from_0, rows(200, least=1), "rows.jsonl", structured=False)
    assert "or first_error of rows.jsonl from 1 instead of 0 (no row has 0)" in shown[-1]
    assert shown[-1].endswith(
        "see the labels, and if they count from 0, set judge.structured=true, or another judge.model"
    )
    sure, _ = lines(from_0, rows(200), "rows.jsonl")
    assert "first_error" not in sure[-1], "a row is wrong in its first step, so the labels count from 0"


def test_one_late_is_said_too() -> None:
    shown, _ = lines(from_2, rows(200), "rows.jsonl", prompt="compact")
    assert "the judge's answers are one late" in shown[-1] and "see that first_error of rows.jsonl counts" in shown[-1]
    assert shown[-1].endswith("take another judge.model, or teach it again")


def test_where_nothing_is_off_there_is_no_warning() -> None:
    for named, count, said in ((honest, 200, "as told ("), (at_random, 200, "not clear ("), (honest, 10, "too few")):
        shown, told = lines(named, rows(count), "rows.jsonl")
        assert isinstance(told, dict) and told["warning"] is None and "warning" not in "".join(shown)
        assert any(line.startswith(f"  numbering of the steps     {said}") for line in shown)
    assert warning(numbering([], False), JudgeConfig(), "f") is None
