"""A file of groups: what it must say, what it may say, and that whatever is wrong names file and row."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from raysgpo.offline.groups_file import read_groups
from raysgpo.output.group_json import group_row
from raysgpo.records import Drop, Group, Role, Rollout, Segment, Verdict
from tests.offline.conftest import group, response

File = Callable[..., str]


def without(row: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key != name}


def test_the_least_that_a_row_says_is_enough(file: File) -> None:
    [read] = read_groups(file("", group(response("a"), response("b", correct=True))))
    assert (read.position, read.problem.prompt, read.problem.answer, read.problem.reference) == (1, "3+4=?", "7", None)
    assert [(r.text, r.correct, r.reward, r.truncated) for r in read.rollouts_G] == [
        ("a", False, 0.0, False),
        ("b", True, 1.0, False),
    ]
    assert [r.graded for r in read.rollouts_G] == [0.0, 1.0]
    assert all(r.segments == () and r.weight_versions == () and r.in_baseline for r in read.rollouts_G)


def test_what_a_run_wrote_comes_back_without_its_comparison(
    file: File, make_group: Callable[..., Group], make_rollout: Callable[..., Rollout]
) -> None:
    """Graded and judged as recorded; the reward is the plain one, the advantage is still to come."""
    steps = {"reasoning_steps": 4, "given_steps": 0, "step_tokens": (1, 0, 2, 0)}
    judged = {"verdict": Verdict.ERROR, "first_error": 1, "votes": (1,), "rts": 0.25, "credit": 0.2, "advantage": 1.2}
    parts = {"correctness": 0.0, "format": 0.1}
    lost = {"verdict": Verdict.LOST, "votes": (None,), "in_baseline": False}
    rollouts = [make_rollout("a", reward_parts=parts, **steps, **judged), make_rollout("b", **lost), make_rollout("c")]
    written = make_group(7, rollouts, judged=True, dropped=Drop.NO_SIGNAL, step=3, epoch=1, age=1)
    [read] = read_groups(file(group_row(written, tokens=True)))
    first, second, third = read.rollouts_G
    assert (read.judged, read.dropped, read.age, read.problem) == (True, None, 0, written.problem)
    assert (first.verdict, first.first_error, first.rts, first.votes) == (Verdict.ERROR, 1, 0.25, (1,))
    assert (first.reasoning_steps, first.given_steps, first.step_tokens) == (4, 0, (1, 0, 2, 0))
    assert (first.graded, first.reward, first.advantage) == (0.0, 0.1, 0.0)
    assert [r.in_baseline for r in (first, second, third)] == [True, False, True]
    for new, old in zip(read.rollouts_G, rollouts, strict=True):
        for segment, before in zip(new.segments, old.segments, strict=True):
            assert segment.role is before.role
            np.testing.assert_array_equal(segment.token_ids_T, before.token_ids_T)
            np.testing.assert_array_equal(segment.logprobs_T, before.logprobs_T)


def test_guidance_comes_back_as_it_was_given(
    file: File, make_group: Callable[..., Group], make_rollout: Callable[..., Rollout]
) -> None:
    """With it what was given: a judge must not find merits of the policy there."""
    free = make_rollout("a\nb", tokens=2)
    prompt, answer = free.segments
    guidance = Segment.given(Role.GUIDANCE, [8, 9], 0.5)
    guided = make_rollout("a\nb", segments=(prompt, guidance, answer), guidance_characters=2)
    [read] = read_groups(file(group_row(make_group(0, [guided, free], guidance_length=4.25), tokens=True)))
    assert read.guidance_length == 4.25
    assert [(r.guidance_characters, r.guidance_tokens) for r in read.rollouts_G] == [(2, 2), (0, 0)]
    assert read.rollouts_G[0].segments[1].loss_weight_T.tolist() == [0.5, 0.5]


def test_judging_again_forgets_what_was_said(file: File) -> None:
    said = response(verdict="error", first_error=0, votes=[0], rts=0.0)
    [read] = read_groups(file(group(said, said, judged=True)), rejudge=True)
    assert not read.judged
    assert all((r.verdict, r.first_error, r.votes, r.rts) == (None, None, (), None) for r in read.rollouts_G)


def test_a_group_whose_sampling_failed_is_left_out_and_keeps_the_others_numbers(file: File) -> None:
    failed = group(dropped="failed") | {"rollouts": []}
    assert [read.position for read in read_groups(file(group(), failed, group()))] == [0, 2]


def test_a_group_that_had_no_reward_is_left_out(
    file: File, make_group: Callable[..., Group], make_rollout: Callable[..., Rollout]
) -> None:
    without = make_rollout("a", reward_parts={"correctness": float("nan")})
    dropped = make_group(0, [without, without], dropped=Drop.NO_REWARD, error="no finite number")
    assert [read.position for read in read_groups(file(group_row(dropped), group()))] == [1]


def test_tokens_without_logprobs_have_none_yet(file: File) -> None:
    prompt = {"role": "prompt", "token_ids": [1, 2], "loss_weight": [0, 0]}
    answer = {"role": "completion", "token_ids": [3], "loss_weight": [1], "logprobs": None}
    [read] = read_groups(file(group(response(segments=[prompt | {"logprobs": [0, 0]}, answer]), response())))
    assert not read.rollouts_G[0].has_logprobs and np.isnan(read.rollouts_G[0].segments[1].logprobs_T).all()
    row = json.loads(json.dumps(group_row(read, tokens=True), allow_nan=False))
    assert row["rollouts"][0]["segments"][1]["logprobs"] is None


def test_who_was_judged_and_has_no_score_takes_no_part(file: File) -> None:
    """The votes were lost, or found no error where there must be one."""
    said = [response(verdict="lost"), response(verdict="none_found"), response(verdict="none_found", rts=0.5)]
    [read] = read_groups(file(group(*said, response(correct=True), judged=True)))
    assert [r.in_baseline for r in read.rollouts_G] == [False, False, True, True]


MEASURED: dict[str, Any] = {"reasoning_steps": 2, "given_steps": 0, "step_tokens": [3, 4], "votes": [1]}
SEGMENT = {"role": "completion", "token_ids": [3, 4], "loss_weight": [1], "logprobs": None}


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "the file holds no rows"),
        (["", "  "], "the file holds no rows"),
        ([group(dropped="failed") | {"rollouts": []}], "the file holds no group"),
        ([group(), "{'prompt': 1}"], "row 2: not JSON"),
        ([group(), "[]"], "row 2: list where an object was expected"),
        ([group(), without(group(), "answer")], "row 2: answer: field required"),
        ([group(), without(group(), "rollouts")], "row 2: rollouts: field required"),
        ([group(response(), without(response(), "correct"))], "row 1: rollouts.1.correct: field required"),
        ([group(response(), without(response(), "text"))], "row 1: rollouts.1.text: field required"),
        (
            [group(response(), response() | {"correct": None})],
            "row 1: rollouts.1.correct: input should be a valid boolean",
        ),
        ([group(response(finish_reason="eos"))], "row 1: rollouts.0.finish_reason: input should be 'stop' or 'length'"),
        ([group(response(segments=[SEGMENT]))], "row 1: rollouts.0.segments.0: value error, token_ids, loss_weight"),
        ([group(response(verdict="error"))], "row 1: rollouts.0: value error, it has a first error and no rts"),
        (
            [group(response(**(MEASURED | {"votes": [3]})))],
            "row 1: rollouts.0: value error, its reasoning_steps, given_",
        ),
        ([group(response(**(MEASURED | {"given_steps": 3})))], "step_tokens and votes are not of one way of cutting"),
        ([group(response(**(MEASURED | {"step_tokens": [7]})))], "step_tokens and votes are not of one way of cutting"),
        ([group(response(step_tokens=[7]))], "are not of one way of cutting the text: remove step_tokens"),
        ([group(response(step_tokens=[-1]))], "row 1: rollouts.0.step_tokens.0: input should be greater than or equal"),
        ([group(response(reward_parts={"format": 1.0}))], "value error, its reward_parts have no 'correctness'"),
        ([group() | {"rollouts": []}], "row 1: the group has no response"),
        ([group(), group(response())], "row 2: 1 responses, where the group of row 1 has 2"),
    ],
)
def test_whatever_is_wrong_names_file_and_row(rows: list[Any], message: str, file: File) -> None:
    path = file(*rows)
    with pytest.raises(ValueError) as caught:
        read_groups(path)
    assert str(caught.value).startswith(path) and message in str(caught.value)


def test_segments_begin_with_the_prompt(file: File) -> None:
    with pytest.raises(ValueError, match="its segments do not begin with the prompt"):
        read_groups(file(group(response(segments=[SEGMENT | {"loss_weight": [1, 1]}]))))


def test_a_file_that_is_not_there_or_a_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="there is no such file"):
        read_groups(str(tmp_path / "none.jsonl"))
    with pytest.raises(ValueError, match="it is a folder"):
        read_groups(str(tmp_path))
