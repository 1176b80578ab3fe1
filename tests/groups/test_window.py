"""The window: bounded staleness, exact synchrony at S = 0, refilling, and no deadlock in any order of arrival."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raysgpo.groups.window import Window, age

PROMPTS = st.integers(1, 5)
STALENESS = st.integers(0, 3)
REFILL = st.integers(1, 4)


def state(window: Window) -> tuple[int, list[int]]:
    """What a window says of the future."""
    steps = range(window.released, window.released + 4)
    return window.limit, [window.first_position(step) for step in steps]


def test_by_hand() -> None:
    window = Window(prompts_per_step=4, max_staleness=1)
    assert [window.may_start(i) for i in (0, 7, 8)] == [True, True, False]
    window.release_to(1)
    assert window.limit == 12
    assert [window.may_start(i) for i in (8, 11, 12)] == [True, True, False]
    assert (window.step_of(7), window.step_of(8), window.first_position(2)) == (1, 2, 8)
    assert (age(5, 5), age(5, 3)) == (0, 2)


def test_refilling_by_hand() -> None:
    window = Window(prompts_per_step=3, max_staleness=0, refill=2)
    assert (window.positions(0), window.limit) == (range(0, 3), 3)
    window.dropped(1)
    window.dropped(1)
    assert (window.positions(0), window.limit, window.step_of(3)) == (range(0, 4), 4, 0)
    window.dropped(3)  # the one in its place is dropped too
    window.dropped(0)
    assert (window.positions(0), window.limit) == (range(0, 6), 6)
    window.dropped(2)  # but twice three is the most
    assert (window.positions(0), window.limit) == (range(0, 6), 6)
    window.close(0)
    window.release_to(1)
    assert (window.positions(1), window.limit, window.step_of(5), window.step_of(6)) == (range(6, 9), 9, 0, 1)


def test_a_drop_moves_the_steps_after_it() -> None:
    window = Window(prompts_per_step=2, max_staleness=1, refill=3)
    window.dropped(2)
    assert [window.positions(step) for step in (0, 1)] == [range(0, 2), range(2, 5)]
    window.dropped(1)  # the end of step 0 passes over position 2
    assert [window.positions(step) for step in (0, 1)] == [range(0, 4), range(4, 6)]
    assert window.limit == 6


def test_without_refilling_a_drop_changes_nothing() -> None:
    window = Window(prompts_per_step=2, max_staleness=1)
    before = state(window)
    window.dropped(0)
    assert state(window) == before


@given(st.integers(0, 10**4), PROMPTS, st.sets(st.integers(0, 50)), REFILL)
def test_a_position_lies_in_its_step(position: int, prompts: int, drops: set[int], refill: int) -> None:
    window = Window(prompts, 0, refill=refill)
    for dropped in drops:
        window.dropped(dropped)
    step = window.step_of(position)
    assert position in window.positions(step)
    assert prompts <= len(window.positions(step)) <= refill * prompts


@given(PROMPTS, STALENESS, REFILL, st.data())
def test_any_order_of_arrival_ends_with_bounded_flight_and_age(
    prompts: int, staleness: int, refill: int, data: st.DataObject
) -> None:
    """Positions finish in an order drawn at random; a step is trained as soon as its positions are there.

    Whatever the order: nobody is too old, no more are under way than the window has room for, nothing
    waits for ever, and at S = 0 the steps are those that follow from the fates alone.
    """
    steps = 4
    total = steps * prompts * refill
    fates = data.draw(st.lists(st.booleans(), min_size=total, max_size=total))
    window = Window(prompts, staleness, refill=refill, total_steps=steps)
    started: dict[int, int] = {}
    finished: set[int] = set()
    found: list[range] = []
    for _ in range(2 * total):
        waiting = [i for i in range(total) if i not in started and window.may_start(i)]
        for position in data.draw(st.permutations(waiting)):
            assert window.step_of(position) <= len(found) + staleness
            started[position] = len(found)
        running = sorted(set(started) - finished)
        assert len(running) <= (staleness + 1) * prompts
        assert min(set(range(total)) - finished, default=total) in {*started, window.first_position(steps)}
        if running:
            position = data.draw(st.sampled_from(running))
            finished.add(position)
            if not fates[position]:
                window.dropped(position)
        while len(found) < steps and set(window.positions(len(found))) <= finished:
            positions = window.positions(len(found))
            window.close(len(found))
            for position in positions:
                assert age(len(found), started[position]) <= staleness
            found.append(positions)
            window.release_to(len(found))
        if len(found) == steps:
            break
    assert len(found) == steps, "the stream must not stand still"
    first = 0
    for positions in found:
        kept, end = 0, first
        while kept < prompts and end < first + refill * prompts:
            kept, end = kept + (fates[end] or refill == 1), end + 1
        assert positions == range(first, end), "the shortest run with enough that are kept"
        first = end
    assert max(started) < first


def test_at_staleness_0_no_sample_starts_before_the_weights_of_its_step() -> None:
    window = Window(prompts_per_step=3, max_staleness=0)
    for step in range(5):
        assert [i for i in range(20) if window.may_start(i)][-3:] == [3 * step, 3 * step + 1, 3 * step + 2]
        window.release_to(step + 1)


def test_nothing_starts_for_a_step_after_the_last() -> None:
    window = Window(prompts_per_step=3, max_staleness=2, refill=2, total_steps=2)
    assert window.limit == 6
    window.dropped(0)
    assert window.limit == 7


@given(PROMPTS, STALENESS, REFILL, st.integers(0, 10), st.sets(st.integers(0, 80)))
def test_a_resumed_window_is_where_the_old_one_was(
    prompts: int, staleness: int, refill: int, steps: int, drops: set[int]
) -> None:
    window = Window(prompts, staleness, refill=refill)
    for position in drops:
        window.dropped(position)
    for done in range(steps):
        window.close(done)
        window.release_to(done + 1)
    begin = window.first_position(steps)
    resumed = Window(prompts, staleness, refill=refill, step=steps, position=begin)
    for position in drops:
        if position >= begin:
            resumed.dropped(position)
    assert state(resumed) == state(window)


@given(PROMPTS, STALENESS, st.integers(0, 10), st.integers(0, 10), st.integers(0, 100))
def test_older_weights_close_the_window_until_their_steps_are_trained_again(
    prompts: int, staleness: int, trained: int, checkpoint: int, position: int
) -> None:
    window = Window(prompts, staleness)
    window.release_to(trained)
    window.rewind(checkpoint)
    assert window.limit == (min(trained, checkpoint) + staleness + 1) * prompts
    if window.may_start(position):
        assert min(trained, checkpoint) >= max(window.step_of(position) - staleness, 0)


def test_a_trainer_that_goes_back_behind_the_window_starts_nothing() -> None:
    window = Window(prompts_per_step=2, max_staleness=0, step=5, position=12)
    window.rewind(3)
    assert window.limit == 12


def test_weights_from_the_future_are_a_programming_error() -> None:
    with pytest.raises(AssertionError, match="future"):
        age(3, 4)
    with pytest.raises(AssertionError, match="before step 2"):
        Window(prompts_per_step=4, max_staleness=0, step=2, position=8).first_position(1)


@given(PROMPTS, STALENESS, REFILL, st.sets(st.integers(0, 30)), st.integers(0, 3), st.sets(st.integers(0, 60)))
def test_one_that_forgets_is_as_one_that_began_there(
    prompts: int, staleness: int, refill: int, early: set[int], step: int, late: set[int]
) -> None:
    window = Window(prompts, staleness, refill=refill, total_steps=9)
    for position in early:
        window.dropped(position)
    for done in range(step):
        window.close(done)
        window.release_to(done + 1)
    first = window.first_position(step)
    window.forget_before(step)
    began = Window(prompts, staleness, refill=refill, total_steps=9, step=step, position=first)
    for position in sorted(late | early):
        if position >= first:
            window.dropped(position)
            began.dropped(position)
    assert state(window) == state(began)
    assert [window.step_of(position) for position in range(60)] == [began.step_of(position) for position in range(60)]
    assert (window._firsts, window._dropped) == (began._firsts, began._dropped)
