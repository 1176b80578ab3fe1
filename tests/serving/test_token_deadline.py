"""Replicas on Ray Serve that make no token, or make them for long: who is given up, and who is waited for."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from ray.serve.handle import DeploymentHandle

from raysgpo.config import RolloutConfig
from raysgpo.groups.retrying_sampler import RetryingSampler
from raysgpo.records import Completion, SampleRequest
from raysgpo.serving.application import delete, quiet_logging
from raysgpo.serving.deployment import HEALTH_TIMEOUT, _deployment_options
from raysgpo.serving.handle import RolloutService
from raysgpo.serving.sampler import serve_sampler
from raysgpo.weights.store import start_weight_store
from raysgpo.weights.store_transport import StoreTransport
from tests.rollouts import Sampled

pytestmark = pytest.mark.ray

Deploy = Callable[..., DeploymentHandle]
DEADLINE = 2.5
"""Seconds: a loaded machine may stop everybody for one."""
ANSWER = "forty tokens, a twentieth of a second each"


def request(first: int) -> SampleRequest:
    return SampleRequest([1, 2, 3], (first, first + 1), 100, 1.0)


def published(handle: DeploymentHandle, transport: StoreTransport) -> None:
    assert transport.sender(handle).publish(0, [("w", torch.zeros(3))], deadline=20).complete


def pids(handle: DeploymentHandle) -> set[int]:
    return {state.pid for state in handle.broadcast("state").results(timeout_s=10)}


def is_there(pid: int) -> bool:
    return os.path.exists(f"/proc/{pid}")


async def all_sampled(handle: DeploymentHandle, count: int) -> list[tuple[list[Completion], int]]:
    settings = RolloutConfig(token_deadline=DEADLINE, start_deadline=60)
    sampler = RetryingSampler(serve_sampler(RolloutService(handle, "")), settings)
    return await asyncio.gather(*(sampler(request(2 * n)) for n in range(count)))


def test_a_replica_that_makes_no_token_is_replaced_and_its_groups_are_sampled_elsewhere(
    deploy_fake: Deploy, tmp_path: Path
) -> None:
    transport = StoreTransport(start_weight_store())
    words = ["zero", "one", "two", "three", "four", "five", "six", "seven"]
    fault = {"fault": "freeze", "fault_marker": str(tmp_path / "fault")}
    handle = deploy_fake(transport, replicas=2, token_deadline=DEADLINE, answers=words, **fault)
    published(handle, transport)
    before = pids(handle)
    answers = asyncio.run(all_sampled(handle, 4))
    assert [completion.text for completions, _ in answers for completion in completions] == words
    assert any(attempts for _, attempts in answers), "one of the two replicas hung"
    until = time.monotonic() + 30
    while sum(map(is_there, before)) > 1:
        assert time.monotonic() < until, "the replica that hung ends its process"
        time.sleep(0.1)


def test_answers_longer_than_any_deadline_end_where_their_replica_is_shut_down(
    deploy_fake: Deploy, tmp_path: Path
) -> None:
    """Of two replicas one hangs; neither is asked for its health any more."""
    transport = StoreTransport(start_weight_store())
    fault = {"fault": "freeze", "fault_marker": str(tmp_path / "fault")}
    settings = {"token_deadline": DEADLINE, "answers": [ANSWER], "token_seconds": 0.1, **fault}
    handle = deploy_fake(transport, replicas=2, **settings)
    published(handle, transport)
    before = pids(handle)
    asked = [Sampled(handle, request(2 * n)) for n in range(6)]
    time.sleep(0.3)
    deploy_fake(transport, replicas=1, **settings)  # in their place
    ended = []
    for one in asked:
        try:
            ended.append([completion.text for completion in one.result(timeout_s=30)])
        except Exception as error:
            assert "died" in str(error) or "no token" in str(error), error
    assert 0 < len(ended) < len(asked) and all(texts == [ANSWER] * 2 for texts in ended)
    until = time.monotonic() + 20
    while any(map(is_there, before)):
        assert time.monotonic() < until, "the one that hangs is not waited for, the other had nothing more to do"
        time.sleep(0.1)


def test_the_end_of_a_run_waits_for_no_answer(deploy_fake: Deploy) -> None:
    transport = StoreTransport(start_weight_store())
    handle = deploy_fake(transport, answers=[ANSWER], token_seconds=10.0)
    published(handle, transport)
    [pid] = pids(handle)
    running = Sampled(handle, request(0))
    time.sleep(0.3)
    started = time.monotonic()
    delete("fake", deadline=0.5)
    while is_there(pid):
        assert time.monotonic() - started < 15, "its answer would take for ever"
        time.sleep(0.1)
    with pytest.raises(Exception, match=r"died|killed"):
        running.result(timeout_s=20)


def test_a_replica_that_is_shut_down_has_time_for_its_longest_answer() -> None:
    for tokens, gpus, seconds in (512, 0, 300), (32_768, 0, 16_384), (32_768, 1, 3276.8):
        options = _deployment_options(RolloutConfig(max_model_len=tokens, gpus=gpus), "name", 1, quiet_logging())
        assert options["graceful_shutdown_timeout_s"] == pytest.approx(seconds + HEALTH_TIMEOUT)
