"""The names under which an update reports: they are in users' dashboards, so they stay."""

from __future__ import annotations

from tests.policy.conftest import Build, Sequences, Shares


def test_an_update_reports_every_promised_metric(
    build: Build, qwen3: str, sequences: Sequences, shares: Shares
) -> None:
    [share] = shares(sequences(3, seed=1))
    names = {"loss", "entropy", "clip_share", "kl", "mismatch_kl", "grad_norm", "lr"}
    assert {f"policy/{name}" for name in names} <= set(build(qwen3).update(share))
