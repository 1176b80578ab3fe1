"""A cluster that runs is seen to be one, by the version of Ray that is installed."""

from __future__ import annotations

import pytest
import ray

from raysgpo.session.cluster_address import check_cluster_address

pytestmark = pytest.mark.ray


def test_a_head_that_runs_answers(ray_session: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", ray.get_runtime_context().gcs_address)
    monkeypatch.setattr("ray.is_initialized", lambda: False)
    check_cluster_address()
