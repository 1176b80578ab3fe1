"""A real language model on the whole stack: sampled, judged by replicas of it, trained by two workers, resumed."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from raysgpo.config import Config
from raysgpo.output.run_folder import RunFolder
from raysgpo.tiny.smollm2 import ensure_smollm2
from tests.full.conftest import ROOT, Finished, checksums_by_version, run_to_end

pytestmark = [pytest.mark.real, pytest.mark.timeout(1800)]

TRAIN = str(ROOT / "jobs" / "train.py")
STEPS, P, G = 2, 2, 2
QUESTIONS = [
    ("Tom has {a} apples and buys {b} more. How many has he?", "{a}+{b}={c}\n#### {c}"),
    (
        "A box holds {a} red and {b} blue balls. How many balls are in it?",
        "{a} + {b} = {c}. The box holds {c}.\n#### {c}",
    ),
]
SETTINGS = """math algorithm=sgpo model=smollm2 judge=replicas judge.model=smollm2 judge.kv_cache_gib=0.5
judge.max_tokens=24 judge.engine={dtype:float32} rollout.engine={dtype:float32} rollout.kv_cache_gib=0.5
trainer.workers=2 trainer.cpus=0.25 sampling.max_tokens=16 evaluation.prompts=2 evaluation.every=0 checkpoint.every=1
checkpoint.keep=9 records.tokens=true optimizer.lr=1e-6 rollout.start_deadline=900 judge.start_deadline=900
name=real""".split()


@pytest.fixture(scope="module")
def resumed(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """A run of STEPS steps, and then one more."""
    storage = tmp_path_factory.mktemp("real")
    (storage / "models").mkdir()
    (storage / "models" / "smollm2").symlink_to(ensure_smollm2(Config().storage_root), target_is_directory=True)
    rows = [
        {"question": text.format(a=a, b=b), "answer": str(a + b), "solution": worked.format(a=a, b=b, c=a + b)}
        for a, b in ((3, 4), (2, 5), (6, 1), (8, 7))
        for text, worked in QUESTIONS
    ]
    (storage / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    words = [*SETTINGS, f"task.path={storage}/rows.jsonl", f"prompts_per_step={P}", f"sampling.group_size={G}"]
    status, output = run_to_end(storage / "elsewhere", TRAIN, *words, f"storage={storage}", f"steps={STEPS}")
    assert status == 0, output
    status, again = run_to_end(
        storage / "elsewhere", TRAIN, "resume=real-001", f"storage={storage}", f"steps={STEPS + 1}"
    )
    return Finished(status, output + again, RunFolder(storage / "runs" / "real-001"))


def test_it_runs_and_goes_on(resumed: Finished) -> None:
    assert resumed.status == 0, resumed.output
    assert [row["step"] for row in resumed.metrics] == list(range(STEPS + 1))
    assert [row["position"] for row in resumed.groups] == list(range(P * (STEPS + 1)))
    assert not [group["error"] for group in resumed.groups if group["error"]]


def test_trainer_and_sampler_see_the_same_model(resumed: Finished) -> None:
    """In fp32 what is left is the order of sums."""
    mismatches = [row["policy/mismatch_abs"] for row in resumed.metrics if row.get("policy/mismatch_abs") is not None]
    assert mismatches and max(mismatches) < 1e-4


def test_the_judge_was_asked_about_every_wrong_answer(resumed: Finished) -> None:
    for row in resumed.metrics:
        assert row["judge/errors"] == 0 and row["judge/timeouts"] == 0
    judged = [group for group in resumed.groups if group["all_negative"]]
    assert judged and all(
        rollout["votes"] for group in judged for rollout in group["rollouts"] if rollout["reasoning_steps"]
    )


def test_every_checkpoint_is_another_model(resumed: Finished) -> None:
    checksums = list(checksums_by_version(resumed.run).values())
    trained = [row for row in resumed.metrics if row["groups/trained"]]
    assert len(checksums) == STEPS + 1
    assert len({json.dumps(one, sort_keys=True) for one in checksums}) >= min(len(trained), STEPS + 1)


def test_its_tokenizer_and_template_are_in_the_checkpoint(resumed: Finished) -> None:
    newest = max(Path(resumed.run.checkpoints).glob("step-*"))
    assert {"tokenizer.json", "chat_template.jinja", "config.json"} <= set(os.listdir(newest))
