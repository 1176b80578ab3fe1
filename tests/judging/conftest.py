"""A judge server that the tests of a folder may order about."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.judging.judge_server import JudgeServer


@pytest.fixture
def judge_server() -> Iterator[JudgeServer]:
    """It answers that no step is wrong, until told otherwise."""
    with JudgeServer() as server:
        yield server


@pytest.fixture
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client's pauses between attempts, seconds: a fiftieth of its own."""
    monkeypatch.setattr("openai._base_client.INITIAL_RETRY_DELAY", 0.01)
    monkeypatch.setattr("openai._base_client.MAX_RETRY_DELAY", 0.05)
