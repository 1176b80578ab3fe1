"""The window: bounded staleness, exact synchrony at S = 0, and no deadlock in any order of arrival."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raysgpo.window import Window, age, first_position, may_start, step_of

PROMPTS = st.integers(1, 5)
STALENESS = st.integers(0, 3)


def test_by_hand() -> None:
    window = Window(prompts_per_step=4, max_staleness=1)
    assert [window.may_start(i) for i in (0, 7, 8)] == [True, True, False]
    window.release_to(1)
    assert window.limit == 12
    assert [window.may_start(i) for i in (8, 11, 12)] == [True, True, False]
    assert (step_of(7, 4), step_of(8, 4), first_position(2, 4)) == (1, 2, 8)
    assert (age(5, 5), age(5, 3)) == (0, 2)


@given(st.integers(0, 10**6), PROMPTS)
def test_a_position_lies_in_its_step(position: int, prompts: int) -> None:
    step = step_of(position, prompts)
    assert first_position(step, prompts) <= position < first_position(step + 1, prompts)


@given(PROMPTS, STALENESS, st.integers(0, 50), st.integers(0, 400))
def test_starting_never_needs_weights_from_before_the_window(
    prompts: int, staleness: int, steps: int, position: int
) -> None:
    """Weights that landed cover ``steps`` steps; whatever may start then is never too old when consumed."""
    if may_start(position, steps * prompts, prompts, staleness):
        step = step_of(position, prompts)
        assert steps >= max(step - staleness, 0)
        assert step < steps or age(step, steps) <= staleness


@given(PROMPTS, STALENESS, st.data())
def test_any_order_of_arrival_ends_with_bounded_flight_and_age(
    prompts: int, staleness: int, data: st.DataObject
) -> None:
    """Positions finish in an order drawn at random; a step is trained as soon as its positions are there."""
    window = Window(prompts, staleness)
    total = 4 * prompts
    started: dict[int, int] = {}
    finished: set[int] = set()
    trained = 0
    while trained < 4:
        waiting = [i for i in range(total) if i not in started and window.may_start(i)]
        for position in data.draw(st.permutations(waiting)):
            started[position] = trained
        running = sorted(set(started) - finished)
        assert len(started) - first_position(trained, prompts) <= (staleness + 1) * prompts
        lowest = min(set(range(total)) - finished, default=total)
        assert lowest == total or lowest in started, "the lowest unfinished position may always start"
        if running:
            finished.add(data.draw(st.sampled_from(running)))
        while trained < 4 and set(range(trained * prompts, (trained + 1) * prompts)) <= finished:
            for position in range(trained * prompts, (trained + 1) * prompts):
                assert age(trained, started[position]) <= staleness
            trained += 1
            window.release_to(trained)


def test_at_staleness_0_no_sample_starts_before_the_weights_of_its_step() -> None:
    window = Window(prompts_per_step=3, max_staleness=0)
    for step in range(5):
        assert [i for i in range(20) if window.may_start(i)][-3:] == [3 * step, 3 * step + 1, 3 * step + 2]
        window.release_to(step + 1)


@given(PROMPTS, STALENESS, st.integers(0, 10))
def test_a_resumed_window_is_where_the_old_one_was(prompts: int, staleness: int, steps: int) -> None:
    window = Window(prompts, staleness)
    for done in range(steps):
        window.release_to(done + 1)
    assert window == Window(prompts, staleness, released=first_position(steps, prompts))


@given(PROMPTS, STALENESS, st.integers(0, 10), st.integers(0, 10), st.integers(0, 100))
def test_older_weights_close_the_window_until_their_steps_are_trained_again(
    prompts: int, staleness: int, trained: int, checkpoint: int, position: int
) -> None:
    window = Window(prompts, staleness)
    window.release_to(trained)
    window.rewind(checkpoint)
    assert window == Window(prompts, staleness, released=min(trained, checkpoint) * prompts)
    if window.may_start(position):
        assert min(trained, checkpoint) >= max(step_of(position, prompts) - staleness, 0)


def test_weights_from_the_future_are_a_programming_error() -> None:
    with pytest.raises(AssertionError, match="future"):
        age(3, 4)
    with pytest.raises(AssertionError, match="whole step"):
        Window(prompts_per_step=4, max_staleness=0, released=3)
