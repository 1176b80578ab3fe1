"""An actor that hangs is missed, without anyone waiting for it."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

import pytest
import ray
from ray.exceptions import RayActorError

from raysgpo.remote import Hung, Pulse

pytestmark = pytest.mark.ray


class Actor:
    def pid(self) -> int:
        return os.getpid()


def first(pulse: Pulse[Any]) -> Any:
    until = time.monotonic() + 30
    while (answer := pulse.answer()) is None:
        assert time.monotonic() < until
        time.sleep(0.02)
    return answer


def test_it_tells_answers_a_hang_and_a_death(ray_session: None) -> None:
    actor: Any = ray.remote(Actor).options(num_cpus=0).remote()
    pulse = Pulse("the actor", actor.pid.remote, patience=1.0)
    pid = ray.get(actor.pid.remote())
    assert first(pulse) == pid and first(pulse) == pid
    os.kill(pid, signal.SIGSTOP)
    begun = time.monotonic()
    with pytest.raises(Hung, match="the actor has not answered for 1 s"):
        first(pulse)
    assert time.monotonic() - begun >= 1.0
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(RayActorError):
        first(Pulse("the actor", actor.pid.remote, patience=60.0))
