"""Prefixes of a trajectory: clean cuts, and never the answer."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raysgpo.guidance.trajectory import SPLITS, Trajectory, characters_before_answer, may_be_given
from raysgpo.records import Hint
from raysgpo.tasks.arithmetic import Chain, split_lines

TERMS = st.lists(st.integers(1, 99), min_size=2, max_size=9)


def byte_ends(text: str) -> np.ndarray:
    """``ends_T`` where each byte is a token."""
    ends = [end for end, character in enumerate(text, 1) for end in [SPLITS] * (len(character.encode()) - 1) + [end]]
    return np.array(ends, dtype=np.int32)


def trajectory(text: str, **changes: Any) -> Trajectory:
    ids_T = np.frombuffer(text.encode(), dtype=np.uint8).astype(np.int32)
    return Trajectory(ids_T, byte_ends(text), text, **({"at": 4} | changes))


def test_a_prefix_is_its_ids_and_its_text() -> None:
    assert trajectory("3+4=7\n").hint(3, rollouts=2) == Hint(list(b"3+4"), "3+4", at=4, in_answer=True, rollouts=2)


@pytest.mark.parametrize(("length", "rollouts"), [(0, 2), (-1, 2), (3, 0)])
def test_no_tokens_or_no_rollouts_is_no_guidance(length: int, rollouts: int) -> None:
    assert trajectory("3+4=7\n").hint(length, rollouts) is None


def test_a_trajectory_that_is_too_short_is_given_whole() -> None:
    hint = trajectory("3+4=7\n").hint(3072, 1)
    assert hint is not None and hint.text == "3+4=7\n" and len(hint.token_ids) == 6


def test_what_opens_the_thinking_comes_first_and_beside_the_length() -> None:
    hint = trajectory("3+4", opener_ids=(90, 91), opener="<think>\n").hint(2, 1)
    assert hint is not None and (hint.token_ids, hint.text) == ([90, 91, *b"3+"], "<think>\n3+")


def test_guidance_in_the_prompt_is_no_part_of_the_answers_text() -> None:
    hint = trajectory("3+4", in_answer=False).hint(2, 1)
    assert hint is not None and (hint.text, hint.in_answer, hint.token_ids) == ("", False, list(b"3+"))


@given(st.text(min_size=1, max_size=20), st.integers(1, 90))
def test_no_cut_splits_a_character(text: str, length: int) -> None:
    hint = trajectory(text).hint(length, 1)
    if hint is None:
        assert length < len(text[0].encode())
        return
    assert bytes(hint.token_ids).decode() == hint.text
    assert text.startswith(hint.text) and len(hint.token_ids) <= length
    if hint.text != text:
        assert len(hint.token_ids) + len(text[len(hint.text)].encode()) > length, "as much as fits is given"


@pytest.mark.parametrize(
    ("steps", "answer", "left"),
    [
        (["3+4=7\n", "7-2=5\n", "#### 5"], "5", "3+4=7\n"),
        (["3+4=7\n", "7-2=5\n", "5+1=6\n", "#### 6"], "6", "3+4=7\n7-2=5\n"),
        (["Let x be 15.\n", "Then 2x = 30.\n", "So \\boxed{30}."], "30", "Let x be 15.\n"),
        (["It is 30 of 60.\n", "Half.\n", "So 30."], "30", "It is 30 of 60.\nHalf.\n"),  # stated before, by chance
        (["0.5 of it\n", "5"], "5", "0.5 of it\n"),
        (["5."], "5", ""),
        ([], "5", ""),
    ],
)
def test_the_steps_that_state_the_answer_are_never_given(steps: list[str], answer: str, left: str) -> None:
    assert "".join(steps)[: characters_before_answer(steps, answer)] == left


@given(TERMS, st.floats(0.05, 1), st.integers(0, 200), st.data())
def test_a_chain_never_gives_its_answer_away(terms: list[int], fraction: float, room: int, data: st.DataObject) -> None:
    operators = data.draw(st.text("+-*", min_size=len(terms) - 1, max_size=len(terms) - 1))
    chain = Chain(tuple(terms), operators)
    solution = chain.solution()
    before = characters_before_answer(split_lines(solution), chain.problem().answer)
    count = may_be_given(byte_ends(solution), before, fraction, room)
    assert count <= min(fraction * len(solution), room)
    given_away = solution[:count]
    assert "####" not in given_away and given_away.count("\n") <= len(terms) - 2
    assert solution.startswith(given_away)


def test_what_may_be_given_ends_with_a_whole_character() -> None:
    ends_T = byte_ends("aΩb")
    assert [may_be_given(ends_T, 3, 1.0, room) for room in (-3, 0, 1, 2, 3, 4, 9)] == [0, 0, 1, 1, 3, 4, 4]
    assert [may_be_given(ends_T, characters, 1.0, 9) for characters in range(4)] == [0, 1, 3, 4]
    assert may_be_given(ends_T, 3, 0.8, 9) == 3
