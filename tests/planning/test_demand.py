"""What a run reserves, by its settings."""

from __future__ import annotations

import pytest

from raysgpo.config import Config, RolloutConfig, TrainerConfig
from raysgpo.config.overrides import resolve
from raysgpo.planning.demand import demands, phases, worker_count
from raysgpo.planning.placement import Node, impossible
from raysgpo.recipes.arithmetic import arithmetic

GPU_NODE = Node("gpus", {"CPU": 8.0, "GPU": 4.0, "memory": 1e9})
LAPTOP = Node("laptop", {"CPU": 2.0})
GPUS = Config(rollout=RolloutConfig(gpus=4), trainer=TrainerConfig(workers=4, gpus=1))


def test_the_default_run_fits_on_two_cpus() -> None:
    wanted = demands(arithmetic(), cpus=2)
    assert sum(demand.count * demand.each.get("CPU", 0) for demand in wanted) <= 2
    assert all(demand.each.get("CPU", 0) > 0 for demand in wanted), "nothing is free"
    assert impossible(wanted, [LAPTOP]) is None
    assert impossible(wanted, [Node("half", {"CPU": 1.0})]) is not None


def test_everything_that_the_run_reserves_is_asked_for() -> None:
    config = Config(
        prompts_per_step=300,
        max_staleness=1,
        rollout=RolloutConfig(replicas=3, cpus=2, gpus=1),
        trainer=TrainerConfig(workers=4, cpus=1, gpus=0),
    )
    found = [(demand.count, demand.each) for demand in demands(config, cpus=100)]
    # 600 groups in flight, at most 256 a worker where there is room for so many workers.
    assert found == [(4, {"CPU": 1}), (3, {"CPU": 2, "GPU": 1}), (3, {"CPU": 0.25})]


def test_the_fewest_are_needed_and_the_most_are_named() -> None:
    words = ["rollout.replicas=[2,4]", "rollout.gpus=2", "algorithm=sgpo", "judge=replicas", "judge.model=org/judge"]
    wanted = demands(resolve({}, overrides=[*words, "judge.replicas=[1,3]"]), cpus=8)
    assert impossible(wanted, [GPU_NODE]) is None
    told = impossible(wanted, [LAPTOP, Node("few", {"CPU": 2.0, "GPU": 2.0})])
    assert told == "the run asks for 4 GPU (2 rollout replica (up to 4) x 2) and the cluster has 2"
    told = impossible(wanted, [Node("slow", {"CPU": 1.0, "GPU": 4.0})])
    assert told is not None and "2 rollout replica (up to 4) x 0.5" in told and "1 judge replica (up to 3)" in told


@pytest.mark.parametrize(("prompts", "cpus", "count"), [(32, 2, 1), (1024, 2, 2), (10_000, 2, 2), (10_000, 400, 40)])
def test_group_workers_leave_the_rest_of_the_cluster_to_others(prompts: int, cpus: float, count: int) -> None:
    assert worker_count(Config(prompts_per_step=prompts), cpus) == count


def test_an_offline_run_needs_its_phases_one_at_a_time() -> None:
    """Replicas and trainer take turns, so what online would need two of these nodes runs on one."""
    words = ["mode=offline", "algorithm=sgpo", "judge=replicas", "judge.model=org/judge"]
    config = resolve(GPUS, overrides=words)
    collecting, training = phases(config, cpus=2)
    assert [demand.what for demand in collecting] == ["rollout replica", "judge replica"]
    assert [demand.what for demand in training] == ["train worker"]
    assert all(impossible(wanted, [GPU_NODE]) is None for wanted in (collecting, training))
    alone = resolve(config, overrides=["offline.groups=groups.jsonl", "evaluation.every=0", "judge=rule"])
    assert [[demand.what for demand in wanted] for wanted in phases(alone, cpus=2)] == [[], ["train worker"]]
    assert impossible(demands(config, cpus=2), [GPU_NODE]) is not None
    assert phases(GPUS, cpus=2) == [demands(GPUS, cpus=2)]
