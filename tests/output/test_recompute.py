"""An independent reader: every reward and advantage of a run's groups.jsonl, recomputed for every preset.

Nothing of raysgpo's mathematics is used here: a line of JSON, the settings, and ALGORITHMS' formulas in
plain Python. The groups are made by the pipeline with a scripted sampler and the rule judge.
"""

from __future__ import annotations

import json
import math
import statistics
from typing import Any

import pytest

from raysgpo.config import AlgorithmConfig, Config
from raysgpo.config.overrides import resolve
from raysgpo.config.presets import PRESETS
from raysgpo.output.group_json import group_row
from tests.preset_groups import GROUPS, finished_groups, judged_groups, settings

FURTHER = {
    "format": ["task.format_reward=0.25"],
    "format to all": ["task.format_reward=0.25", "algorithm.bonus=all"],
    "population": ["algorithm.std_ddof=0", "algorithm.std_eps=0.001"],
    "weights": ["algorithm.positive_weight=2", "algorithm.negative_weight=0.25"],
    "printed": ["algorithm.partial_credit=sgpo_printed"],
    "positive": ["algorithm.learn_from=positive"],
    "all kept": ["algorithm.keep=all"],
    "last step": ["algorithm.partial_credit.none_found=last_step"],
    "tokens": ["algorithm.partial_credit.rts=tokens"],
    "tokens, last step": ["algorithm.partial_credit.rts=tokens", "algorithm.partial_credit.none_found=last_step"],
    "variance": ["algorithm.keep=reward_variance", "algorithm.force_keep=true"],
}


def recorded(config: Config) -> list[dict[str, Any]]:
    """The lines of groups.jsonl of one step."""
    return [json.loads(json.dumps(group_row(group), allow_nan=False)) for group in finished_groups(config)]


def voteless(rollout: dict[str, Any], algorithm: AlgorithmConfig) -> bool:
    """Whether a rollout of a judged group has not been judged itself."""
    unfound = rollout["verdict"] == "none_found" and not rollout["truncated"] and rollout["reasoning_steps"] > 0
    return rollout["verdict"] == "lost" or (unfound and algorithm.partial_credit.none_found == "no_vote")


def correctness(rollout: dict[str, Any], judged: bool, algorithm: AlgorithmConfig) -> float:
    """The reward's correctness part with its partial credit."""
    plain: float = rollout["reward_parts"]["correctness"]
    if not judged or rollout["correct"] or rollout["verdict"] is None or voteless(rollout, algorithm):
        return plain
    credit = algorithm.partial_credit
    steps, error, given = rollout["reasoning_steps"], rollout["first_error"], rollout["given_steps"]
    assert sum(rollout["step_tokens"]) == (rollout["num_tokens"] if steps else 0)
    before = (steps if rollout["truncated"] else steps - 1) if error is None else error
    if credit.rts == "tokens":
        of, whole = sum(rollout["step_tokens"][given:before]), sum(rollout["step_tokens"][given:])
    else:
        of, whole = max(before - given, 0), steps - given
    rts = of / whole if whole else 0.0
    return credit.scale / (1 + math.exp(-credit.beta * (rts - credit.gamma)))


def advantages(
    values: list[float], others: list[float], right: list[bool], a: AlgorithmConfig, step: float = 0.0
) -> list[float]:
    """Of the rollouts that take part: ``values`` the correctness, ``others`` the sum of the other parts.

    ``step``: mean reward of the whole step.
    """
    if a.learn_from == "right":
        return [float(r) * a.positive_weight for r in right]
    rewards = [v + o for v, o in zip(values, others, strict=True)]
    mean = statistics.fmean(rewards)
    if a.baseline == "mean":
        found = [0.0 if max(rewards) == min(rewards) else r - mean for r in rewards]
    elif a.baseline == "leave_one_out":
        found = [r - (sum(rewards) - r) / (len(rewards) - 1) for r in rewards]
    elif a.baseline == "step_mean":
        found = [r - step for r in rewards]
    elif a.baseline == "none":
        found = rewards
    else:
        assert a.r_min_correct is not None
        line = a.r_min_correct if a.baseline == "static" else max(a.r_min_correct, statistics.fmean(values))
        further = [o - statistics.fmean(others) for o in others]
        found = [v - line + (min(f, 0.0) if v < a.r_min_correct else f) for v, f in zip(values, further, strict=True)]
    if a.scale == "group_std" and any(found):
        std = statistics.stdev(rewards) if a.std_ddof else statistics.pstdev(rewards)
        found = [f / (std + a.std_eps) for f in found]
    elif a.scale == "fixed":
        found = [f / a.fixed_scale for f in found]
    found = [max(f, 0.0) for f in found] if a.learn_from == "positive" else found
    return [f * (a.positive_weight if f > 0 else a.negative_weight) for f in found]


def recomputed(row: dict[str, Any], a: AlgorithmConfig, step: float = 0.0) -> tuple[list[float], list[float]]:
    """Rewards and advantages of a line. ``step``: mean reward of its step."""
    rollouts = row["rollouts"]
    values = [correctness(r, row["judged"], a) for r in rollouts]
    parts = [[v for name, v in r["reward_parts"].items() if name != "correctness"] for r in rollouts]
    others = [
        sum(part if r["correct"] or a.bonus == "all" else [min(v, 0.0) for v in part])
        for r, part in zip(rollouts, parts, strict=True)
    ]
    part = [i for i, r in enumerate(rollouts) if not (row["judged"] and voteless(r, a))]
    right = [rollouts[i]["correct"] for i in part]
    inside = advantages([values[i] for i in part], [others[i] for i in part], right, a, step)
    found = dict(zip(part, inside, strict=True))
    return [v + o for v, o in zip(values, others, strict=True)], [found.get(i, 0.0) for i in range(len(rollouts))]


@pytest.mark.parametrize("further", [[], *FURTHER.values()], ids=["plain", *FURTHER])
@pytest.mark.parametrize("preset", PRESETS)
def test_rewards_and_advantages_follow_from_the_records_alone(preset: str, further: list[str]) -> None:
    config = settings(preset, further)
    algorithm = config.algorithm
    rows = recorded(config)
    assert len(rows) == len(GROUPS)
    step = statistics.fmean(r["reward"] for row in rows for r in row["rollouts"] if r["in_baseline"])
    for row in rows:
        rewards, expected = recomputed(row, algorithm, step)
        assert [r["reward"] for r in row["rollouts"]] == pytest.approx(rewards, abs=1e-6)
        assert [r["advantage"] for r in row["rollouts"]] == pytest.approx(expected, abs=1e-6)
        part = [r["reward"] for r in row["rollouts"] if not (row["judged"] and voteless(r, algorithm))]
        if algorithm.keep == "all":
            assert row["dropped"] is None
        elif algorithm.keep == "reward_variance":
            assert row["dropped"] == ("equal_rewards" if max(part) == min(part) else None)
        else:
            assert row["dropped"] == (None if any(abs(a) > 1e-9 for a in expected) else "no_signal")


@pytest.mark.parametrize("preset", ["static", "corpo", "sgpo_corpo"])
def test_no_wrong_answer_is_ever_reinforced_under_a_threshold(preset: str) -> None:
    for words in ([], ["task.format_reward=0.9"]):
        for row in recorded(settings(preset, words)):
            assert [r["advantage"] < 0 or r["verdict"] == "lost" for r in row["rollouts"] if not r["correct"]] == [
                True for r in row["rollouts"] if not r["correct"]
            ]


def test_the_equal_failures_that_the_mean_throws_away_are_what_a_threshold_learns_from() -> None:
    alike = list(GROUPS).index("all negative and alike")
    assert recorded(settings("grpo"))[alike]["dropped"] == "no_signal"
    row = recorded(settings("corpo"))[alike]
    assert row["dropped"] is None and [r["advantage"] for r in row["rollouts"]] == [-0.6] * 4


def test_the_cap_on_the_negative_mass_follows_from_the_records_of_the_step() -> None:
    plain = recorded(settings("corpo"))
    mass = -sum(min(r["advantage"], 0) for row in plain if row["dropped"] is None for r in row["rollouts"])
    assert mass > 2
    for before, after in zip(plain, recorded(settings("corpo", ["algorithm.max_negative_mass=2"])), strict=True):
        for old, new in zip(before["rollouts"], after["rollouts"], strict=True):
            factor = 2 / mass if old["advantage"] < 0 and before["dropped"] is None else 1
            assert new["advantage"] == pytest.approx(old["advantage"] * factor, abs=1e-6)


JUDGED = {
    "Rating A: 8\nRating B: 3": (8.0, 3.0),
    "The first slips. **Rating A:** 2/10, **Rating B:** 7/10": (2.0, 7.0),
    "Rating A: 4\nRating B: 5": (4.0, 5.0),
    "Rating A: 5\nRating B: 5": (5.0, 5.0),
    "Rating A: 9": None,
}


@pytest.mark.parametrize("preset", ["grpo", "static", "corpo"])
def test_the_verifier_tasks_rewards_follow_from_the_texts_and_the_truth_alone(preset: str) -> None:
    """The ratings that each text holds are written down by hand beside it."""
    words = [
        "task.kind=arithmetic_verifier",
        "task.prompts=6",
        "task.terms=3",
        "task.singles=0",
        "evaluation.prompts=1",
    ]
    config = resolve({}, overrides=[*words, f"algorithm={preset}", "judge=none", f"sampling.group_size={len(JUDGED)}"])
    algorithm = config.algorithm.model_copy(update={"r_min_correct": math.log(0.5)})
    config = config.model_copy(update={"algorithm": algorithm})
    rows = [json.loads(json.dumps(group_row(group))) for group in judged_groups(config, list(JUDGED))]
    assert {row["answer"] for row in rows} == {"A", "B"}
    for row in rows:
        expected = [verifier_reward(JUDGED[r["text"]], row["answer"]) for r in row["rollouts"]]
        assert [r["reward"] for r in row["rollouts"]] == pytest.approx(expected, abs=1e-6)
        right = [value > math.log(0.5) for value in expected]
        assert [r["correct"] for r in row["rollouts"]] == right
        found = advantages(expected, [0.0] * len(expected), right, algorithm)
        assert [r["advantage"] for r in row["rollouts"]] == pytest.approx(found, abs=1e-6)
        if preset == "grpo":  # the judgement that leans the wrong way by one point lies above the mean
            assert any(r["advantage"] > 0 and not r["correct"] for r in row["rollouts"])
        else:
            assert not any(r["advantage"] > 0 and not r["correct"] for r in row["rollouts"])


def verifier_reward(ratings: tuple[float, float] | None, answer: str) -> float:
    if ratings is None:
        return math.log(0.01)
    chance = min(max((ratings[1] - ratings[0] + 10) / 20, 0.01), 0.99)
    return math.log(chance if answer == "B" else 1 - chance)
