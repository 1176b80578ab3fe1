"""The names under which an update reports: they are in users' dashboards, so they stay."""

from __future__ import annotations

import pytest

from raysgpo.output.update_metrics import NO_UPDATE
from tests.metrics_page import defined
from tests.policy.conftest import Build, Sequences, Shares

NAMES = {f"policy/{name}" for name in (
    "loss entropy clip_share kl mismatch_kl mismatch_abs mismatch_max ratio_mean".split()
    + "padding denominator grad_norm lr skipped".split()
)} | {"advantage/r_loss"}  # fmt: skip


@pytest.mark.parametrize("kl", [0.0, 0.1])
def test_an_update_reports_every_promised_metric_and_no_other(
    kl: float, build: Build, qwen3: str, sequences: Sequences, shares: Shares
) -> None:
    [share] = shares(sequences(3, seed=1))
    assert set(build(qwen3, kl=kl).update(share)) == NAMES


def test_a_step_without_an_update_has_the_same_names_and_no_number() -> None:
    assert dict.fromkeys(NAMES) == NO_UPDATE


def test_the_page_defines_each_of_them_and_no_other_number_of_the_policy() -> None:
    assert {name for name in defined() if name.startswith("policy/")} == NAMES - {"advantage/r_loss"}
    assert "advantage/r_loss" in defined()
