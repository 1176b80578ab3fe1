"""A line of groups.jsonl: the promised keys, and rewards and advantages that follow from it alone."""

from __future__ import annotations

import asyncio
import json
import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raysgpo.config import AlgorithmConfig, JudgeConfig, PartialCreditConfig
from raysgpo.groups import stages
from raysgpo.judging.panel import Panel
from raysgpo.judging.rule import first_wrong
from raysgpo.output.group_json import group_from_row, group_row
from raysgpo.records import Drop, Group, Problem, Role, Rollout, Segment, Verdict
from raysgpo.tasks.grader import InlineGrader
from raysgpo.tasks.task import Grade
from tests.conftest import build_group, build_rollout
from tests.judging.scripted import scripted

GROUP_KEYS = (
    "step position epoch prompt_id turns prompt reference answer metadata dropped error all_negative "
    "may_be_judged judged age guidance_length counts rollouts"
)
ROLLOUT_KEYS = (
    "text num_tokens finish_reason truncated correct auxiliary reward_parts readings reasoning_steps given_steps "
    "step_tokens verdict first_error votes rts credit reward advantage step_advantages in_baseline guidance_tokens "
    "guidance_characters seed attempt weight_versions"
)
CREDIT = PartialCreditConfig(kind="sgpo", beta=7.0, gamma=0.4, scale=0.8)
PROBLEM = Problem("p", "1+1+1=?", "3", "1+1=2\n2+1=3\n#### 3")


class Lines:
    """Right if the text is the solution; the format part for an answer line."""

    reward_range = (0.0, 1.0)
    train: Sequence[Problem] = (PROBLEM,)
    held_out: Sequence[Problem] = ()

    def grade(self, problem: Problem, text: str) -> Grade:
        return Grade(text == problem.reference, {"correctness": float(text == problem.reference), "format": 0.1})

    def split(self, text: str) -> list[str]:
        return text.splitlines(keepends=True)


async def moody(problem: Problem, steps: Sequence[str], seed: int) -> int | None:
    """The rule judge, silent on one response."""
    return None if "lost" in steps[0] else first_wrong(problem, steps)


def finished(texts: Sequence[str], make_rollout: Callable[..., Rollout], make_group: Callable[..., Group]) -> Group:
    """The group after all its stages."""

    async def run() -> Group:
        group = make_group(rollouts=[make_rollout(text) for text in texts], problem=PROBLEM, judge=True)
        group = await stages.reward(group, Lines(), InlineGrader(Lines().grade))
        group = await stages.judge(group, Lines(), Panel(scripted(moody), JudgeConfig()), CREDIT)
        return stages.keep(stages.advantage(stages.credit(group, CREDIT), AlgorithmConfig()))

    return asyncio.run(run())


def recomputed_reward(rollout: dict[str, Any], judged: bool) -> float:
    """ALGORITHMS.md section 2 on a JSON object."""
    parts = rollout["reward_parts"]
    n, error = rollout["reasoning_steps"], rollout["first_error"]
    no_vote = n > 0 and error is None and not rollout["truncated"]  # it ended wrong, and no error was found
    if not judged or rollout["correct"] or rollout["verdict"] == "lost" or no_vote:
        return sum(parts.values())
    if n == 0:
        rts = 0.0
    elif error is None:
        rts = 1.0 if rollout["truncated"] else (n - 1) / n
    else:
        rts = error / n
    assert rollout["rts"] == rts
    return 0.8 / (1 + math.exp(-7.0 * (rts - 0.4))) + sum(v for name, v in parts.items() if name != "correctness")


@pytest.mark.parametrize(
    "texts",
    [
        ("1+1=2\n2+1=4\n#### 4", "1+1=3\n3+1=4\n#### 4", "1+1=2\n2+1=3\n#### 4"),
        ("1+1=2\n2+1=4\n#### 4", "lost\n#### 4", "1+1=3", "1+1=2"),
        ("1+1=2\n2+1=3\n#### 3", "1+1=3", "1+1=2\n#### 7"),
        ("1+1=3", "1+1=4"),
    ],
    ids=["all-negative", "a vote lost", "mixed", "no signal"],
)
def test_rewards_and_advantages_follow_from_the_json_alone(
    texts: tuple[str, ...], make_rollout: Callable[..., Rollout], make_group: Callable[..., Group]
) -> None:
    row = json.loads(json.dumps(group_row(finished(texts, make_rollout, make_group)), allow_nan=False))
    rollouts = row["rollouts"]
    assert row["all_negative"] == (not any(r["correct"] for r in rollouts)) == row["judged"]
    assert [r["reward"] for r in rollouts] == pytest.approx([recomputed_reward(r, row["judged"]) for r in rollouts])
    judged = [r["verdict"] != "lost" and (r["correct"] or r["rts"] is not None or not row["judged"]) for r in rollouts]
    assert [r["in_baseline"] for r in rollouts] == judged
    part = [r["reward"] for r in rollouts if r["in_baseline"]]
    mean, std = statistics.fmean(part), statistics.stdev(part)
    degenerate = max(part) == min(part)
    for r in rollouts:
        zero = degenerate or not r["in_baseline"]
        assert r["advantage"] == pytest.approx(0.0 if zero else (r["reward"] - mean) / (std + 1e-6))
    assert row["dropped"] == ("no_signal" if degenerate else None)


def test_the_keys_are_those_promised(make_rollout: Callable[..., Rollout], make_group: Callable[..., Group]) -> None:
    row = group_row(make_group(rollouts=[make_rollout()]))
    assert list(row) == GROUP_KEYS.split()
    assert list(row["rollouts"][0]) == ROLLOUT_KEYS.split()
    assert list(group_row(make_group(rollouts=[make_rollout()]), tokens=True)["rollouts"][0]) == [
        *ROLLOUT_KEYS.split(),
        "segments",
    ]


def test_every_value_is_what_the_records_say(
    make_rollout: Callable[..., Rollout], make_group: Callable[..., Group]
) -> None:
    rollout = make_rollout(
        "a\nb",
        tokens=5,
        finish_reason="length",
        verdict=Verdict.ERROR,
        first_error=0,
        votes=(0, None, 1),
        rts=0.0,
        weight_versions=((3, 4), (4, 1)),
        attempt=2,
        seed=99,
    )
    guided = make_rollout(
        segments=(rollout.segments[0], Segment.given(Role.GUIDANCE, [4, 5]), rollout.segments[1]), guidance_characters=2
    )
    group = make_group(
        5, [rollout, guided], step=1, epoch=2, age=1, dropped=Drop.TOO_OLD, error="late", guidance_length=2.25
    )
    row = json.loads(json.dumps(group_row(group)))
    got = {key: row[key] for key in ("step", "position", "epoch", "prompt_id", "dropped", "error", "age")}
    assert got == {
        "step": 1,
        "position": 5,
        "epoch": 2,
        "prompt_id": "p5",
        "dropped": "too_old",
        "error": "late",
        "age": 1,
    }
    first, second = row["rollouts"]
    assert (first["num_tokens"], first["truncated"], first["verdict"]) == (5, True, "error")
    assert (first["votes"], first["weight_versions"]) == ([0, None, 1], [[3, 4], [4, 1]])
    assert (first["seed"], first["attempt"], first["guidance_tokens"]) == (99, 2, 0)
    assert (second["guidance_tokens"], second["num_tokens"], second["verdict"]) == (2, 5, None)
    assert (row["guidance_length"], first["guidance_characters"], second["guidance_characters"]) == (2.25, 0, 2)


def test_a_line_with_tokens_gives_back_what_the_trainer_reads(
    make_rollout: Callable[..., Rollout], make_group: Callable[..., Group]
) -> None:
    logprobs_T = np.array([-0.1, -1e-8, -12.3456789], dtype=np.float32)
    rollout = make_rollout(segments=(Segment.given(Role.PROMPT, [1]), Segment.sampled(np.arange(3), logprobs_T)))
    row = json.loads(json.dumps(group_row(make_group(rollouts=[rollout]), tokens=True)))
    back = group_from_row(row)
    for found, expected in zip(back.rollouts_G[0].segments, rollout.segments, strict=True):
        assert found.role is expected.role
        for name in ("token_ids_T", "loss_weight_T", "logprobs_T"):
            np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))
    assert group_row(back, tokens=True) == row


NUMBERS = st.floats(allow_infinity=False, allow_nan=False)
SHARES = st.floats(0, 1)


@st.composite
def rollouts(draw: st.DrawFn) -> Rollout:
    """Anything that the stages may have made of an answer, or be given."""
    verdict = draw(st.none() | st.sampled_from(Verdict))
    return build_rollout(
        draw(st.text(st.characters(exclude_categories=["Cs"]))),
        tokens=draw(st.integers(1, 4)),
        finish_reason=draw(st.sampled_from(["stop", "length"])),
        seed=draw(st.integers(0, 2**31 - 1)),
        attempt=draw(st.integers(0, 3)),
        guidance_characters=draw(st.integers(0, 9)),
        correct=draw(st.none() | st.booleans()),
        reward_parts=draw(st.dictionaries(st.sampled_from(["correctness", "format"]), NUMBERS | st.just(math.nan))),
        readings=draw(st.none() | st.dictionaries(st.sampled_from(["rating_a", "rating_b"]), NUMBERS)),
        reasoning_steps=draw(st.none() | st.integers(0, 9)),
        given_steps=draw(st.none() | st.integers(0, 9)),
        step_tokens=draw(st.none() | st.lists(st.integers(0, 9), max_size=3).map(tuple)),
        verdict=verdict,
        votes=tuple(draw(st.lists(st.none() | st.integers(0, 9), max_size=3))),
        first_error=draw(st.none() | st.integers(0, 9)),
        rts=draw(st.none() | SHARES),
        credit=draw(st.none() | SHARES),
        advantage=draw(NUMBERS),
        step_advantages=draw(st.none() | st.lists(NUMBERS, max_size=3).map(tuple)),
        in_baseline=draw(st.booleans()),
    )


@st.composite
def groups(draw: st.DrawFn) -> Group:
    return build_group(
        draw(st.integers(0, 99)),
        draw(st.lists(rollouts(), max_size=3)),
        step=draw(st.integers(0, 9)),
        epoch=draw(st.integers(0, 9)),
        judge=draw(st.booleans()),
        judged=draw(st.booleans()),
        guidance_length=draw(st.none() | NUMBERS),
        dropped=draw(st.none() | st.sampled_from(Drop)),
        error=draw(st.none() | st.just("why")),
        age=draw(st.integers(0, 3)),
        counts=draw(st.dictionaries(st.sampled_from(["judge/calls", "grader/errors"]), st.integers(0, 9))),
    )


def facts(record: Group | Rollout) -> dict[str, Any]:
    """Every field of a record, but for tokens (compared above) and clocks (which no stage reads)."""
    left_out = ("segments", "rollouts_G", "sample_interval", "judge_interval")
    return {field.name: getattr(record, field.name) for field in fields(record) if field.name not in left_out}


@given(groups())
def test_a_group_comes_back_from_its_line_with_all_that_stages_read(group: Group) -> None:
    back = group_from_row(json.loads(json.dumps(group_row(group, tokens=True), allow_nan=False)))
    np.testing.assert_equal(facts(back), facts(group))
    for found, expected in zip(back.rollouts_G, group.rollouts_G, strict=True):
        np.testing.assert_equal(facts(found), facts(expected))
        np.testing.assert_equal((found.reward, found.graded), (expected.reward, expected.graded))
