"""The policy's own tokens of each reasoning step: counted by hand, and their sum is what was sampled."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raysgpo.algorithms.partial_credit import trajectory_score
from raysgpo.groups.step_lengths import given_steps, lengths, measured
from raysgpo.records import Rollout
from tests.conftest import build_rollout


def answer(text: str, tokens: int, ends: Sequence[int] | None = None, given: int = 0) -> Rollout:
    ends_T = None if ends is None else np.array(ends, dtype=np.int32)
    return build_rollout(text, tokens=tokens, guidance_characters=given, text_ends_T=ends_T)


def tokens(rollout: Rollout, *steps: str) -> tuple[int, ...] | None:
    assert "".join(steps) == rollout.text
    return measured(rollout, steps).step_tokens


@pytest.mark.parametrize(("characters", "given"), [(0, 0), (1, 0), (2, 1), (3, 1), (4, 2), (6, 3), (99, 3)])
def test_a_given_step_lies_wholly_within_what_was_given(characters: int, given: int) -> None:
    assert given_steps(["a\n", "b\n", "c\n"], characters) == given


def test_a_token_belongs_to_the_step_in_which_its_text_begins() -> None:
    """``"So "``, ``"x=1.\\n\\nT"``, ``"hus"`` and the end of the turn."""
    assert tokens(answer("So x=1.\n\nThus", 4, [3, 10, 13, 13]), "So x=1.\n\n", "Thus") == (2, 2)


def test_a_token_that_leaves_a_character_unfinished_belongs_to_it() -> None:
    """Three tokens are the bytes of one character, with which the second step begins."""
    assert tokens(answer("a\n漢", 5, [1, 2, 2, 2, 3]), "a\n", "漢") == (2, 3)


def test_what_was_sampled_behind_the_text_goes_to_the_last_step() -> None:
    assert tokens(answer("a\nb", 6, [1, 2, 3, 3, 3, 3]), "a\n", "b") == (2, 4)
    assert tokens(answer("", 1, [0])) == ()


def test_guidance_has_no_token_of_the_policys() -> None:
    assert tokens(answer("a\nb\nc", 3, [1, 2, 2], given=3), "a\n", "b\n", "c") == (0, 1, 2)


def test_without_places_the_tokens_are_shared_out_by_bytes() -> None:
    """7 tokens over 1 + 6 bytes; 10 over 2 + 3 + 3: after 2/8 of the bytes 2 of 2.5, after 5/8 6 of 6.25."""
    assert tokens(answer("a漢漢", 7), "a", "漢漢") == (1, 6)
    assert tokens(answer("ab漢xyz", 10), "ab", "漢", "xyz") == (2, 4, 4)
    assert tokens(answer("abcdef", 4, given=3), "ab", "cd", "ef") == (0, 1, 3)
    assert tokens(answer("ab", 2, given=2), "a", "b") == (0, 2)


def test_a_count_that_was_recorded_stands_where_nobody_tells_places() -> None:
    recorded = measured(answer("a\nb", 4, [1, 1, 2, 3]), ["a\n", "b"])
    read = build_rollout("a\nb", tokens=4, step_tokens=recorded.step_tokens)
    assert tokens(read, "a\n", "b") == recorded.step_tokens == (3, 1)
    assert tokens(build_rollout("a\nb", tokens=4, step_tokens=(4,)), "a\n", "b") == (2, 2), "of another cut"


STEPS = st.lists(st.text("aé漢\n", min_size=1, max_size=6), max_size=6)


@st.composite
def answers(draw: st.DrawFn) -> tuple[Rollout, list[str]]:
    """Any text in any steps, some of it given, told or not told token by token."""
    steps = draw(STEPS)
    text = "".join(steps)
    given = draw(st.integers(0, len(text)))
    ends = draw(st.none() | st.lists(st.integers(0, len(text) - given), min_size=1, max_size=20).map(sorted))
    count = draw(st.integers(1, 20)) if ends is None else len(ends)
    return answer(text, count, ends, given), steps


@given(answers())
def test_every_sampled_token_belongs_to_one_step_and_none_to_guidance(drawn: tuple[Rollout, list[str]]) -> None:
    rollout, steps = drawn
    found = measured(rollout, steps)
    assert found.step_tokens is not None and found.given_steps is not None
    assert len(found.step_tokens) == found.reasoning_steps == len(steps)
    assert min(found.step_tokens, default=0) >= 0
    assert sum(found.step_tokens) == (rollout.num_tokens if steps else 0)
    given = found.step_tokens[: found.given_steps]
    assert not any(given) or found.given_steps == len(steps), "but for an end behind an answer that was given whole"


@given(answers(), st.sampled_from(["steps", "tokens"]), st.booleans(), st.data())
def test_a_score_lies_between_0_and_1_whatever_stands_before(
    drawn: tuple[Rollout, list[str]], by: str, truncated: bool, data: st.DataObject
) -> None:
    rollout, steps = drawn
    found = lengths(measured(rollout, steps), by)  # type: ignore[arg-type]
    scores = [trajectory_score(k, found, truncated=truncated) for k in range(len(steps))]
    assert all(0 <= score <= 1 for score in scores) and scores == sorted(scores)
    assert 0 <= trajectory_score(None, found, truncated=truncated) <= 1
    if steps:  # the same work behind further steps: an error at its first step is worth what stands before it
        order = data.draw(st.permutations(range(len(found))))
        shuffled = [found[index] for index in order]
        assert trajectory_score(0, shuffled, truncated=truncated) == 0
        assert 0 <= trajectory_score(len(found) - 1, shuffled, truncated=truncated) <= 1


@given(STEPS, st.integers(0, 3))
def test_with_a_token_a_byte_both_ways_of_counting_agree(steps: list[str], behind: int) -> None:
    text = "".join(steps)
    ends = [n for n, c in enumerate(text) for _ in c.encode()[1:]]  # all but a character's last byte say nothing
    ends = sorted([*ends, *range(1, len(text) + 1)]) + [len(text)] * (1 if behind else 0)
    count = len(text.encode()) + (1 if behind else 0)
    assert len(ends) == count
    if count:
        told, shared = (measured(answer(text, count, e), steps).step_tokens for e in (ends, None))
        assert told == shared
        assert list(accumulate(told or ()))[-1:] == ([count] if steps else [])
