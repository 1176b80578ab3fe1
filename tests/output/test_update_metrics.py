"""The numbers of a step from those of its updates, worked out by hand."""

from __future__ import annotations

import pytest

from raysgpo.output.metrics import Metrics
from raysgpo.output.update_metrics import NO_UPDATE, over_updates


def update(**numbers: float | None) -> Metrics:
    return NO_UPDATE | {"advantage/r_loss": None} | {f"policy/{name}": value for name, value in numbers.items()}


FIRST = update(loss=0.1, entropy=2.0, clip_share=0.0, mismatch_abs=1e-6, denominator=30.0, lr=1e-4, skipped=0.0)
SECOND = update(loss=0.3, entropy=1.0, clip_share=0.2, mismatch_abs=0.05, denominator=10.0, lr=2e-4, skipped=1.0)


def test_the_only_update_of_a_step_is_the_step() -> None:
    assert over_updates([(FIRST, 30)]) == FIRST


def test_several_are_combined_each_number_in_its_way_and_stand_there_apart() -> None:
    step = over_updates([(FIRST, 30), (SECOND, 10)])
    expected = {"loss": 0.2, "entropy": 1.75, "clip_share": 0.05, "mismatch_abs": 1e-6, "denominator": 40.0}
    expected |= {"lr": 2e-4, "skipped": 1.0}
    assert {name: step[f"policy/{name}"] for name in expected} == pytest.approx(expected)
    assert step["policy/kl"] is None, "no update had it"
    assert [step[f"policy/clip_share/update_{number}"] for number in (1, 2)] == [0.0, 0.2]
    assert len(step) == 3 * len(NO_UPDATE)


def test_an_update_with_nothing_to_train_on_is_null_and_counts_for_nothing() -> None:
    step = over_updates([(NO_UPDATE, 0), (SECOND, 10), (NO_UPDATE, 0)])
    assert {name: step[name] for name in NO_UPDATE} == SECOND
    assert step["policy/loss/update_1"] is step["policy/loss/update_3"] is None


def test_no_update_at_all_is_null() -> None:
    assert set(over_updates([(NO_UPDATE, 0)] * 2).values()) == {None}
