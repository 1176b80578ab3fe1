"""Steps of code: nothing is lost, and each size cuts where it says."""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raysgpo.tasks.code_steps import Size, split_code

CODE = '''import math
from os import (path,
    sep)

def f(x):
    """Words

    and more.
    """
    y = 1
    for i in range(x):
        if i:

            y += 1
    else:
        y = 2
    return [y,
        x]

@cache
class A:
    """Of things."""

    def g(self):
        return """
def no():
    """

    async def h(self): pass
print(f(3))
'''
PIECES = st.sampled_from(
    ["def f(x):\n", "class A:\n", "    return x\n", "@d\n", "```python\n", "```\n",
     "~~~\n", '"""', "'", "(", "]", "\\\n",
     "\n",
     "    for i in x:\n", "    else:\n", "\t", "# no\n", "<think>", "</think>", "é", "Step 1. So\n\n",
     "x = 1\n", "\r\n", "\x00"]
)  # fmt: skip


def firsts(text: str, size: Size) -> list[str]:
    """The first line of each step."""
    return [step.strip().splitlines()[0] for step in split_code(text, size, 100)]


@given(st.lists(PIECES, max_size=40).map("".join), st.sampled_from(get_args(Size)), st.integers(1, 8))
def test_nothing_is_lost_and_there_are_no_more_steps_than_asked_for(text: str, size: Size, limit: int) -> None:
    steps = split_code(text, size, limit)
    assert "".join(steps) == text and len(steps) <= limit and all(steps)


def test_functions() -> None:
    expected = ["import math", "def f(x):", "@cache", "def g(self):", "async def h(self): pass", "print(f(3))"]
    assert firsts(CODE, "functions") == expected


def test_blocks() -> None:
    expected = [
        "import math", "def f(x):", "for i in range(x):", "return [y,", "@cache", "def g(self):",
        "async def h(self): pass", "print(f(3))",
    ]  # fmt: skip
    assert firsts(CODE, "blocks") == expected


def test_lines() -> None:
    found = firsts(CODE, "lines")
    assert len(found) == 18 and found[:3] == ["import math", "from os import (path,", "def f(x):"]
    assert "and more." not in found and "x]" not in found and "def no():" not in found


@pytest.mark.parametrize("size", get_args(Size))
def test_a_fence_is_cut_as_its_code_is_and_the_text_around_it_as_any(size: Size) -> None:
    text = f"First I think.\n\nThen I write.\n\n```python\n{CODE}```\nThat is it.\n"
    steps = split_code(text, size, 100)
    bare = split_code(CODE, size, 100)
    assert steps[:2] == ["First I think.\n\n", "Then I write.\n\n"]
    assert steps[2:] == ["```python\n" + bare[0], *bare[1:-1], bare[-1] + "```\nThat is it.\n"]


def test_code_that_was_cut_off_is_cut_up_to_there() -> None:
    cut = f"```python\n{CODE[: CODE.index('return [y')]}return [y,"
    assert firsts(cut, "blocks") == ["```python", "def f(x):", "for i in range(x):", "return [y,"]


def test_code_within_the_thinking_stays_whole() -> None:
    text = f"<think>\n```python\n{CODE}```\n</think>\n```python\n{CODE}```\n"
    assert sum("def f" in step for step in split_code(text, "functions", 100)) == 2
    assert sum("def g" in step for step in split_code(text, "functions", 100)) == 2
    thought = next(step for step in split_code(text, "functions", 100) if "<think>" in step)
    assert CODE in thought
