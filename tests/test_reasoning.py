"""Splitting into reasoning steps: nothing is lost, what belongs together stays together."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raysgpo.reasoning import split_steps

PIECES = [
    "Step 1: add", "1. first", "2) second", "\n", "\n\n", " ", "x = 5.", "So 3.5 remains. Then", "```",
    "```python\n", "\\begin{align}", "\\end{align}", "\\begin{cases}", "\\end{cases}", "$$", "\\[", "\\]",
    "**Step 2**", "### Step 3", "é", "答案。", "\r\n", "\t", "\x0c", "{", "}", "a", "!",
]  # fmt: skip
TEXT = st.one_of(st.text(max_size=200), st.lists(st.sampled_from(PIECES), max_size=40).map("".join))


@given(TEXT, st.integers(1, 12))
def test_joining_the_steps_gives_the_response_back(text: str, limit: int) -> None:
    steps = split_steps(text, limit)
    assert "".join(steps) == text
    assert len(steps) <= limit
    assert all(steps), "no step is empty"


@given(TEXT)
def test_every_step_has_something_to_read(text: str) -> None:
    if text.strip():
        assert all(step.strip() for step in split_steps(text))


@given(TEXT)
def test_pure(text: str) -> None:
    assert split_steps(text) == split_steps(text)


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("", []),
        ("  \n", ["  \n"]),
        ("one line", ["one line"]),
        ("a\nb\nc", ["a\n", "b\n", "c"]),
        ("a\n\nb\nc\n\n\nd", ["a\n\n", "b\nc\n\n\n", "d"]),
        ("Plan.\nStep 1: a\n\nb\nStep 2: c", ["Plan.\n", "Step 1: a\n\nb\n", "Step 2: c"]),
        ("**Step 1** a\n**Step 2** b", ["**Step 1** a\n", "**Step 2** b"]),
        ("1. a\n2. b\n", ["1. a\n", "2. b\n"]),
        ("We add 3.5 and 2. It is 5.5! Done", ["We add 3.5 and 2. ", "It is 5.5! ", "Done"]),
        ("先加。再减。", ["先加。", "再减。"]),
        ("\n\na\n\nb\n\n", ["\n\na\n\n", "b\n\n"]),
        ("2. only one number\nis no list", ["2. only one number\n", "is no list"]),
    ],
)
def test_by_hand(text: str, steps: list[str]) -> None:
    assert split_steps(text) == steps


@pytest.mark.parametrize(
    "block",
    [
        "```python\nx = 1\n\n2. y\n```",
        "\\begin{align}\na\n\nb\n\\end{align}",
        "\\begin{cases}\n\\begin{cases}\na\n\n\\end{cases}\n\nb\n\\end{cases}",
        "\\begin{align}\n$$\n\n\\end{align}",
        "$$\na\n\nb\n$$",
        "\\[\na\n\nb\n\\]",
    ],
)
def test_code_environments_and_formulas_stay_whole(block: str) -> None:
    assert split_steps(f"Before\n\n{block}\n\nAfter") == ["Before\n\n", f"{block}\n\n", "After"]


def test_an_open_block_at_the_end_of_a_cut_off_response_stays_whole() -> None:
    assert split_steps("Before\n\n```\na\n\nb") == ["Before\n\n", "```\na\n\nb"]


def test_beyond_the_limit_neighbours_are_merged_evenly() -> None:
    text = "".join(f"{i}\n" for i in range(10))
    assert [step.count("\n") for step in split_steps(text, limit=4)] == [2, 3, 2, 3]
    assert split_steps(text, limit=1) == [text]


def test_long_texts_are_cut_in_linear_time() -> None:
    for piece in ("\\[", "\\begin{a}", "$$\n\n", "a. ", "\n", "```\n"):
        assert "".join(split_steps(piece * 50_000)) == piece * 50_000
