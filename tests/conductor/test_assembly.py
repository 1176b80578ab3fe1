"""Groups come one by one and leave as whole steps."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from raysgpo.conductor.assembly import Assembly
from raysgpo.groups.window import Window
from raysgpo.records import Drop, Group

MakeGroup = Callable[..., Group]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(order=st.permutations(range(6)))
def test_a_step_is_whole_once_its_last_group_is_there_and_in_order(make_group: MakeGroup, order: list[int]) -> None:
    assembly = Assembly(Window(3, 0))
    arrived: set[int] = set()
    out: set[int] = set()
    for position in order:
        assembly.add(make_group(position))
        arrived.add(position)
        for step in (0, 1):
            wanted = [3 * step, 3 * step + 1, 3 * step + 2]
            if step == len(out):
                groups = assembly.step(step)
                assert (groups is not None) == (set(wanted) <= arrived)
                assert groups is None or [group.position for group in groups] == wanted
                out |= {step} if groups is not None else set()
            assert assembly.missing(step) == [p for p in wanted if p not in arrived]
        assert all((p in assembly) == (p in arrived) for p in range(7))


def test_a_position_that_comes_again_keeps_its_first_group(make_group: MakeGroup) -> None:
    assembly = Assembly(Window(1, 0))
    first = make_group(0, epoch=0)
    assembly.add(first)
    assembly.add(make_group(0, epoch=9))
    groups = assembly.step(0)
    assert groups is not None and groups[0] is first
    assembly.add(make_group(0, epoch=9))
    assert 0 in assembly and assembly.missing(0) == [], "it came, though it went out"
    with pytest.raises(AssertionError, match="the next to go out is 1"):
        assembly.step(0)


def test_what_came_before_the_run_began_counts_as_here(make_group: MakeGroup) -> None:
    assembly = Assembly(Window(2, 0, step=3, position=7), step=3)
    for position in (6, 8, 7):
        assembly.add(make_group(position))
    assert [position in assembly for position in range(5, 10)] == [True] * 4 + [False]
    groups = assembly.step(3)
    assert groups is not None and [group.position for group in groups] == [7, 8]


def test_nothing_is_kept_of_what_went_out(make_group: MakeGroup) -> None:
    assembly = Assembly(Window(2, 0))
    for step in range(3):
        for position in (2 * step, 2 * step + 1):
            assembly.add(make_group(position))
        assert assembly.step(step) is not None
        for position in range(2 * step + 2):
            assembly.add(make_group(position))
    assert not assembly._groups and 5 in assembly and 6 not in assembly


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(order=st.permutations(range(7)))
def test_a_refilled_step_is_whole_with_its_last_kept_group(make_group: MakeGroup, order: list[int]) -> None:
    """Positions 1, 2 and 5 are dropped: two steps of two are 0 to 3 and 4 to 6."""
    assembly = Assembly(Window(2, 0, refill=3))
    arrived: set[int] = set()
    whole: list[list[int]] = []
    for position in order:
        assembly.add(make_group(position, dropped=Drop.NO_SIGNAL if position in (1, 2, 5) else None))
        arrived.add(position)
        while (groups := assembly.step(len(whole))) is not None:
            whole.append([group.position for group in groups])
        assert len(whole) == ({0, 1, 2, 3} <= arrived) * (1 + (arrived == set(range(7))))
    assert whole == [[0, 1, 2, 3], [4, 5, 6]]
    assert [position in assembly for position in range(8)] == [True] * 7 + [False]
