"""Replicas on Ray Serve: pushes, pulls, and what a dead or hung replica costs."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import ray
import torch
from ray.serve.handle import DeploymentHandle

from raysgpo.config import RolloutConfig
from raysgpo.records import Completion, SampleRequest
from raysgpo.serving import application, deployment
from raysgpo.serving.replica import ReplicaState
from raysgpo.weights import group
from raysgpo.weights import sender as sender_file
from raysgpo.weights.checksums import named_checksums
from raysgpo.weights.push import ANSWER_GRACE
from raysgpo.weights.store import start_weight_store
from raysgpo.weights.store_transport import StoreTransport
from tests.patience import PATIENCE
from tests.rollouts import Sampled
from tests.serving.fake_engine import fake_engine
from tests.weights.publishing import written

pytestmark = pytest.mark.ray

Deploy = Callable[..., DeploymentHandle]


def weights(version: int) -> dict[str, torch.Tensor]:
    return {"w": torch.full((1000,), float(version)), "b": torch.tensor([1.5, version]).bfloat16()}


def request(min_version: int, max_tokens: int = 8) -> SampleRequest:
    return SampleRequest([1, 2, 3], (5, 6), max_tokens, 1.0, min_version=min_version)


def states(handle: DeploymentHandle, checksums: bool = False) -> list[ReplicaState]:
    return handle.broadcast("state", checksums).results(timeout_s=PATIENCE)


def ask_until_answered(handle: DeploymentHandle, wanted: SampleRequest) -> tuple[list[Completion], int]:
    """(completions, number of failed attempts)."""
    failed = 0
    until = time.monotonic() + PATIENCE
    while True:
        try:
            return Sampled(handle, wanted).result(timeout_s=30), failed
        except Exception:
            failed += 1
            assert time.monotonic() < until, "no replacement answered"


def versions_of(completions: list[Completion]) -> set[int]:
    return {version for c in completions for version, _ in c.weight_versions}


def test_pushes_and_pulls_bring_the_trainers_weights(deploy_fake: Deploy) -> None:
    transport = StoreTransport(start_weight_store())
    handle = deploy_fake(transport, replicas=2, update_seconds=0.1)
    for version in (0, 1):
        report = transport.sender(handle).publish(version, weights(version).items(), deadline=20)
        assert report.complete and list(report.landed.values()) == [version, version]
        expected = named_checksums(weights(version).items())
        assert [s.checksums for s in states(handle, checksums=True)] == [expected, expected]
    assert report.num_bytes == 1000 * 4 + 2 * 2
    check_a_pull_without_a_push(handle, transport.store)
    check_weights_outlive_their_publisher(handle, transport.store)


def check_a_pull_without_a_push(handle: DeploymentHandle, store: Any) -> None:
    file, manifest = written(weights(2).items())
    with file:
        ray.get(store.publish.remote(2, manifest), timeout=PATIENCE)
    assert [s.version for s in states(handle)] == [1, 1], "nobody told them"
    answers = [Sampled(handle, request(2)) for _ in range(4)]
    assert [versions_of(answer.result(timeout_s=PATIENCE)) for answer in answers] == [{2}] * 4


def check_weights_outlive_their_publisher(handle: DeploymentHandle, store: Any) -> None:
    class Trainer:
        def publish(self, store: Any, numel: int) -> int:
            import torch

            from tests.weights.publishing import written

            file, manifest = written([("w", torch.arange(numel))])
            with file:
                return ray.get(store.publish.remote(3, manifest))

    trainer = ray.remote(num_cpus=0)(Trainer).remote()
    numel = 2**18
    assert ray.get(trainer.publish.remote(store, numel), timeout=PATIENCE) == 3
    ray.kill(trainer)
    time.sleep(1)
    assert versions_of(Sampled(handle, request(3)).result(timeout_s=PATIENCE)) == {3}
    expected = named_checksums([("w", torch.arange(numel))])
    assert expected in [s.checksums for s in states(handle, checksums=True)]


def test_a_replica_killed_in_mid_generation_is_replaced_and_the_retry_answered(deploy_fake: Deploy) -> None:
    transport = StoreTransport(start_weight_store())
    handle = deploy_fake(transport, answers=["a long answer"], token_seconds=0.1)
    transport.sender(handle).publish(3, weights(3).items(), deadline=20)
    [before] = states(handle)
    running = Sampled(handle, request(3))
    time.sleep(0.3)
    os.kill(before.pid, signal.SIGKILL)
    with pytest.raises(ray.exceptions.RayActorError):
        running.result(timeout_s=20)
    completions, failed = ask_until_answered(handle, request(3))
    assert failed <= 2, "a retry should wait for the replacement rather than fail"
    assert [c.text for c in completions] == ["a long a"] * 2
    assert versions_of(completions) == {3}
    [after] = states(handle)
    assert after.pid != before.pid


def test_a_replica_blocked_by_an_update_costs_a_bounded_time_and_is_replaced(
    deploy_fake: Deploy, tmp_path: Path
) -> None:
    transport = StoreTransport(start_weight_store())
    marker = tmp_path / "fault"
    deadline = 5.0
    handle = deploy_fake(transport, update_deadline=deadline, fault="block", fault_version=1, fault_marker=str(marker))
    assert transport.sender(handle).publish(0, weights(0).items(), deadline).complete
    [before] = states(handle)
    report = transport.sender(handle).publish(1, weights(1).items(), deadline)
    assert report.push_seconds < deadline + ANSWER_GRACE + 5
    assert report.landed == {} and len(report.failures) == 1
    completions, failed = ask_until_answered(handle, request(1))
    assert versions_of(completions) == {1}
    assert failed <= 2, "rollout.attempts=3 must suffice"
    [after] = states(handle, checksums=True)
    assert after.checksums == named_checksums(weights(1).items())
    assert after.pid != before.pid and marker.exists()


def test_a_hung_update_keeps_no_other_replica_from_landing(deploy_fake: Deploy, tmp_path: Path) -> None:
    transport = StoreTransport(start_weight_store())
    handle = deploy_fake(
        transport,
        replicas=2,
        update_deadline=10.0,
        fault="hang",
        fault_version=0,
        fault_marker=str(tmp_path / "fault"),
    )
    report = transport.sender(handle).publish(0, weights(0).items(), deadline=10.0)
    assert list(report.landed.values()) == [0] and len(report.failures) == 1
    [landed] = report.landed
    assert "update to version 0 failed" in report.failures[0] and landed not in report.failures[0]
    completions, _ = ask_until_answered(handle, request(0))
    assert versions_of(completions) == {0}


def test_weights_are_broadcast_to_all_and_who_joins_or_leaves_makes_a_new_group(deploy_fake: Deploy) -> None:
    transport = StoreTransport(start_weight_store(), group="gloo")
    handle = deploy_fake(transport, replicas=2)
    sender = transport.sender(handle)
    for version in (0, 1):
        report = sender.publish(version, weights(version).items(), deadline=20)
        assert report.complete and report.epochs == 1, report.failures
        expected = named_checksums(weights(version).items())
        assert [s.checksums for s in states(handle, checksums=True)] == [expected, expected]
    before = states(handle)
    os.kill(before[0].pid, signal.SIGKILL)
    report = sender.publish(2, weights(2).items(), deadline=20)
    assert list(report.landed.values()) == [2] and before[1].replica_id in report.landed
    # The replacement starts without weights: it pulls when it is asked, and joins at the next push.
    answers = [Sampled(handle, request(2)) for _ in range(6)]
    assert [versions_of(answer.result(timeout_s=PATIENCE)) for answer in answers] == [{2}] * 6
    until = time.monotonic() + PATIENCE
    while len(states(handle)) < 2:
        assert time.monotonic() < until, "no replacement came up"
        time.sleep(0.1)
    report = sender.publish(3, weights(3).items(), deadline=20)
    assert list(report.landed.values()) == [3, 3], report.failures
    assert [s.checksums for s in states(handle, checksums=True)] == [named_checksums(weights(3).items())] * 2


def test_a_replica_that_hangs_in_a_broadcast_costs_the_others_the_patience_for_a_chunk(
    deploy_fake: Deploy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group, "CHUNK_PATIENCE", 1.0)
    monkeypatch.setattr(sender_file, "SEND_CHUNK", 2**20)
    transport = StoreTransport(start_weight_store(), group="gloo")
    handle = deploy_fake(transport, replicas=3)
    sender = transport.sender(handle)
    large = {f"w{index}": torch.full((2**20,), float(index)) for index in range(16)}
    assert sender.publish(0, large.items(), deadline=20).complete
    hung = states(handle)[0]

    def stopping() -> Iterator[tuple[str, torch.Tensor]]:
        for index, (name, tensor) in enumerate(large.items()):
            if index == 8:
                os.kill(hung.pid, signal.SIGSTOP)
            yield name, tensor + 1

    started = time.monotonic()
    try:
        report = sender.publish(1, stopping(), deadline=20)
    finally:
        os.kill(hung.pid, signal.SIGCONT)
    assert time.monotonic() - started < 60
    assert len(report.landed) == 2, report
    assert hung.replica_id not in report.landed
    assert "given up" in report.problems[0]
    expected = named_checksums((name, tensor + 1) for name, tensor in large.items())
    said = handle.broadcast("state", True).results(timeout_s=10, return_exceptions=True)
    found = [s for s in said if isinstance(s, ReplicaState) and s.replica_id in report.landed]
    assert [s.checksums for s in found] == [expected] * 2


def test_a_start_that_fails_says_why(deploy_fake: Deploy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deployment, "CONSTRUCTOR_ATTEMPTS", 1)
    with pytest.raises(RuntimeError, match="no_such_setting"):
        deploy_fake(StoreTransport(start_weight_store()), no_such_setting=1)


def test_what_serve_has_given_up_is_noticed_without_waiting(ray_session: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deployment, "CONSTRUCTOR_ATTEMPTS", 1)
    monkeypatch.setattr(application, "LOOK_EVERY", 0.0)
    rollout = RolloutConfig(cpus=0.1, kv_cache_gib=0.1, start_deadline=60, engine={"no_such_setting": 1})
    transport = StoreTransport(start_weight_store())
    deployment.start_rollout("model", rollout, transport, engine=fake_engine, name="broken", run_id="r")
    watch, until = application.Watch("broken"), time.monotonic() + 60
    try:
        while not watch.has_given_up():
            assert time.monotonic() < until, "Serve gives up after one attempt"
            time.sleep(0.05)
    finally:
        application.delete("broken", deadline=0)
    assert not any(application.Watch("nothing").has_given_up() for _ in range(3))


def test_a_start_without_resources_ends_at_its_deadline_and_says_what_is_missing(deploy_fake: Any) -> None:
    started = time.monotonic()
    with pytest.raises(TimeoutError, match=r"need 64 CPU and 0 GPU each, and the cluster has .* of 2 CPU"):
        deploy_fake(StoreTransport(start_weight_store()), cpus=64, start_deadline=3.0)
    assert time.monotonic() - started < 60
