"""A real language model on the whole stack: sampled, judged by itself, trained by two workers, resumed in bfloat16."""

from __future__ import annotations

import json

import pytest

from raysgpo.output.run_folder import RunFolder
from tests.full.conftest import ROOT, Finished, checksums_by_version, run_to_end

pytestmark = [pytest.mark.real, pytest.mark.timeout(1800)]

TRAIN = str(ROOT / "jobs" / "train.py")
STEPS, P, G = 2, 2, 4
SETTINGS = """smollm task.terms=2 task.prompts=16 sampling.max_tokens=16 trainer.workers=2 trainer.cpus=0.25
evaluation.prompts=2 evaluation.every=0 checkpoint.every=1 checkpoint.keep=9 optimizer.warmup_steps=0
judge=replicas judge.model=smollm2 judge.max_tokens=48 trainer.dtype=float32 name=real""".split()


@pytest.fixture(scope="module")
def resumed(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """A run of STEPS steps in float32, and then one more in bfloat16."""
    storage = tmp_path_factory.mktemp("real")
    words = [*SETTINGS, f"prompts_per_step={P}", f"sampling.group_size={G}", f"storage={storage}", f"steps={STEPS}"]
    status, output = run_to_end(storage / "elsewhere", TRAIN, *words)
    assert status == 0, output
    further = ["resume=real-001", f"storage={storage}", f"steps={STEPS + 1}", "trainer.dtype=bfloat16"]
    status, again = run_to_end(storage / "elsewhere", TRAIN, *further)
    return Finished(status, output + again, RunFolder(storage / "runs" / "real-001"))


def test_it_runs_and_goes_on(resumed: Finished) -> None:
    assert resumed.status == 0, resumed.output
    assert [row["step"] for row in resumed.metrics] == list(range(STEPS + 1))
    assert [row["position"] for row in resumed.groups] == list(range(P * (STEPS + 1)))
    assert not [group["error"] for group in resumed.groups if group["error"]]


def test_trainer_and_sampler_see_the_same_model(resumed: Finished) -> None:
    """In float32 what is left is the order of sums; in bfloat16 the rounding of every sum to 8 bits."""
    mismatch = {row["step"]: row["policy/mismatch_abs"] for row in resumed.metrics if "policy/mismatch_abs" in row}
    exact = [value for step, value in mismatch.items() if step < STEPS]
    assert exact and max(exact) < 1e-4
    assert STEPS not in mismatch or 1e-4 < mismatch[STEPS] < 0.1


def test_the_judge_answers_every_question(resumed: Finished) -> None:
    """A small model judges badly; but it answers in time, and so that it can be read."""
    assert sum(row["judge/calls"] for row in resumed.metrics) > 0
    assert not any(row["judge/timeouts"] or row["judge/errors"] for row in resumed.metrics)


def test_its_wrong_steps_are_found(resumed: Finished) -> None:
    wrong = [r for group in resumed.groups if group["judged"] for r in group["rollouts"] if r["reasoning_steps"]]
    assert all(rollout["votes"] for rollout in wrong)
    assert any(rollout["text"].strip() for group in resumed.groups for rollout in group["rollouts"])


def test_every_update_gives_another_model_and_its_weights_arrive(resumed: Finished) -> None:
    checksums = [json.dumps(one, sort_keys=True) for _, one in sorted(checksums_by_version(resumed.run).items())]
    trained = [bool(row["groups/trained"]) for row in resumed.metrics]
    assert len(checksums) == STEPS + 1
    for before, after, changed in zip(checksums[:-1], checksums[1:], trained[1:], strict=True):
        assert (before != after) == changed
    assert all(row["sync/replicas"] == 1 and row["sync/failures"] == 0 for row in resumed.metrics)


def test_its_tokenizer_and_template_are_beside_the_trained_policy(resumed: Finished) -> None:
    newest = max(resumed.run.export(0).parent.iterdir())
    assert {"tokenizer.json", "chat_template.jinja", "config.json"} <= {file.name for file in newest.iterdir()}
