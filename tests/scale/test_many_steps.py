"""What a step costs and leaves behind does not grow: with the steps, the groups of a step, or the replicas."""

from __future__ import annotations

from functools import partial

import pytest

from tests.conductor.in_process import Fleet, Instant
from tests.scale.fleets import engines
from tests.scale.step_costs import StepCosts, middle, step_costs

pytestmark = [pytest.mark.scale, pytest.mark.timeout(3600)]

RISE = 1.15
"""A tenth more is what is asked for; the rest is the machine's."""
KEPT = 700
"""Bytes a step, of what no checkpoint covers: Python's own heap moves by more in short runs."""


def told(capsys: pytest.CaptureFixture[str], name: str, costs: StepCosts) -> None:
    with capsys.disabled():
        print(f"\n{name}: {middle(costs.conductor) * 1e3:.2f} ms of the conductor a step, x {costs.rise:.3f} from the "
              f"second tenth to the last, {costs.growth / 2**20:+.1f} MiB")  # fmt: skip


@pytest.mark.parametrize(
    ("steps", "groups", "words"),
    [
        (20_000, 2, ()),
        (2_000, 32, ()),
        (4_000, 2, ("curriculum=target", "max_staleness=1")),
        (4_000, 2, ("curriculum=success",)),
        (4_000, 2, ("guidance=g2rpo_a", "guidance.max_length=8")),
    ],
)
def test_a_step_costs_what_it_cost_at_the_start(
    steps: int, groups: int, words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    costs = step_costs(steps, *words, groups=groups)
    told(capsys, f"{steps:,} steps of {groups} groups {' '.join(words)}", costs)
    assert costs.rise < RISE
    assert costs.growth < max(8 * 2**20, KEPT * steps)


def test_so_it_is_where_groups_are_dropped_and_replaced(capsys: pytest.CaptureFixture[str]) -> None:
    words = ("algorithm.refill=true", "max_staleness=1")
    costs = step_costs(4_000, *words, groups=4, fleet=lambda: Fleet([Instant(8, easy=True)]), apart=False)
    told(capsys, "4,000 refilled steps", costs)
    assert costs.rise < RISE and costs.growth < 8 * 2**20


def test_a_group_costs_the_same_in_a_step_of_4096(capsys: pytest.CaptureFixture[str]) -> None:
    # Of shorter answers a small step does not fill a pass of the trainer, and planning a full one costs more.
    small, large = step_costs(200, groups=32, tokens=128), step_costs(100, groups=4096, tokens=128)
    told(capsys, "100 steps of 4,096 groups", large)
    assert large.rise < RISE
    assert middle(large.conductor) / 4096 < middle(small.conductor) / 32 * RISE


def test_a_step_costs_the_same_with_256_replicas(capsys: pytest.CaptureFixture[str]) -> None:
    one, many = (step_costs(200, groups=32, fleet=partial(engines, count)) for count in (1, 256))
    told(capsys, "256 replicas", many)
    assert middle(many.conductor) < middle(one.conductor) * RISE
