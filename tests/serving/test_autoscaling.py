"""What Serve is told of a changing number of replicas, without starting it."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from ray.serve._private.application_state import ApplicationStatusInfo, StatusOverview
from ray.serve._private.common import DeploymentStatusInfo, DeploymentStatusTrigger
from ray.serve.config import AutoscalingConfig
from ray.serve.schema import ApplicationStatus, DeploymentStatus

from raysgpo.config import RolloutConfig
from raysgpo.config.overrides import resolve
from raysgpo.serving import application
from raysgpo.serving.autoscaling import replica_options, rollout_options
from raysgpo.serving.judge_replicas import REQUESTS_A_REPLICA


def test_a_fixed_number_knows_no_autoscaler() -> None:
    assert replica_options((3, 3), target_ongoing_requests=64) == {"num_replicas": 3}
    assert rollout_options(RolloutConfig(replicas=2), 32) == {"num_replicas": 2}


def test_bounds_and_load_are_serves() -> None:
    scaling = replica_options((1, 4), target_ongoing_requests=REQUESTS_A_REPLICA)["autoscaling_config"]
    assert (scaling["min_replicas"], scaling["max_replicas"]) == (1, 4)
    config = resolve({}, overrides=["rollout.replicas=[2,3]", "prompts_per_step=32", "max_staleness=1"])
    options = AutoscalingConfig(**rollout_options(config.rollout, config.groups_under_way)["autoscaling_config"])
    assert (options.min_replicas, options.initial_replicas, options.max_replicas) == (2, 2, 3)
    assert options.target_ongoing_requests == 22, "two thirds of 64 groups are more than two replicas' share"
    assert (options.upscale_delay_s, options.downscale_delay_s) == (30, 1800)
    assert options.look_back_period_s > options.metrics_interval_s


@pytest.mark.parametrize(("groups", "most", "share"), [(8, 2, 4), (9, 2, 5), (1, 3, 1), (512, 300, 2)])
def test_all_are_there_when_all_groups_are_under_way(groups: int, most: int, share: int) -> None:
    scaling = rollout_options(RolloutConfig(replicas=(1, most)), groups)["autoscaling_config"]
    assert scaling["target_ongoing_requests"] == share


UNPLACED = "has 1 replicas that have taken more than 30s to be scheduled. This may be due to waiting for the cluster"
SLOW = "has 1 replicas that have taken more than 30s to initialize"
FAILED = "A replica failed to start with exception. Retrying. Error:\nTraceback:\n  ...\nRuntimeError: no memory"


@pytest.mark.parametrize(
    ("status", "message", "why"),
    [
        (DeploymentStatus.UPSCALING, UNPLACED, application.NO_ROOM),
        (DeploymentStatus.UPSCALING, FAILED, "it fails to start: RuntimeError: no memory"),
        (DeploymentStatus.UPSCALING, SLOW, None),
        (DeploymentStatus.UPSCALING, "", None),
        (DeploymentStatus.HEALTHY, UNPLACED, None),
        (DeploymentStatus.DOWNSCALING, UNPLACED, None),
    ],
)
def test_why_a_replica_does_not_come_up_is_known_and_the_application_runs_on(
    status: DeploymentStatus, message: str, why: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployment = DeploymentStatusInfo("rollout", status, DeploymentStatusTrigger.AUTOSCALING, message)
    said = StatusOverview(ApplicationStatusInfo(ApplicationStatus.RUNNING), "rollout", [deployment])
    answer = said.to_proto().SerializeToString()
    monkeypatch.setattr(application, "ray", SimpleNamespace(wait=lambda *_, timeout: ([1], []), get=lambda _: answer))
    watch = application.Watch("rollout")
    watch._pending = SimpleNamespace()
    assert not watch.has_given_up()
    assert watch.held_back == why
