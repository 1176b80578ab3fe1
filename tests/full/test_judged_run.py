"""A run whose judge is a model on the cluster: a real replica of a judge that was taught for seconds."""

from __future__ import annotations

from typing import Any

import pytest

from raysgpo.judging.compact import compact_prompt, read_letter
from raysgpo.records import Problem
from raysgpo.tasks.arithmetic import split_lines
from tests.full.conftest import JUDGED, Battered

pytestmark = [pytest.mark.full, pytest.mark.timeout(1800)]


def judged_rollouts(run: Battered) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Those with a vote that was not lost."""
    groups = [group for group in run.groups if group["judged"]]
    return [
        (group, rollout) for group in groups for rollout in group["rollouts"] if rollout["votes"] not in (None, [None])
    ]


def test_the_replicas_are_asked_while_judging_lasts_and_then_taken_down(battered: Battered) -> None:
    calls = [row["judge/calls"] for row in battered.metrics]
    assert all(calls[: battered.judged_well]) and not any(calls[JUDGED:])
    for row in battered.metrics[: battered.judged_well]:
        assert row["judge/tokens"] > 50 * row["judge/calls"] and 0 < row["judge/seconds"] < 30
        assert row["judge/errors"] == row["judge/timeouts"] == 0
    for group in battered.groups:
        if group["step"] < battered.judged_well or group["step"] >= JUDGED:
            # A judge that was taught for seconds finds no error in many a wrong answer, which is no vote.
            scored = sum(rollout["rts"] is not None for rollout in group["rollouts"])
            assert group["judged"] == (group["all_negative"] and group["step"] < JUDGED and scored >= 2)
    assert battered.output.splitlines().count("judging is over: the judge replicas are taken down") == 1


def test_a_judge_that_is_killed_costs_votes_and_not_the_run(battered: Battered) -> None:
    lost = [row["judge/lost"] for row in battered.metrics]
    assert any(lost[battered.judged_well : JUDGED]) and not any(lost[JUDGED:])
    said = [line for line in battered.output.splitlines() if "the judge lost" in line]
    assert len(said) == 1, "the console says it once"


def test_every_vote_is_what_the_model_says_of_the_response(battered: Battered) -> None:
    """The same questions to the same weights, by transformers."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model, tokenizer = (loader.from_pretrained(battered.judge) for loader in (AutoModelForCausalLM, AutoTokenizer))
    rollouts = judged_rollouts(battered)
    assert len(rollouts) >= 8
    assert len({group["step"] for group, _ in rollouts}) >= 2, "the policy had moved before the later ones"
    for group, rollout in rollouts:
        problem = Problem(group["prompt_id"], group["prompt"], group["answer"], group["reference"])
        steps = split_lines(rollout["text"])
        asked = tokenizer(compact_prompt(problem, steps), add_special_tokens=False, return_tensors="pt")
        ids = model.generate(**asked, max_new_tokens=1, do_sample=False)[0, asked["input_ids"].shape[1] :]
        said = tokenizer.decode(ids, skip_special_tokens=True)
        assert rollout["votes"] == [read_letter(said, len(steps))], said


def test_the_judge_is_never_given_the_policys_weights(battered: Battered) -> None:
    reached = [row["sync/replicas"] for row in battered.metrics[: battered.judged_well]]
    assert reached == [1] * battered.judged_well, "the push reaches the rollout replica alone"
