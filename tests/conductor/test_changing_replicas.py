"""Serve adds replicas under load and takes them away again in mid-run; no group is lost, doubled or too old."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch

from raysgpo.config import RolloutConfig
from raysgpo.output.json_lines import read_rows
from raysgpo.output.metrics import Metrics
from raysgpo.records import SampleRequest
from raysgpo.serving import autoscaling
from raysgpo.serving.application import delete
from raysgpo.weights.store import start_weight_store
from raysgpo.weights.store_transport import StoreTransport
from raysgpo.weights.transport import ReplicaPublisher
from tests.conductor.conftest import Start
from tests.conductor.fakes import FakeRun
from tests.group_audit import faults
from tests.patience import PATIENCE
from tests.rollouts import Sampled, deploy_rollout
from tests.serving.fake_engine import fake_engine

pytestmark = [pytest.mark.ray, pytest.mark.filterwarnings("ignore:The `metrics_interval_s` field:DeprecationWarning")]

MOST, P, S = 3, 12, 1
WORDS = [f"prompts_per_step={P}", f"max_staleness={S}", "evaluation.every=0", "task.prompts=60", "algorithm=grpo"]
WORDS += ["sampling.max_tokens=30"]
STEPS = 40
TOKEN_SECONDS = 0.06
STRAGGLERS, LONG = 6, 120
"""Answers that are under way when replicas leave, and their tokens."""
PAUSE = 5.0
"""Seconds that the trainer takes later on, when little else is under way."""


@pytest.fixture
def handle(ray_session: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """One replica to three, and a Serve that decides within a second or two."""
    monkeypatch.setattr(autoscaling, "LOOK_BACK", {"look_back_period_s": 1.0, "metrics_interval_s": 0.2})
    rollout = RolloutConfig(
        replicas=(1, MOST),
        upscale_delay=0.5,
        downscale_delay=2.0,
        cpus=0.1,
        kv_cache_gib=0.1,
        start_deadline=60,
        engine={"token_seconds": TOKEN_SECONDS, "answers": ["x" * LONG]},
    )
    transport = StoreTransport(start_weight_store())
    groups = (S + 1) * P
    handle = deploy_rollout("model", rollout, transport, engine=fake_engine, name="elastic", groups=groups)
    yield ReplicaPublisher(transport, handle)
    delete("elastic", deadline=5)


class Trainer:
    """Trains step after step, and remembers how many replicas each push found."""

    def __init__(self, run: FakeRun, publisher: ReplicaPublisher) -> None:
        self.run, self.publisher = run, publisher
        self.found: list[int] = []

    def publish(self, step: int) -> Metrics:
        version = self.run.version = self.run.call("next_version", step)
        sync = self.publisher.publish(version, [("w", torch.full((3,), float(version)))], 20)
        assert not sync.failures
        self.run.call("published", version, step, 1)
        return {**sync.metrics}

    def train_until(self, condition: Callable[[], bool], what: str, pause: float = 0.0) -> None:
        until = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < until and len(self.found) < STEPS, f"no {what}: {self.found}"
            step = len(self.found)
            self.run.step(step)
            time.sleep(pause)
            sync = self.publish(step + 1)
            self.run.trained(step, sync=sync)
            self.found.append(int(sync["sync/replicas"] or 0))


def straggler(seed: int, version: int) -> SampleRequest:
    return SampleRequest([1, 2, 3], (seed,), LONG, 1.0, min_version=version)


def test_from_one_to_three_and_back(handle: Any, start_run: Start) -> None:
    run = start_run(STEPS, *WORDS, f"rollout.replicas=[1,{MOST}]", rollout=handle.replicas)
    trainer = Trainer(run, handle)
    assert trainer.publish(0)["sync/replicas"] == 1
    trainer.train_until(lambda: trainer.found[-1:] == [MOST], "third replica")
    stragglers = [Sampled(handle.replicas, straggler(seed, run.version)) for seed in range(STRAGGLERS)]
    trainer.train_until(lambda: trainer.found[-1] == 1, "end of the others", pause=PAUSE)
    for completion in (one for response in stragglers for one in response.result(timeout_s=30)):
        versions = [version for version, _ in completion.weight_versions]
        assert len(completion.token_ids_T) == LONG and versions == sorted(versions)
    steps = len(trainer.found)
    assert faults(list(read_rows(run.folder.groups)), steps, P, S) == []
    assert [row["rollout/replicas"] for row in read_rows(run.folder.metrics)] == trainer.found
    assert sum(row["sampling/retries"] for row in read_rows(run.folder.metrics)) == 0
    told = [line for line in run.call("status", 0).messages if "replicas" in line]
    changes = [(a, b) for a, b in zip([1, *trainer.found], trainer.found, strict=False) if a != b]
    assert [line.partition(": ")[2] for line in told] == [f"rollout replicas: {a} -> {b}" for a, b in changes]
