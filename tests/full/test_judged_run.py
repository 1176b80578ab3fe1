"""A run whose judge is a model on the cluster: a real replica of a judge that was taught for seconds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from raysgpo.judging.compact import compact_prompt
from raysgpo.judging.verdict import read_verdict
from raysgpo.records import Problem
from raysgpo.run_folder import RunFolder
from raysgpo.tasks.arithmetic import split_lines
from tests.full.conftest import ROOT, Finished, run_to_end

pytestmark = [pytest.mark.full, pytest.mark.timeout(900)]

JUDGED, STEPS = 2, 3


@pytest.fixture(scope="module")
def judge(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """It says numbers, and is often wrong."""
    from raysgpo.policy.tiny_judge import TinyJudgeConfig, save_tiny_judge, train_tiny_judge

    config = TinyJudgeConfig(terms=(3,), drill_steps=120, response_steps=40, real_share=0, threads=1)
    folder = tmp_path_factory.mktemp("judge")
    save_tiny_judge(train_tiny_judge(config, [], lambda line: None), config, folder)
    return folder


@pytest.fixture(scope="module")
def judged(judge: Path, small: list[str], tmp_path_factory: pytest.TempPathFactory) -> Finished:
    storage = tmp_path_factory.mktemp("judged")
    words = ["judge=tiny", f"judge.model={judge}", f"judge.steps={JUDGED}", f"steps={STEPS}", f"storage={storage}"]
    words += ["evaluation.every=0", "checkpoint.every=0"]
    others = [word for word in small if not word.startswith(("judge=", "evaluation.every", "checkpoint.every"))]
    status, output = run_to_end(storage / "elsewhere", str(ROOT / "jobs" / "train.py"), *others, *words)
    return Finished(status, output, RunFolder(storage / "runs" / "arithmetic-001"))


def judged_rollouts(run: Finished) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    groups = [group for group in run.groups if group["judged"]]
    return [(group, rollout) for group in groups for rollout in group["rollouts"] if rollout["votes"]]


def test_the_replicas_are_asked_while_judging_lasts_and_then_taken_down(judged: Finished) -> None:
    assert judged.status == 0, judged.output
    calls = [row["judge/calls"] for row in judged.metrics]
    assert all(calls[:JUDGED]) and not any(calls[JUDGED:])
    assert [group["judged"] for group in judged.groups] == [
        group["all_negative"] and group["step"] < JUDGED for group in judged.groups
    ]
    for row in judged.metrics[:JUDGED]:
        assert row["judge/tokens"] > 50 * row["judge/calls"] and 0 < row["judge/seconds"] < 30
        assert row["judge/errors"] == row["judge/timeouts"] == 0
    assert judged.output.splitlines().count("judging is over: the judge replicas are taken down") == 1


def test_every_vote_is_what_the_model_says_of_the_response(judged: Finished, judge: Path) -> None:
    """The same questions to the same weights, by transformers."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model, tokenizer = AutoModelForCausalLM.from_pretrained(judge), AutoTokenizer.from_pretrained(judge)
    rollouts = judged_rollouts(judged)
    assert len(rollouts) >= 8
    for group, rollout in rollouts:
        problem = Problem(group["prompt_id"], group["prompt"], group["answer"], group["reference"])
        steps = split_lines(rollout["text"])
        asked = tokenizer(compact_prompt(problem, steps), add_special_tokens=False, return_tensors="pt")
        ids = model.generate(**asked, max_new_tokens=8, do_sample=False)[0, asked["input_ids"].shape[1] :]
        said = tokenizer.decode(ids, skip_special_tokens=True)
        assert rollout["votes"] == [read_verdict(said, len(steps))], said


def test_the_judge_was_never_given_the_policys_weights(judged: Finished) -> None:
    """Its verdicts on equal responses stay the same while the policy moves."""
    seen: dict[tuple[str, str], list[Any]] = {}
    for group, rollout in judged_rollouts(judged):
        assert seen.setdefault((group["prompt_id"], rollout["text"]), rollout["votes"]) == rollout["votes"]
    assert all(row["sync/replicas"] == 1 for row in judged.metrics), "the push reaches the rollout replica alone"
