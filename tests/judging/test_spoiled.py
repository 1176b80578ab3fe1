"""A spoiled judge: nothing at rate 0, the share that was asked for, and each way what it says."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raysgpo.config import JudgeConfig, PartialCreditConfig, TaskConfig
from raysgpo.config.judge import SpoiledAs
from raysgpo.config.overrides import ConfigError, resolve
from raysgpo.groups.stages import judge
from raysgpo.judging.address import build_judge
from raysgpo.judging.judge import Judge, Judgement
from raysgpo.judging.panel import Panel
from raysgpo.judging.rule import RuleJudge, first_wrong
from raysgpo.judging.spoiled import SpoiledJudge, spoiled
from raysgpo.records import Group, Problem, Rollout
from raysgpo.seeds import derive_seed
from raysgpo.tasks.arithmetic import ArithmeticTask, Chain, draw_chain, split_lines
from tests.judging.scripted import scripted

KINDS: tuple[SpoiledAs, ...] = ("random", "early", "late", "none_found")


def questions(count: int, seed: int = 0) -> list[tuple[Problem, list[str]]]:
    """Chains of 3 to 6 terms with a slip at a random place, or none."""
    rng = random.Random(seed)
    made = []
    for _ in range(count):
        chain = draw_chain(rng, rng.choice([3, 4, 5, 6]), 1, "+-")
        place, calls = rng.randrange(len(chain.terms)), iter(range(9))
        text = chain.solution(lambda value, place=place, calls=calls: value + (next(calls) == place))  # type: ignore[misc]
        made.append((chain.problem(), split_lines(text)))
    return made


def said(judge: Judge, asked: Sequence[tuple[Problem, list[str]]]) -> list[Judgement]:
    async def all_of_them() -> list[Judgement]:
        return [
            await judge(problem, steps, derive_seed("judge", index)) for index, (problem, steps) in enumerate(asked)
        ]

    return asyncio.run(all_of_them())


def of(rate: float, kind: SpoiledAs) -> Judge:
    built = build_judge(JudgeConfig(kind="rule", spoiled=rate, spoiled_as=kind), None)
    assert built is not None
    return built


ASKED = questions(2000)
RIGHT = [judgement.position for judgement in said(RuleJudge(), ASKED)]


@pytest.mark.parametrize("kind", KINDS)
def test_at_rate_0_it_is_the_judge_itself(kind: SpoiledAs) -> None:
    assert said(SpoiledJudge(RuleJudge(), 0.0, kind), ASKED[:300]) == said(RuleJudge(), ASKED[:300])
    assert isinstance(of(0.0, kind), RuleJudge)


@pytest.mark.parametrize("rate", [0.1, 0.3, 0.5])
def test_the_share_that_was_asked_for_is_spoiled(rate: float) -> None:
    """A random step is always another one: six standard deviations of a binomial around the rate."""
    named = [judgement.position for judgement in said(of(rate, "random"), ASKED)]
    other = sum(one != right for one, right in zip(named, RIGHT, strict=True))
    assert abs(other - rate * len(ASKED)) < 6 * math.sqrt(rate * (1 - rate) * len(ASKED))


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_spoiled_at_one_rate_is_so_at_a_higher_one(kind: SpoiledAs) -> None:
    low, high = ([one.position for one in said(of(rate, kind), ASKED[:500])] for rate in (0.2, 0.4))
    changed = [(one, other) for one, other, right in zip(low, high, RIGHT, strict=False) if one != right]
    assert changed and all(one == other for one, other in changed)


@pytest.mark.parametrize("kind", KINDS)
def test_each_way_is_what_it_says(kind: SpoiledAs) -> None:
    """At rate 1 every verdict is spoiled where it can be."""
    for judgement, (_, steps), right in zip(said(of(1.0, kind), ASKED[:500]), ASKED, RIGHT, strict=False):
        position, size = judgement.position, len(steps)
        assert position is not None and right is not None
        if kind == "none_found":
            assert position == size
        elif kind == "random":
            assert position != right and position < size
        elif kind == "early":
            assert position < right or position == right == 0
        else:
            assert right < position < size or (position == right and right >= size - 1)


@given(st.integers(1, 8), st.data())
def test_every_place_that_a_way_allows_is_named(steps: int, data: st.DataObject) -> None:
    position = data.draw(st.integers(0, steps))
    allowed = {
        "random": set(range(steps)) - {position} or {position},
        "early": set(range(position)) or {position},
        "late": set(range(position + 1, steps)) or {position},
        "none_found": {steps},
    }
    for kind in KINDS:
        rng = random.Random(0)
        assert {spoiled(position, steps, kind, rng) for _ in range(200)} == allowed[kind]


def test_a_vote_follows_from_its_seed_and_a_lost_one_stays_lost() -> None:
    steps, problem = ["a", "b", "c"], Problem("p", "?", "1")

    async def lost(problem: Problem, steps: Sequence[str], seed: int) -> int | None:
        return None if seed == 3 else 1

    judge = SpoiledJudge(scripted(lost), 1.0, "random")
    votes = [asyncio.run(judge(problem, steps, seed)).position for seed in range(64)]
    assert votes == [asyncio.run(judge(problem, steps, seed)).position for seed in range(64)]
    assert votes[3] is None and set(votes) == {None, 0, 2}


def test_a_record_has_all_that_its_votes_follow_from() -> None:
    """Worked again from the problem, the text and the number of the vote alone, as ``groups.jsonl`` has them."""
    config = JudgeConfig(kind="rule", spoiled=0.5, spoiled_as="random", votes=3)
    problem = Chain((3, 4, 2), "+-").problem()
    texts = ["3+4=8\n8-2=6\n#### 6", "3+4=7\n7-2=6\n#### 6", "3+4=7\n7-2=5\n#### 6", "3+4=9\n9-2=7\n#### 7"]
    rollouts = tuple(
        Rollout((), text, "stop", 0, (), correct=False, reward_parts={"correctness": 0.0}) for text in texts
    )
    group = Group(0, 7, 0, problem, rollouts, judge=True)
    panel = Panel(SpoiledJudge(RuleJudge(), config.spoiled, config.spoiled_as), config)
    judged = asyncio.run(judge(group, ArithmeticTask(TaskConfig(), 1), panel, PartialCreditConfig(kind="sgpo")))
    for rollout in judged.rollouts_G:
        steps = split_lines(rollout.text)
        for number, vote in enumerate(rollout.votes):
            seed = derive_seed("judge", problem.id, rollout.text, number)
            rng = random.Random(derive_seed("spoiled", seed))
            right = first_wrong(problem, steps)
            assert vote == (spoiled(right, len(steps), "random", rng) if rng.random() < 0.5 else right)
    assert any(r.votes != (first_wrong(problem, split_lines(r.text)),) * 3 for r in judged.rollouts_G)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["judge=tiny", "judge.spoiled=0.3"], "judge.spoiled=0.3: the verdicts of judge=rule alone can be spoiled"),
        (["judge=rule", "judge.spoiled=1.5"], "judge.spoiled=1.5: input should be less than or equal to 1"),
        (
            ["judge=rule", "judge.spoiled_as=soon"],
            "judge.spoiled_as=soon: input should be 'random', 'early', 'late' or",
        ),
        (["judge=rule", "judge.spoil=0.3"], "judge.spoil: unknown key; did you mean judge.spoiled"),
    ],
)
def test_what_is_set_wrong_is_said_in_one_line(words: list[str], said: str) -> None:
    with pytest.raises(ConfigError) as error:
        resolve({}, overrides=["algorithm=sgpo", *words])
    assert str(error.value).startswith(said) and "\n" not in str(error.value)
