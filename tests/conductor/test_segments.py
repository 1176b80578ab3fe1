"""The stream in parts: whole steps, nothing left out, nothing twice."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raysgpo.conductor.stream import POSITIONS_PER_SEGMENT, segments

pytestmark = pytest.mark.ray


@given(st.integers(0, 500), st.integers(1, 3000), st.integers(1, 200))
def test_parts_are_whole_steps_one_after_the_other(begun: int, prompts_per_step: int, steps: int) -> None:
    first, end = begun * prompts_per_step, (begun + steps) * prompts_per_step
    parts = list(segments(first, end, prompts_per_step))
    assert parts[0][0] == first and parts[-1][1] == end
    assert all(one[1] == two[0] for one, two in pairwise(parts))
    assert all((b - a) % prompts_per_step == 0 and b - a > 0 for a, b in parts)
    assert all(b - a <= max(POSITIONS_PER_SEGMENT, prompts_per_step) for a, b in parts)
