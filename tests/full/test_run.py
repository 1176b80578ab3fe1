"""A whole run on the real stack under S = 0: what it leaves behind is complete, right and readable."""

from __future__ import annotations

import json
import math
import re
import statistics
import sys
from pathlib import Path
from typing import Any

import pytest

import jobs.train
from raysgpo import run
from raysgpo.config import Config
from raysgpo.config.overrides import load, resolve
from raysgpo.output import checkpoint
from raysgpo.output.group_json import group_from_row
from raysgpo.output.update_metrics import NO_UPDATE
from raysgpo.policy.policy import Policy
from raysgpo.policy.shares import update_shares
from raysgpo.studies.replay import alone
from tests.full.conftest import STEPS, UPDATES, Finished, checksums_by_version, exported
from tests.metrics_page import defined
from tests.output.test_group_json import GROUP_KEYS, ROLLOUT_KEYS
from tests.resolved import resolved

pytestmark = [pytest.mark.full, pytest.mark.timeout(1800)]

SEGMENT_KEYS = {"role", "token_ids", "loss_weight", "logprobs"}
NOT_IN_EVERY_ROW = ("store/", "checkpoint/", "curriculum/", "eval/", "readings/", "start/")
METRIC_KEYS = {"step", *(name for name in defined() if not name.startswith(NOT_IN_EVERY_ROW))} | {
    f"{name}/update_{number}" for name in NO_UPDATE for number in range(1, UPDATES + 1)
}
"""All that the page defines; this task reads nothing in the answers."""
WRITTEN = {"checkpoint/seconds", "checkpoint/bytes"}
EVALUATION_KEYS = {"eval/accuracy", "eval/accuracy/difficulty_3", "eval/prompts", "eval/failed"}
ANSWER_KEYS = {"step", "prompt_id", "correct", "text", "num_tokens", "truncated", "samples_correct"}
LINES = (
    r"run folder: /.+/runs/arithmetic-001",
    r"\d+ of 64 trajectories have no step before the answer: no guidance",
    r"starting the rollout replicas and the trainer \.\.\.",
    r"waiting for the rollout replicas: .+",
    r"held-out accuracy after \d+ steps: \d+% of 8",
    r"step \d/4  accuracy +\d+% unguided +\d+% guided by +\d+ tokens  all-negative +\d+%  [\d,]+ tokens/s  "
    r"[\d.]+ s  left (-|\d+:\d\d)",
    r"step \d: no group with a signal, so no update",
    r"guided and unguided rollouts: /.+/guidance\.png",
    r"accuracy and all-negative share: /.+/curves\.png",
    r"success rates of the prompts: /.+/success\.png",
    r"who was reinforced: /.+/advantages\.png",
    r"trained policy: /.+/exports/step-000004",
)
"""All that a run may say where there is no terminal."""


def test_the_console_says_what_matters_and_nothing_else(finished: Finished) -> None:
    assert finished.status == 0, finished.output
    lines = finished.output.splitlines()
    assert [line for line in lines if not any(re.fullmatch(known, line) for known in LINES)] == []
    assert sum(line.startswith("run folder: ") for line in lines) == 1
    assert sum(line.startswith("step ") and " accuracy " in line for line in lines) == STEPS
    evaluated = [line.split(": ")[0] for line in lines if line.startswith("held-out")]
    assert evaluated == [f"held-out accuracy after {steps} steps" for steps in (0, STEPS)]
    curves, advantages, policy = (Path(line.partition(": ")[2]) for line in lines[-3:])
    for picture in (curves, advantages):
        assert picture.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    assert (policy / "config.json").is_file()


def test_every_step_and_every_group_is_recorded_once_with_all_its_keys(finished: Finished) -> None:
    assert [row["step"] for row in finished.metrics] == list(range(STEPS))
    assert [(row["step"], row["position"]) for row in finished.groups] == [(i // 4, i) for i in range(4 * STEPS)]
    for group in finished.groups:
        assert list(group) == GROUP_KEYS.split()
        assert len(group["rollouts"]) == 4
        for rollout in group["rollouts"]:
            assert list(rollout) == [*ROLLOUT_KEYS.split(), "segments"]
            assert rollout["segments"] and all(segment.keys() == SEGMENT_KEYS for segment in rollout["segments"])
    for row in finished.metrics:
        further = {0: {"start/host_gib/rank_0"}, STEPS - 1: EVALUATION_KEYS}
        assert row.keys() - WRITTEN == METRIC_KEYS | further.get(row["step"], set())
        assert (row["policy/loss"] is None) == (row["groups/trained"] == 0)
    assert any(row.keys() >= WRITTEN for row in finished.metrics), "a checkpoint of each step, written beside the next"
    assert any(row["groups/trained"] for row in finished.metrics), "no step was trained on: choose another policy"
    evaluations = [json.loads(line) for line in finished.run.evaluations.read_text().splitlines()]
    assert [row["step"] for row in evaluations] == [0, STEPS]
    assert all(row.keys() == {"step", "eval/weight_version"} | EVALUATION_KEYS for row in evaluations)


def test_every_held_out_answer_is_recorded_with_its_grade(finished: Finished) -> None:
    evaluations = [json.loads(line) for line in finished.run.evaluations.read_text().splitlines()]
    answers = [json.loads(line) for line in finished.run.answers.read_text().splitlines()]
    by_step = {row["step"]: [answer for answer in answers if answer["step"] == row["step"]] for row in evaluations}
    assert len({tuple(answer["prompt_id"] for answer in rows) for rows in by_step.values()}) == 1
    assert all(answer.keys() == ANSWER_KEYS for answer in answers)
    for row in evaluations:
        rows = by_step[row["step"]]
        right = [solved(one["text"], answer_of(one["prompt_id"])) for one in rows]
        assert [one["correct"] for one in rows] == right and len(rows) == 8
        assert row["eval/accuracy"] == pytest.approx(statistics.mean(right))


def answer_of(prompt_id: str) -> str:
    """``arithmetic 3+4-2`` is 5."""
    return str(eval(prompt_id.removeprefix("arithmetic ")))


def test_sampler_and_trainer_agree_on_every_logprob(finished: Finished) -> None:
    """S = 0: each step is trained with the weights that sampled it, so the mismatch is rounding."""
    trained = [row for row in finished.metrics if row["policy/loss"] is not None]
    assert max(row["policy/mismatch_abs"] for row in trained) < 1e-5
    assert max(row["policy/mismatch_max"] for row in trained) < 1e-4
    first, second = ([row[f"policy/ratio_mean/update_{number}"] for row in trained] for number in (1, 2))
    assert max(abs(ratio - 1) for ratio in first if ratio is not None) < 1e-5
    assert max(abs(ratio - 1) for ratio in second if ratio is not None) > 1e-5, "the first update moved the policy"
    # Not because nothing was learned: the policy moved between the steps.
    checksums = checksums_by_version(finished.run)
    assert len({tuple(sorted(weights.items())) for weights in checksums.values()}) > 1


def test_what_was_sampled_behind_guidance_has_the_trainers_logprobs(finished: Finished, tmp_path: Path) -> None:
    """The seam is exact: the trainer's own forward pass over the free tokens of the guided rollouts alone."""
    config = resolve(load(finished.run.config))
    with alone():
        for step in range(STEPS):
            rows = [row for row in finished.groups if row["step"] == step]
            policy = str(exported(finished.run, step, tmp_path)) if step else config.model
            gaps = guided_gaps(policy, rows, config)
            assert gaps["policy/mismatch_abs"] < 1e-5 and gaps["policy/mismatch_max"] < 1e-4


def guided_gaps(policy: str, rows: list[dict[str, Any]], config: Config) -> dict[str, float]:
    groups = [group_from_row(row | {"dropped": None}) for row in rows]
    guided = [group.with_rollouts([r for r in group.rollouts_G if r.guided]) for group in groups]
    [share] = update_shares(0, [group for group in guided if group.rollouts_G], config, world=1)
    assert share.num_tokens > 8, "the step shows too little: choose other problems"
    trainer = Policy.build(policy, resolved(config).trainer, config.optimizer, config.algorithm, 1.0, STEPS, world=1)
    return {name: value for name, value in trainer.accumulate(share).items() if value is not None}


def test_the_length_of_each_step_follows_from_the_rewards_before_it(finished: Finished) -> None:
    """Eq. 5, worked out from the records: the better the last step, the shorter the guidance."""
    means = [row["reward/mean"] for row in finished.metrics]
    lengths = [4.0, 4.0]
    for step in range(1, STEPS - 1):
        quotient = statistics.fmean(means[max(step - 2, 0) : step]) / means[step]
        lengths.append(min(max(lengths[-1] * min(max(quotient, 0.5), 2.0), 1.0), 5.0))
    assert [row["guidance/length"] for row in finished.metrics] == pytest.approx(lengths)
    for group in finished.groups:
        given = [rollout["guidance_tokens"] for rollout in group["rollouts"]]
        assert given in ([int(group["guidance_length"] + 0.5)] * 2 + [0, 0], [0] * 4)
        for rollout in group["rollouts"]:
            assert group["reference"].startswith(rollout["text"][: rollout["guidance_tokens"]])


def test_every_token_was_sampled_by_the_version_published_for_its_step(finished: Finished) -> None:
    for group in finished.groups:
        assert group["age"] == 0
        for rollout in group["rollouts"]:
            assert rollout["weight_versions"] == [[group["step"] + 1, rollout["num_tokens"]]]


def test_rewards_and_advantages_follow_from_the_texts(finished: Finished) -> None:
    """Everything from the text on is worked out again here: grade, judgement, eq. 2, eq. 1."""
    verdicts = set()
    for group in finished.groups:
        texts = [rollout["text"] for rollout in group["rollouts"]]
        right = [solved(text, group["answer"]) for text in texts]
        assert [rollout["correct"] for rollout in group["rollouts"]] == right
        assert group["all_negative"] == (not any(right))
        assert group["judged"] == (not any(right))
        rewards = [float(is_right) for is_right in right]
        if group["judged"]:
            rewards = [1 / (1 + math.exp(-10 * (rollout["rts"] - 0.5))) for rollout in group["rollouts"]]
        assert [rollout["reward"] for rollout in group["rollouts"]] == pytest.approx(rewards)
        deviation = statistics.stdev(rewards)
        expected = [(reward - statistics.mean(rewards)) / (deviation + 1e-6) for reward in rewards]
        assert [rollout["advantage"] for rollout in group["rollouts"]] == pytest.approx(expected, abs=1e-9)
        assert (group["dropped"] == "no_signal") == (deviation == 0)
        verdicts |= {rollout["verdict"] for rollout in group["rollouts"]}
    assert {None, "error"} <= verdicts, "the run shows too little: neither judged nor unjudged groups may be absent"


def solved(text: str, answer: str) -> bool:
    """Does the last line state the answer in the form ``#### 7``?"""
    return re.fullmatch(r"#### (-?\d+)", text.split("\n")[-1].strip()) is not None and text.split()[-1] == answer


def test_the_trained_policy_is_a_model_that_transformers_loads(finished: Finished) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder, messages = checkpoint.newest_complete(finished.run.checkpoints)
    assert (folder.name, messages) == (f"step-{STEPS:06d}", [])
    policy = finished.run.export(STEPS)
    tokenizer = AutoTokenizer.from_pretrained(policy)
    prompt = tokenizer.apply_chat_template(
        [{"role": "user", "content": "3+4-2=?"}], add_generation_prompt=True, return_tensors="pt", return_dict=True
    )
    answer = AutoModelForCausalLM.from_pretrained(policy).generate(**prompt, max_new_tokens=32, do_sample=False)
    text = tokenizer.decode(answer[0, prompt["input_ids"].shape[1] :], skip_special_tokens=True)
    assert "\n#### " in text, text
    state = checkpoint.read_state(folder)
    assert (state["step"], state["position"], state["version"]) == (STEPS, 4 * STEPS, STEPS + 1)


def test_a_run_that_has_its_steps_does_nothing_again(
    finished: Finished, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(run, "ray_session", None)  # Ray is not even started
    monkeypatch.setattr(sys, "argv", ["train.py", f"resume={finished.run.path}"])

    def times() -> dict[Path, int]:
        """Of everything but the lock, which says that somebody looked."""
        files = [path for path in finished.run.path.rglob("*") if not path.name.startswith(".lock-")]
        return {path: path.stat().st_mtime_ns for path in files}

    before = times()
    assert jobs.train.main() == 0
    said = f"nothing to do: {finished.run.path} has its {STEPS} steps; set steps to more"
    lines = capsys.readouterr().out.splitlines()
    assert lines[-2:] == [said, f"trained policy: {finished.run.export(STEPS)}"]
    assert times() == before
