"""Any number of ranks does what one does: the same gradient, the same updates, checkpoints that fit all."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from raysgpo.planning.model_shape import ModelShape
from raysgpo.policy.layout import Layout
from raysgpo.policy.model import build_causal
from raysgpo.policy.policy import Policy
from tests.policy.conftest import Sequences, Shares, learned, saved
from tests.policy.tensors import distance, weights

pytestmark = pytest.mark.slow

OPTIMIZER = {"lr": 1e-3, "max_grad_norm": 0.05, "warmup_steps": 1}
KL = 0.1

Job = dict[Any, Any]
Result = dict[str, Any]
"""What a rank found: see ``ranks.py``."""


def run_ranks(folder: Path, job: Job, world: int) -> list[Result]:
    """All ranks' results; the job is what ``ranks.py`` reads."""
    (folder / "job.pkl").write_bytes(pickle.dumps(job))
    script = Path(__file__).with_name("ranks.py")
    root = str(script.parents[2])
    path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, str(script), str(folder), str(world)],
        env=environment, capture_output=True, text=True, timeout=180, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return pickle.loads((folder / "result.pkl").read_bytes())


@pytest.fixture(scope="module")
def job(
    qwen2: str, sequences: Sequences, groups: Sequences, shares: Shares, tmp_path_factory: pytest.TempPathFactory
) -> Job:
    """Steps as lists of one Share, and of several, a rank each; ``lonely`` leaves all but one without work, and the
    prompts of ``groups`` are computed once on several ranks, and once an answer on one."""
    steps = {"many": sequences(9, seed=1), "lonely": sequences(1, seed=2)}
    following = [(sequences(5, seed=k), k) for k in range(3)]

    def divided(world: int, layout: Layout) -> Job:
        grouped = shares(groups(3, 4, seed=3), world, budget=120, layout=layout)
        return {
            "gradients": {name: shares(made, world, budget=90) for name, made in steps.items()} | {"groups": grouped},
            "updates": [shares(made, world, budget=90, step=k) for made, k in following[:2]],
            "continued": shares(following[2][0], world, step=2),
        }

    return {
        "model": qwen2,
        "folder": tmp_path_factory.mktemp("ranks"),
        1: divided(1, "padded"),
        2: divided(2, "shared"),
        4: divided(4, "shared"),
    }


@pytest.fixture(scope="module")
def one(job: Job, one_rank: None) -> tuple[Result, Policy]:
    """What a single rank makes of the job, and its policy."""
    from raysgpo.config import AlgorithmConfig, OptimizerConfig, TrainerConfig

    settings = (
        TrainerConfig(layout="padded", dtype="float32"),
        OptimizerConfig(**OPTIMIZER),
        AlgorithmConfig(kl_coefficient=KL),
    )
    policy = Policy.build(job["model"], *settings, 1.0, 10, world=1)
    result: Result = {}
    for name, (share,) in job[1]["gradients"].items():
        metrics = policy.accumulate(share)
        slope = {n: p.grad.full_tensor().clone() for n, p in policy.scorer.named_parameters()}
        result[name] = (metrics, slope)
    result["updates"] = [policy.update(share) for (share,) in job[1]["updates"]]
    result["weights"] = weights(policy)
    saved(policy, job["folder"] / "from_one")
    policy.update(job[1]["continued"][0])
    result["continued"] = weights(policy)
    return result, policy


SHARDINGS: dict[str, dict[str, Any]] = {
    "2": {},
    "2 with checkpointing": {"gradient_checkpointing": True},
    "4": {},
    "2 x 2": {"shard_size": 2},
}


@pytest.fixture(scope="module", params=SHARDINGS)
def several(job: Job, one: tuple[Result, Policy], request: pytest.FixtureRequest) -> list[Result]:
    trainer = SHARDINGS[request.param]
    world = 2 if request.param.startswith("2 with") or request.param == "2" else 4
    folder = job["folder"] / request.param.replace(" ", "_")
    folder.mkdir()
    return run_ranks(
        folder,
        {
            "model": job["model"],
            "from_one": str(job["folder"] / "from_one"),
            "optimizer": OPTIMIZER,
            "trainer": {"layout": "shared", "dtype": "float32", "workers": world, **trainer},
            "kl": KL,
            **job[world],
        },
        world,
    )


@pytest.mark.parametrize("step", ["many", "lonely", "groups"])
def test_the_gradient_is_the_same(step: str, one: tuple[Result, Policy], several: list[Result]) -> None:
    (expected, slope), found = one[0][step], [rank[step] for rank in several]
    for metrics, gradient in found:
        assert distance(gradient, slope) < 1e-5
        assert learned(metrics) == pytest.approx(learned(expected), rel=1e-5)


def test_updates_and_their_metrics_are_the_same_on_every_rank(
    one: tuple[Result, Policy], several: list[Result]
) -> None:
    assert all(rank["updates"] == several[0]["updates"] for rank in several)
    for found, expected in zip(several[0]["updates"], one[0]["updates"], strict=True):
        assert learned(found) == pytest.approx(learned(expected), rel=1e-4)
        assert found["policy/grad_norm"] > OPTIMIZER["max_grad_norm"]
    for rank in several:
        assert distance(rank["weights"], one[0]["weights"]) < 1e-5


def test_each_rank_holds_what_the_plan_says(job: Job, several: list[Result], request: pytest.FixtureRequest) -> None:
    shape = ModelShape.of(build_causal(job["model"], "eager"))
    ranks = 2 if "2" in request.node.callspec.params["several"] else 4
    assert {rank["shard"] for rank in several} == {4 * shape.sharded(ranks)}


def test_every_rank_scores_its_own_share(job: Job, several: list[Result]) -> None:
    model = AutoModelForCausalLM.from_pretrained(job["model"])
    scored = 0
    for rank, share in zip(several, job[len(several)]["gradients"]["many"], strict=True):
        for cut, arrays in zip(share.micro_batches, rank["logprobs"], strict=True):
            for s, logprobs_T in zip(cut, arrays, strict=True):
                ids = torch.from_numpy(s.token_ids_T).long()
                plain = torch.log_softmax(model(input_ids=ids[None]).logits[0, :-1], -1)
                expected = plain.gather(-1, ids[1:, None])[:, 0].detach().numpy()
                assert logprobs_T[1:] == pytest.approx(expected * s.scored_T[1:], abs=1e-5)
                scored += 1
    assert scored == 9


def test_a_checkpoint_of_one_rank_goes_on_with_several(one: tuple[Result, Policy], several: list[Result]) -> None:
    for rank in several:
        assert all(torch.equal(rank["loaded"][name], value) for name, value in one[0]["weights"].items())
        assert distance(rank["continued"], one[0]["continued"]) < 1e-5


def test_a_checkpoint_of_several_ranks_goes_on_with_one(
    job: Job, one: tuple[Result, Policy], several: list[Result]
) -> None:
    policy = one[1]
    policy.load(Path(several[0]["folder"]) / "from_several")
    assert all(torch.equal(value, several[0]["weights"][name]) for name, value in policy.weights())
    policy.update(job[1]["continued"][0])
    assert distance(weights(policy), one[0]["continued"]) < 1e-5
