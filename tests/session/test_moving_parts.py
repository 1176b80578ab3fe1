"""A start that fails waits for nobody who has done nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from raysgpo.groups.prepared import StartState
from raysgpo.session import moving_parts
from raysgpo.session.moving_parts import running_parts
from tests.conductor.fakes import settings


class Trainer:
    """Remembers what it was told, in order."""

    told: list[str]

    def __init__(self, *parts: Any) -> None:
        type(self).told = []

    def __getattr__(self, name: str) -> Any:
        return lambda: self.told.append(name)


class Serving:
    """Comes up, or does not."""

    def __init__(self, failure: BaseException | None) -> None:
        self._failure = failure
        self.rollout, self.run_id = SimpleNamespace(), "run"
        self.up = self.judge = self.transport = None

    def start(self, judging: bool) -> int:
        return 0

    def wait(self) -> None:
        if self._failure is not None:
            raise self._failure


def nothing(*parts: Any) -> None:
    """In the place of what matters to nobody here."""


@contextmanager
def conductor(*parts: Any) -> Iterator[Any]:
    yield SimpleNamespace(start=Remote(), open_publishing=Remote())


class Remote:
    def remote(self, *words: Any) -> None:
        """Answers at once."""


@pytest.mark.parametrize("failure", [RuntimeError("no replica"), KeyboardInterrupt(), None])
def test_a_trainer_is_killed_that_has_trained_nothing_and_no_other(
    failure: BaseException | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    fakes = {"TrainerThread": Trainer, "running_conductor": conductor}
    fakes |= dict.fromkeys(["workers_with_room", "result", "_wants_replicas", "TrainJob"], nothing)
    for name, fake in fakes.items():
        monkeypatch.setattr(moving_parts, name, fake)
    prepared: Any = SimpleNamespace(config=settings(), total_steps=1)
    run: Any = SimpleNamespace(path=Path("run-001"))
    caught: BaseException | None = None
    try:
        with running_parts(prepared, run, StartState(), Serving(failure), print):  # type: ignore[arg-type]
            pass
    except (RuntimeError, KeyboardInterrupt) as error:
        caught = error
    assert caught is failure
    assert Trainer.told == (["start", "wait"] if failure is None else ["start", "kill", "wait"])
