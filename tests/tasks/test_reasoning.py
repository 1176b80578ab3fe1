"""Splitting into reasoning steps: nothing is lost, what belongs together stays together."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raysgpo.tasks.reasoning import split_steps

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
        (
            "**Step 1:** a\n\n1. x\n2. y\n\n**Step 2:** b\n1. z",
            ["**Step 1:** a\n\n1. x\n2. y\n\n", "**Step 2:** b\n1. z"],
        ),
        ("### 1. Setup\na\n\n### 2. Solve\n1. x\n2. y", ["### 1. Setup\na\n\n", "### 2. Solve\n1. x\n2. y"]),
        ("**1. Setup** a\n\nb\n\n**2. Solve** c", ["**1. Setup** a\n\nb\n\n", "**2. Solve** c"]),
        ("*Step 1:* a\n__Step 2__ b\n- Step 3: c", ["*Step 1:* a\n", "__Step 2__ b\n", "- Step 3: c"]),
        ("## Setup\n\nLet x.\n\n**Answer**\n\n3", ["## Setup\n\nLet x.\n\n", "**Answer**\n\n3"]),
        ("## x = 5\n\nLet x.\n\n## Answer", ["## x = 5\n\n", "Let x.\n\n", "## Answer"]),
        ("a\r\n\r\nb\r\nc\r\n\r\nd", ["a\r\n\r\n", "b\r\nc\r\n\r\n", "d"]),
        ("Step 1: a\r\n\r\nb\r\nStep 2: c\r\n", ["Step 1: a\r\n\r\nb\r\n", "Step 2: c\r\n"]),
        ("步骤1: 先加。\n得5。\n步骤2: 再减。", ["步骤1: 先加。\n得5。\n", "步骤2: 再减。"]),
        ("第一步 先加。\n\n得5。\n\n第二步 再减。", ["第一步 先加。\n\n得5。\n\n", "第二步 再减。"]),
        ("We use e.g. 3 apples of Dr. Li. So x = 5.", ["We use e.g. 3 apples of Dr. Li. ", "So x = 5."]),
        (
            "<think>\nHm.\n\nWait.\n</think>\n\nStep 1: a\nStep 2: b",
            ["<think>\nHm.\n\n", "Wait.\n</think>\n\n", "Step 1: a\n", "Step 2: b"],
        ),
        ("<think>\n\n</think>\n\na\n\nb", ["<think>\n\n</think>\n\na\n\n", "b"]),
        ("2. only one number\nis no list", ["2. only one number\n", "is no list"]),
    ],
)
def test_by_hand(text: str, steps: list[str]) -> None:
    assert split_steps(text) == steps


@pytest.mark.parametrize(
    "block",
    [
        "```python\nx = 1\n\n2. y\n```",
        "```text\n1. a\n2. b\n\nStep 1: c\nStep 2: d\n```",
        "````md\n```python\nx\n\n```\n\ny\n````",
        "```md\n```python\n\nx\n```",
        "~~~\na\n\n```\n\nb\n~~~",
        "   ```\r\na\r\n\r\nb\r\n   ```",
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


@pytest.mark.slow
@pytest.mark.parametrize(
    "piece",
    [
        "\\[",
        "\\begin{a}",
        "\\begin{",
        "$$\n\n",
        "a. ",
        "\n",
        " ",
        " \n",
        "\r\n",
        "```\n",
        "```",
        "1. a\n",
        "Step 1",
        "# \n",
        "**",
        "。",
    ],
)
@pytest.mark.parametrize("opening", ["", "x\n```\n"])
def test_a_megabyte_is_cut_in_linear_time(opening: str, piece: str) -> None:
    text = opening + piece * (1_000_000 // len(piece))
    start = time.process_time()
    assert "".join(split_steps(text)) == text
    assert time.process_time() - start < 20.0, "squared it would be hours"
