"""A run whose trainer is the test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

Start = Callable[..., Any]
"""``start(steps, *words, **fields of FakeRun)``"""


@contextmanager
def starting(folders: pytest.TempPathFactory) -> Iterator[Start]:
    from tests.conductor.fakes import FakeRun

    runs: list[FakeRun] = []

    def start(steps: int, *words: str, folder: Path | None = None, **fields: Any) -> FakeRun:
        runs.append(FakeRun(folder or folders.mktemp("run"), steps, *words, **fields))
        return runs[-1]

    yield start
    for run in runs:
        run.close()


@pytest.fixture
def start_run(ray_session: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    """Its runs end with the test."""
    with starting(tmp_path_factory) as start:
        yield start


@pytest.fixture(scope="module")
def start_shared_run(ray_session: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    """Its runs end with the module."""
    with starting(tmp_path_factory) as start:
        yield start
