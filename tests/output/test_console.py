"""What a person sees: plain lines without a terminal, a bar with one."""

from __future__ import annotations

import io

import pytest

from raysgpo.output.console import Console, update_numbers
from raysgpo.output.metrics import Metrics

STEP: Metrics = {
    "step": 1,
    "accuracy/mean": 0.256,
    "groups/all_negative_share": 0.5,
    "groups/trained": 3,
    "tokens/per_second": 4321.4,
    "time/step": 2.04,
}
EVALUATION: Metrics = {"step": 2, "eval/accuracy": 0.75, "eval/prompts": 512}


class FakeTerminal(io.StringIO):
    """Text that goes to a terminal."""

    def isatty(self) -> bool:
        return True


def lines(*rows: Metrics, done: int = 0) -> list[str]:
    out = io.StringIO()
    with Console(4, done, out) as console:
        console.phase("sampling")
        for row in rows:
            console.row(row)
    return out.getvalue().splitlines()


def test_a_step_is_one_plain_line_with_its_numbers() -> None:
    assert lines(STEP) == ["step 2/4  accuracy  26%  all-negative  50%  4,321 tokens/s  2.0 s  left -"]


def test_a_guided_step_tells_the_two_kinds_of_rollouts_apart() -> None:
    """Their mean may rise by the guidance alone."""
    guided: Metrics = {"accuracy/unguided": 0.03, "accuracy/guided": 0.41, "guidance/tokens": 36.4}
    line = lines({**STEP, **guided, "guidance/share": 0.25})[0]
    assert line.startswith("step 2/4  accuracy   3% unguided  41% guided by  36 tokens  all-negative  50%")
    every: Metrics = {**guided, "accuracy/unguided": None, "guidance/share": 1.0}
    assert "accuracy    - unguided  41% guided" in lines({**STEP, **every})[0]
    none: Metrics = {**guided, "accuracy/guided": None, "guidance/tokens": None, "guidance/share": 0.0}
    assert "accuracy  26%  all-negative" in lines({**STEP, **none})[0]


def test_the_time_left_follows_the_pace_since_the_first_step_that_was_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr("raysgpo.output.console.time.time", lambda: now)
    out = io.StringIO()
    console = Console(10, 2, out)
    for step, now in ((2, 1500.0), (3, 1540.0), (5, 1620.0), (9, 1621.0)):  # noqa: B007
        console.row({**STEP, "step": step})
    # 40 s for the first step after the one that start-up slowed; 6 are left, then 4, then none.
    assert [line.rpartition(" ")[2] for line in out.getvalue().splitlines()] == ["-", "4:00", "2:40", "0:00"]


def test_an_evaluation_is_a_line_of_its_own() -> None:
    assert lines(EVALUATION) == ["held-out accuracy after 2 steps: 75% of 512"]


def test_what_was_drawn_at_the_end_is_said_too() -> None:
    drawn: Metrics = {"eval/pass_at_1": 0.74, "eval/pass_at_4": 0.913, "eval/pass_at_4/difficulty_3": 0.9}
    assert lines({**EVALUATION, **drawn}) == ["held-out accuracy after 2 steps: 75% of 512, pass@1 74%, pass@4 91%"]


def test_the_scores_of_sets_stand_beside_the_accuracy() -> None:
    of_sets = {"eval/aime24/avg": 0.25, "eval/aime24/avg/level=1": 0.5, "eval/aime24/pass_at_4": 0.75}
    assert lines({**EVALUATION, **of_sets}) == ["held-out accuracy after 2 steps: 75% of 512, aime24 25%"]


def test_what_cannot_be_said_is_a_dash() -> None:
    missing: Metrics = {**STEP, "accuracy/mean": None, "groups/all_negative_share": None, "tokens/per_second": None}
    assert "accuracy    -  all-negative    -  0 tokens/s" in lines(missing)[0]
    assert lines({**EVALUATION, "eval/accuracy": None}) == ["held-out accuracy after 2 steps: - of 512"]


def test_a_step_without_a_signal_is_said_to_make_no_update() -> None:
    assert lines({**STEP, "groups/trained": 0})[1] == "step 2: no group with a signal, so no update"


def test_words_in_brackets_are_words() -> None:
    out = io.StringIO()
    Console(4, 0, out).say("path [red] [/x] " + "long " * 40)
    assert out.getvalue() == "path [red] [/x] " + "long " * 40 + "\n"


def test_a_terminal_gets_a_bar_with_the_same_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "160")
    out = FakeTerminal()
    with Console(4, 0, out) as console:
        console.phase("training")
        console.row(STEP)
        console.say("a message")
    shown = out.getvalue()
    for words in ("training", "2/4", "accuracy  26%  all-negative  50%  4,321 tokens/s", "a message"):
        assert words in shown
    assert "step 2/4" not in shown


def test_a_step_on_recorded_groups_shows_its_update() -> None:
    out = io.StringIO()
    console = Console(4, 0, out, update_numbers)
    update: Metrics = {"policy/loss": -0.01234, "policy/entropy": 0.5, "policy/clip_share": 0.07}
    console.row({**STEP, **update})
    console.row({**STEP, **dict.fromkeys(update)})
    first, second = out.getvalue().splitlines()
    assert first == "step 2/4  loss -0.0123  entropy 0.500  clipped   7%  2.0 s  left -"
    assert second.startswith("step 2/4  no update  2.0 s")
