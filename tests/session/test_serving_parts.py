"""Replicas stay up while the rest of a run is started again, and nothing of them passes for newer than it is."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ray.exceptions import ActorDiedError, GetTimeoutError
from ray.serve._private.common import DeploymentID
from ray.serve.exceptions import DeploymentUnavailableError

from raysgpo.config.overrides import resolve
from raysgpo.judging.address import JudgeAddress
from raysgpo.output.run_folder import RunFolder
from raysgpo.remote import Hung
from raysgpo.serving.application import NO_ROOM
from raysgpo.serving.replica import ReplicaState
from raysgpo.session import serving_parts as file
from raysgpo.session.names import RunNames
from raysgpo.session.serving_parts import ServingParts
from tests.resolved import resolved

pytestmark = pytest.mark.ray


class Cluster:
    """What Serve and the store would do: whom it has, what they say, and all that happened."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        self.known: set[str] = set()
        self.states: list[Any] = []
        self.unreachable: Exception | None = None
        self.stored: Any = -1
        self.events: list[str] = []
        self.names = RunNames.of(RunFolder(folder))
        handle = SimpleNamespace(broadcast=lambda method: SimpleNamespace(results=lambda **_: self.heard(method)))
        stubs: dict[str, Any] = {
            "start_weight_store": lambda run: SimpleNamespace(latest=SimpleNamespace(remote=lambda: "latest")),
            "start_rollout": lambda *_, name, **__: self.begun(name, handle),
            "start_judge": lambda _, name: self.begun(name, JudgeAddress("http://judge", "judge")),
            "is_known": self.known.__contains__,
            "delete": self.deleted,
            "result": lambda pending, deadline: self.answer(),
            "ray": SimpleNamespace(kill=lambda store, no_restart: self.events.append("the store is killed")),
        }
        for name, stub in stubs.items():
            monkeypatch.setattr(file, name, stub)
        config = resolved(resolve({}, overrides=["algorithm=sgpo", "judge=tiny"]))
        self.parts = ServingParts(config, self.names, None, print)

    def heard(self, method: str) -> list[Any]:
        self.events.append(method)
        if self.unreachable is not None:
            raise self.unreachable
        return self.states

    def begun(self, name: str, what: Any) -> Any:
        self.known.add(name)
        self.events.append(f"start {name.rpartition('-')[2]}")
        return what

    def deleted(self, name: str, deadline: float = 30.0) -> None:
        self.known.discard(name)
        self.events.append(f"delete {name.rpartition('-')[2]} after {deadline:g} s")

    def answer(self) -> int:
        if isinstance(self.stored, BaseException):
            raise self.stored
        return int(self.stored)


def state(version: int, broken: str | None = None) -> ReplicaState:
    return ReplicaState("r", version, 1, 260, 512, broken)


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Cluster:
    return Cluster(monkeypatch, tmp_path)


def test_sound_replicas_are_kept_and_give_up_what_nobody_waits_for(cluster: Cluster) -> None:
    assert cluster.parts.start(judging=True) == -1
    assert cluster.events == ["start judge", "start rollout"]
    cluster.states, cluster.stored = [state(5), state(7)], 6
    assert cluster.parts.start(judging=True) == 7, "the next weights go above all that is held"
    assert cluster.events[2:] == ["drop_requests"]


@pytest.mark.parametrize("found", [state(9, broken="half loaded"), TimeoutError("hangs")])
def test_one_that_does_not_say_what_it_holds_has_all_replaced(found: Any, cluster: Cluster) -> None:
    cluster.parts.start(judging=False)
    cluster.states, cluster.stored = [state(5), found], 6
    assert cluster.parts.start(judging=False) == 6
    assert cluster.events == ["start rollout", "drop_requests", "delete rollout after 0 s", "start rollout"]


def test_replicas_that_cannot_be_asked_are_replaced(cluster: Cluster) -> None:
    cluster.parts.start(judging=False)
    cluster.unreachable = DeploymentUnavailableError(DeploymentID(name="x", app_name="x"))
    assert cluster.parts.start(judging=False) == -1
    assert cluster.events == ["start rollout", "drop_requests", "delete rollout after 0 s", "start rollout"]


def test_what_failed_to_start_or_was_taken_down_is_started(cluster: Cluster) -> None:
    cluster.parts.start(judging=True)
    cluster.parts.end_judging()
    cluster.known.discard(cluster.names.rollout)
    cluster.parts.start(judging=True)
    assert cluster.events[2:] == ["delete judge after 5 s", "start judge", "delete rollout after 0 s", "start rollout"]


@pytest.mark.parametrize(("error", "killed"), [(ActorDiedError(), False), (GetTimeoutError(), True)])
def test_a_store_that_is_gone_is_empty_and_one_that_hangs_is_killed(
    error: Exception, killed: bool, cluster: Cluster
) -> None:
    cluster.stored = error
    assert cluster.parts.start(judging=False) == -1
    assert ("the store is killed" in cluster.events) == killed


def test_replicas_that_serve_has_given_up_are_missed(cluster: Cluster) -> None:
    cluster.parts.start(judging=False)
    cluster.parts._pulse = SimpleNamespace(answer=lambda: None)  # type: ignore[assignment]
    cluster.parts.check()
    cluster.parts._watch = SimpleNamespace(has_given_up=lambda: True)  # type: ignore[assignment]
    with pytest.raises(RuntimeError, match="Ray Serve has given up on the rollout replicas"):
        cluster.parts.check()


def test_a_replica_that_does_not_come_up_is_told_once(cluster: Cluster) -> None:
    said: list[str] = []
    cluster.parts._say = said.append
    cluster.parts.start(judging=False)
    cluster.parts._pulse = SimpleNamespace(answer=lambda: None)  # type: ignore[assignment]
    for why in (None, NO_ROOM, None, NO_ROOM):
        watch = SimpleNamespace(has_given_up=lambda: False, held_back=why)
        cluster.parts._watch = watch  # type: ignore[assignment]
        cluster.parts.check()
    [line] = said
    assert line == (
        "load calls for another rollout replica (0.5 CPU, 0 GPU) and the cluster has no room for it; the run goes on "
        "with those that are there (rollout.replicas=[1, 1]; said once)"
    )


def test_a_store_that_lost_its_weights_is_missed(cluster: Cluster) -> None:
    answers: Any = iter([None, 3, None, 4])
    cluster.stored = 3
    cluster.parts.start(judging=False)
    cluster.parts._pulse = SimpleNamespace(answer=lambda: next(answers))  # type: ignore[assignment]
    for _ in range(4):
        cluster.parts.check()
    answers = iter([-1])
    with pytest.raises(RuntimeError, match="the weight store died, and with it the weights of version 4"):
        cluster.parts.check()

    def hangs() -> None:
        raise Hung("the weight store has not answered for 120 s")

    cluster.parts._pulse = SimpleNamespace(answer=hangs)  # type: ignore[assignment]
    with pytest.raises(Hung):
        cluster.parts.check()
