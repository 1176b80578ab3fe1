"""Splitting into reasoning steps: nothing is lost, what belongs together stays together."""

from __future__ import annotations

import json
import time
from itertools import accumulate
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
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


PARAGRAPHS = [
    "Plan:\n1. find x\n2. find y", "Step 1: go", "## Setup", "---", "x = 5.", "A long thought. " * 12, "1. a=3\n2. b=4",
    "a\nb\nc\nd", "\\[ x = 3", "$$ x = 3", "\\begin{align} a", "\\[ y \\]", "**Step 7:** on",
]  # fmt: skip
PREFIX = st.lists(st.sampled_from(PARAGRAPHS), min_size=1, max_size=5).map("\n\n".join)


def cuts(text: str) -> set[int]:
    ends = list(accumulate(len(step) for step in split_steps(text, 10_000)))
    return set(ends[:-1])


@given(PREFIX, TEXT.filter(lambda text: text.strip() and not text.startswith(("\n", "\r", " ", "\t", "\x0c"))))
def test_paragraphs_before_a_response_change_no_cut_of_it(before: str, response: str) -> None:
    """Else a plan, or a list of two, would change what the same wrong work is worth."""
    assume("</think>" not in response)
    assume(not any(closing in response for closing in ("\\]", "$$", "\\end")))  # it would close what was left open
    start = len(before) + 2
    found = {cut - start for cut in cuts(f"{before}\n\n{response}") if cut > start}
    assert found == cuts(response)


@given(TEXT)
def test_pure(text: str) -> None:
    assert split_steps(text) == split_steps(text)


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("", []),
        ("  \n", ["  \n"]),
        ("one line", ["one line"]),
        ("a\nb", ["a\nb"]),
        ("a\nb\nc", ["a\n", "b\n", "c"]),
        ("a\n\nb\nc\n\n\nd", ["a\n\n", "b\nc\n\n\n", "d"]),
        ("a\n\nb\nc\nd", ["a\n\n", "b\n", "c\n", "d"]),
        ("Plan.\nStep 1: a\n\nb\nStep 2: c", ["Plan.\n", "Step 1: a\n\n", "b\n", "Step 2: c"]),
        ("**Step 1** a\n**Step 2** b", ["**Step 1** a\n", "**Step 2** b"]),
        ("1. x is 2\n2. y is 3\n", ["1. x is 2\n", "2. y is 3\n"]),
        ("3+4=7. 7*2=14. So x=14", ["3+4=7. ", "7*2=14. ", "So x=14"]),
        ("We add 3.5 and 2. It is 5.5!", ["We add 3.5 and 2. It is 5.5!"]),
        ("一加二=3。三加四=7。得=10。", ["一加二=3。", "三加四=7。", "得=10。"]),
        ("\n\na\n\nb\n\n", ["\n\na\n\n", "b\n\n"]),
        (
            "**Step 1:** a\n\n1. x=1\n2. y=2\n\n**Step 2:** b\n1. z",
            ["**Step 1:** a\n\n", "1. x=1\n", "2. y=2\n\n", "**Step 2:** b\n1. z"],
        ),
        ("### 1. Setup\na\n\n### 2. Solve it\nx=2", ["### 1. Setup\na\n\n", "### 2. Solve it\nx=2"]),
        ("*Step 1:* a\n__Step 2__ b\n- Step 3: c", ["*Step 1:* a\n", "__Step 2__ b\n", "- Step 3: c"]),
        ("## Setup\n\nLet x.\n\n**Answer**\n\n3", ["## Setup\n\nLet x.\n\n", "**Answer**\n\n3"]),
        ("## x = 5\n\nLet x.\n\n## Answer", ["## x = 5\n\n", "Let x.\n\n## Answer"]),
        ("a\n\n#### 18\n\nThe answer is: 18", ["a\n\n", "#### 18\n\n", "The answer is: 18"]),
        ("x = 1\n\n# Test it\n\nprint(x)  # 1", ["x = 1\n\n", "# Test it\n\n", "print(x)  # 1"]),
        ("a\r\n\r\nb\r\nc\r\n\r\nd", ["a\r\n\r\n", "b\r\nc\r\n\r\n", "d"]),
        ("步骤1: 先加。\n得5。\n步骤2: 再减。", ["步骤1: 先加。\n得5。\n", "步骤2: 再减。"]),
        ("第一步 先加。\n\n得5。\n\n第二步 再减。", ["第一步 先加。\n\n", "得5。\n\n", "第二步 再减。"]),
        (
            "We use e.g. a=3 by Dr. Li. So b=5. So c=6.",
            ["We use e.g. a=3 by Dr. Li. ", "So b=5. ", "So c=6."],
        ),
        (
            "<think>\nHm.\n\nWait.\n</think>\n\nStep 1: a\nStep 2: b",
            ["<think>\nHm.\n\n", "Wait.\n</think>\n\n", "Step 1: a\n", "Step 2: b"],
        ),
        ("<think>\n\n</think>\n\na\n\nb", ["<think>\n\n</think>\n\na\n\n", "b"]),
        ("We find:\n\\[ x=1 \\]\nThus y.\nSo z.", ["We find:\n\\[ x=1 \\]\n", "Thus y.\n", "So z."]),
        ("Cases:\n- a=1\n- b=2\nSo c=3.\nThen d=4.", ["Cases:\n- a=1\n- b=2\n", "So c=3.\n", "Then d=4."]),
        ("1. find x\n\n2. find y\n\nx=1\n\ny=2", ["1. find x\n\n2. find y\n\n", "x=1\n\n", "y=2"]),
        ("a\n\n---\n\nb", ["a\n\n", "---\n\nb"]),
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


@pytest.mark.parametrize("opening", ["\\[ x = 3", "$$ x = 3", "\\begin{align} x = 3"])
def test_a_formula_that_is_never_closed_ends_at_the_blank_line(opening: str) -> None:
    text = f"We begin.\n\n{opening}\n\nThen y is 4.\n\nSo z is 7.\n\n\\[ u = 1 \\]\n\nDone."
    assert [step.strip() for step in split_steps(text)] == text.split("\n\n")


def test_many_lines_and_many_sentences_are_steps_wherever_they_stand() -> None:
    lines, sentences = "".join(f"line {n}\n" for n in range(12)), " ".join(f"We note {n}." for n in range(12))
    assert len(split_steps(f"{lines}\nso it is")) == 13
    assert len(split_steps(f"{sentences}\n\n{sentences}")) == 24
    assert len(split_steps("\n\n".join([sentences] * 5))) == 2 + 3 * 12, (
        "the paper judges sentences where there is little"
    )


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
        "# ab\n\n",
        "**ab**\n\n",
        "1. do x\n\n",
        "1. do x\n",
        "\\[ a\n\n",
    ],
)
@pytest.mark.parametrize("opening", ["", "x\n```\n"])
def test_a_megabyte_is_cut_in_linear_time(opening: str, piece: str) -> None:
    text = opening + piece * (1_000_000 // len(piece))
    start = time.process_time()
    assert "".join(split_steps(text)) == text
    assert time.process_time() - start < 20.0, "squared it would be hours"


CASES = Path(__file__).parent / "cases" / "splitting.jsonl"


@pytest.mark.parametrize(
    "case", [json.loads(line) for line in CASES.open(encoding="utf-8")], ids=lambda case: case["id"]
)
def test_cases_of_real_kinds(case: dict[str, Any]) -> None:
    steps = split_steps(case["text"])
    assert case.get("min_steps", 1) <= len(steps) <= case.get("max_steps", len(steps)), case["want"]
