"""Cores that nobody used, from the seconds that the system counts."""

from __future__ import annotations

from types import SimpleNamespace

import psutil
import pytest

from raysgpo.conductor import idle_cores
from raysgpo.conductor.idle_cores import IdleCores


def test_it_is_the_idle_seconds_of_all_cores_over_those_of_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    now = {"idle": 100.0, "iowait": 7.0, "clock": 50.0}
    monkeypatch.setattr(psutil, "cpu_times", lambda: SimpleNamespace(idle=now["idle"], iowait=now["iowait"]))
    monkeypatch.setattr(idle_cores.time, "monotonic", lambda: now["clock"])
    idle = IdleCores()
    now |= {"idle": 106.0, "iowait": 8.0, "clock": 54.0}
    assert idle.mean() == pytest.approx(7 / 4)
    now |= {"idle": 107.0, "clock": 55.0}
    assert idle.mean() == pytest.approx(1), "since the look before"


def test_no_more_are_idle_than_there_are() -> None:
    idle = IdleCores()
    sum(range(3_000_000))
    assert 0 <= idle.mean() <= (psutil.cpu_count() or 1) + 0.5, "the system counts in hundredths of a second"
