"""The path of a ticket with a sampler made of plain Python: no cluster."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from raysgpo.config import Config, EvaluationConfig, JudgeConfig, RolloutConfig, SamplingConfig, TaskConfig
from raysgpo.config.overrides import resolve
from raysgpo.groups.pipeline import Pipeline
from raysgpo.groups.retrying_sampler import Answer, RetryingSampler, Sampler, SamplingFailed
from raysgpo.judging.panel import Panel
from raysgpo.judging.rule import RuleJudge
from raysgpo.records import Beat, Completion, Drop, Group, Hint, Problem, Role, SampleRequest, Ticket, Verdict
from raysgpo.tasks.arithmetic import ArithmeticTask, Chain
from raysgpo.tasks.grader import InlineGrader
from tests.judging.scripted import Script, scripted
from tests.resolved import resolved

PROBLEM = Chain((3, 4, 2), "+-").problem()
RIGHT = PROBLEM.reference or ""
LATE = "3+4=7\n7-2=6\n#### 6"
EARLY = "3+4=8\n8-2=6\n#### 6"
BASE = Config(
    sampling=SamplingConfig(group_size=2, max_tokens=9, temperature=0.7, stop=("!",)),
    rollout=RolloutConfig(attempts=2, token_deadline=5.0),
    evaluation=EvaluationConfig(prompts=1),
    task=TaskConfig(prompts=1, terms=(3,)),
)
SGPO = resolve(BASE, overrides=["algorithm=sgpo"])


def ticket(judge: bool = True, seeds: tuple[int, ...] = (11, 22), hint: Hint | None = None) -> Ticket:
    length = None if hint is None else 4.25
    return Ticket(5, 2, 1, PROBLEM, [1, 2, 3], seeds, min_version=4, judge=judge, guidance_length=length, hint=hint)


def completion(text: str) -> Completion:
    ids_T = np.frombuffer(text.encode(), dtype=np.uint8).astype(np.int32)
    return Completion(ids_T, np.full(len(ids_T), -0.25, np.float32), "stop", text, ((4, len(ids_T)),))


def answering(*texts: str) -> Sampler:
    async def sample(request: SampleRequest) -> Answer:
        yield [completion(text) for text in texts]

    return sample


class Failing:
    """Fails the first ``failures`` times; keeps every request."""

    def __init__(self, failures: int) -> None:
        self.failures = failures
        self.requests: list[SampleRequest] = []

    async def __call__(self, request: SampleRequest) -> Answer:
        self.requests.append(request)
        if len(self.requests) <= self.failures:
            raise SamplingFailed(f"replica {len(self.requests)} died")
        yield [completion(RIGHT), completion(LATE)]


def run(sampler: Sampler, config: Config = SGPO, judge: Script | None = None, at: Ticket | None = None) -> Group:
    task = ArithmeticTask(config.task, 1)
    panel = Panel(scripted(judge) if judge else RuleJudge(), config.judge)
    pipeline = Pipeline(
        resolved(config), task, InlineGrader(task.grade), panel, RetryingSampler(sampler, config.rollout)
    )
    return asyncio.run(pipeline.run(at or ticket()))


@pytest.mark.parametrize("keep", ["nonzero_advantage", "all"])
def test_the_success_window_is_the_last_word_on_a_group(keep: str) -> None:
    """It holds whatever ``algorithm.keep`` says, and a group that was dropped before keeps its reason."""
    config = resolve(SGPO, overrides=["curriculum.success_window=[0.5,1]", f"algorithm.keep={keep}"])
    assert run(answering(RIGHT, LATE), config).dropped is Drop.FILTERED
    alike = Drop.FILTERED if keep == "all" else Drop.NO_SIGNAL
    assert run(answering(RIGHT, RIGHT), config).dropped is alike


async def never(problem: Problem, steps: Sequence[str], seed: int) -> int | None:
    raise AssertionError("this group must not be judged")


def test_the_request_carries_the_ticket_and_the_settings() -> None:
    sampler = Failing(0)
    run(sampler)
    assert sampler.requests == [
        SampleRequest([1, 2, 3], (11, 22), max_tokens=9, temperature=0.7, stop=("!",), min_version=4)
    ]


def test_the_group_carries_the_ticket_and_what_was_sampled() -> None:
    start = time.time()
    group = run(answering(RIGHT, LATE))
    assert (group.position, group.step, group.epoch, group.problem) == (5, 2, 1, PROBLEM)
    assert [r.seed for r in group.rollouts_G] == [11, 22]
    for rollout, text in zip(group.rollouts_G, (RIGHT, LATE), strict=True):
        prompt, answer = rollout.segments
        assert (prompt.role, answer.role) == (Role.PROMPT, Role.COMPLETION)
        assert prompt.token_ids_T.tolist() == [1, 2, 3] and prompt.loss_weight_T.tolist() == [0, 0, 0]
        assert bytes(answer.token_ids_T.tolist()).decode() == rollout.text == text
        assert (answer.loss_weight_T == 1).all() and (answer.logprobs_T == -0.25).all()
        assert rollout.weight_versions == ((4, len(text)),)
    assert start <= group.sample_interval[0] <= group.sample_interval[1] <= time.time()


def test_a_retry_asks_for_the_same_seeds_and_is_counted() -> None:
    sampler = Failing(1)
    group = run(sampler)
    assert len(sampler.requests) == 2 and sampler.requests[0] == sampler.requests[1]
    assert [r.attempt for r in group.rollouts_G] == [1, 1] and group.dropped is None
    assert [r.attempt for r in run(Failing(0)).rollouts_G] == [0, 0]


def test_a_group_that_no_attempt_could_sample_is_dropped_with_the_reason() -> None:
    sampler = Failing(9)
    group = run(sampler)
    assert len(sampler.requests) == 2
    assert (group.dropped, group.error, group.rollouts_G) == (Drop.FAILED, "replica 2 died", ())
    assert group.sample_interval[1] - group.sample_interval[0] > 0.1, "retries wait before they ask again"


def test_a_sampler_that_hangs_costs_the_deadline() -> None:
    async def hang(request: SampleRequest) -> Answer:
        yield Beat(tokens=7, updating=False)
        await asyncio.sleep(60)

    config = resolve(SGPO, overrides=["rollout.token_deadline=0.05", "rollout.attempts=1"])
    start = time.monotonic()
    group = run(hang, config)
    assert time.monotonic() - start < 30
    assert (group.dropped, group.error) == (Drop.FAILED, "no token within rollout.token_deadline=0.05 s")


def test_an_answer_each_grade_and_each_vote_are_progress() -> None:
    task, told = ArithmeticTask(SGPO.task, 1), list[str]()
    pipeline = Pipeline(
        resolved(SGPO),
        task,
        InlineGrader(task.grade, lambda: told.append("grade")),
        Panel(RuleJudge(), SGPO.judge, told=lambda: told.append("vote")),
        RetryingSampler(answering(EARLY, LATE), SGPO.rollout, progressed=lambda: told.append("answer")),
    )
    asyncio.run(pipeline.run(ticket()))
    assert told == ["answer", "grade", "grade", "vote", "vote"]


def test_a_programming_error_in_the_sampler_is_not_taken_for_a_dead_replica() -> None:
    async def broken(request: SampleRequest) -> Answer:
        yield Beat(tokens=0, updating=False)
        raise KeyError("a bug")

    with pytest.raises(KeyError):
        run(broken)


def test_a_mixed_group_is_not_judged() -> None:
    group = run(answering(RIGHT, LATE), judge=never)
    assert not group.judged and [r.reward for r in group.rollouts_G] == [1.0, 0.0]
    assert [r.advantage for r in group.rollouts_G] == pytest.approx([0.5**0.5, -(0.5**0.5)], rel=1e-5)


def test_an_all_negative_group_learns_from_where_the_answers_went_wrong() -> None:
    group = run(answering(EARLY, LATE))
    assert group.judged and group.dropped is None
    assert [(r.first_error, r.rts, r.verdict) for r in group.rollouts_G] == [
        (0, 0.0, Verdict.ERROR),
        (1, 1 / 3, Verdict.ERROR),
    ]
    assert group.rollouts_G[0].advantage < 0 < group.rollouts_G[1].advantage


def test_by_tokens_what_the_engine_says_of_each_token_counts() -> None:
    """``3+4=7\\n``, ``7-2=6\\n``, ``#### 6``: of 2, 1 and 3 tokens; without places, 6 tokens by 6, 6 and 6 bytes."""
    config = resolve(SGPO, overrides=["algorithm.partial_credit.rts=tokens"])
    places = [5, 6, 12, 17, 18, 18]
    told = replace(completion(LATE), token_ids_T=np.arange(6, dtype=np.int32), logprobs_T=np.zeros(6, np.float32))

    async def sample(request: SampleRequest) -> Answer:
        yield [replace(told, text_ends_T=np.array(places, dtype=np.int32)), told]

    group = run(sample, config)
    assert [(r.step_tokens, r.rts) for r in group.rollouts_G] == [((2, 1, 3), 2 / 6), ((2, 2, 2), 2 / 6)]
    again = run(sample, config, judge=by_index(2))
    assert [r.rts for r in again.rollouts_G] == [3 / 6, 4 / 6]


def by_index(position: int) -> Script:
    async def judge(problem: Problem, steps: Sequence[str], seed: int) -> int | None:
        return position

    return judge


@pytest.mark.parametrize(
    ("config", "at"),
    [(SGPO, ticket(judge=False)), (BASE, ticket())],
    ids=["after the judged epochs", "grpo"],
)
def test_an_all_negative_group_outside_of_judging_has_no_signal(config: Config, at: Ticket) -> None:
    group = run(answering(EARLY, LATE), config, judge=never, at=at)
    assert (group.judged, group.dropped) == (False, Drop.NO_SIGNAL)


def test_whether_there_is_a_signal_is_decided_after_the_baseline() -> None:
    settings = ["algorithm.baseline=none", "algorithm.scale=none"]
    for words, dropped in ([], Drop.NO_SIGNAL), (settings, None):
        assert run(answering(RIGHT, RIGHT), resolve(SGPO, overrides=words)).dropped is dropped


def test_a_judge_that_fails_costs_votes_and_not_the_run() -> None:
    async def dead(problem: Problem, steps: Sequence[str], seed: int) -> int | None:
        raise ConnectionError("the judge is dead")

    group = run(answering(EARLY, LATE), judge=dead)
    assert (group.judged, group.dropped, group.counts["judge/errors"]) == (False, Drop.NO_SIGNAL, 2)


@pytest.mark.parametrize("votes", [1, 3])
def test_every_wrong_answer_gets_its_votes(votes: int) -> None:
    asked: list[int] = []

    async def judge(problem: Problem, steps: Sequence[str], seed: int) -> int | None:
        asked.append(seed)
        return 0

    config = SGPO.model_copy(update={"judge": JudgeConfig(votes=votes)})
    group = run(answering(EARLY, LATE), config, judge)
    assert len(set(asked)) == len(asked) == 2 * votes
    assert [len(r.votes) for r in group.rollouts_G] == [votes, votes]


def test_the_rollouts_stay_in_the_order_of_their_seeds() -> None:
    texts = [RIGHT, EARLY, LATE, "", "#### 5"]
    group = run(answering(*texts), at=ticket(seeds=(1, 2, 3, 4, 5)))
    assert [r.text for r in group.rollouts_G] == texts
    assert [r.correct for r in group.rollouts_G] == [True, False, False, False, True]
    assert [r.reasoning_steps for r in group.rollouts_G] == [3, 3, 3, 0, 1]


def hint(at: int, text: str, rollouts: int = 2, in_answer: bool = True) -> Hint:
    return Hint(list(text.encode()), text if in_answer else "", at, in_answer, rollouts)


class Continuing:
    """Goes on from whatever the request ends with; keeps every request."""

    def __init__(self, **answers: str) -> None:
        """``guided`` and ``free``: what the two kinds of rollouts say."""
        self.answers = answers
        self.requests: list[SampleRequest] = []

    async def __call__(self, request: SampleRequest) -> Answer:
        self.requests.append(request)
        kind = "free" if request.prompt_ids == [1, 2, 3] else "guided"
        yield [completion(self.answers[kind]) for _ in request.seeds_G]


@pytest.mark.parametrize("weight", [0.0, 0.5])
def test_the_first_rollouts_start_from_the_guidance_and_the_others_are_free(weight: float) -> None:
    sampler = Continuing(guided="\n7-2=5\n#### 5", free=LATE)
    config = resolve(BASE, overrides=[f"guidance.loss_weight={weight}"])
    group = run(sampler, config, at=ticket(seeds=(1, 2, 3, 4), hint=hint(3, "3+4=7")))
    guided, free = sampler.requests
    assert guided == SampleRequest([1, 2, 3, *b"3+4=7"], (1, 2), 9 - 5, temperature=0.7, stop=("!",), min_version=4)
    assert free == SampleRequest([1, 2, 3], (3, 4), 9, temperature=0.7, stop=("!",), min_version=4)
    assert [r.seed for r in group.rollouts_G] == [1, 2, 3, 4] and group.guidance_length == 4.25
    assert [r.text for r in group.rollouts_G] == [RIGHT, RIGHT, LATE, LATE], "what is graded is the whole answer"
    assert [r.correct for r in group.rollouts_G] == [True, True, False, False]
    assert [(r.guidance_tokens, r.guidance_characters) for r in group.rollouts_G] == [(5, 5)] * 2 + [(0, 0)] * 2
    for rollout in group.rollouts_G[:2]:
        prompt, given, answer = rollout.segments
        assert [s.role for s in rollout.segments] == [Role.PROMPT, Role.GUIDANCE, Role.COMPLETION]
        assert prompt.token_ids_T.tolist() == [1, 2, 3] and bytes(given.token_ids_T.tolist()) == b"3+4=7"
        assert (given.loss_weight_T == weight).all() and (given.logprobs_T == 0).all()
        assert rollout.num_tokens == len(answer.token_ids_T) == len("\n7-2=5\n#### 5")


def test_guidance_in_the_prompt_is_sampled_behind_and_graded_without() -> None:
    sampler = Continuing(guided=RIGHT, free=LATE)
    group = run(sampler, BASE, at=ticket(seeds=(1, 2, 3), hint=hint(2, "3+4", rollouts=1, in_answer=False)))
    assert sampler.requests[0].prompt_ids == [1, 2, *b"3+4", 3] and sampler.requests[0].max_tokens == 9
    first = group.rollouts_G[0]
    assert [s.role for s in first.segments] == [Role.PROMPT, Role.GUIDANCE, Role.PROMPT, Role.COMPLETION]
    assert (first.text, first.guidance_characters, first.guidance_tokens, first.guided) == (RIGHT, 0, 3, True)


def test_all_may_be_guided() -> None:
    sampler = Continuing(guided="\n7-2=5\n#### 5")
    group = run(sampler, BASE, at=ticket(seeds=(1, 2), hint=hint(3, "3+4=7")))
    assert len(sampler.requests) == 1 and all(r.guided for r in group.rollouts_G)


def test_a_group_whose_guided_half_cannot_be_sampled_is_dropped_as_one() -> None:
    async def half(request: SampleRequest) -> Answer:
        if len(request.prompt_ids) > 3:
            raise SamplingFailed("the guided replica died")
        yield [completion(RIGHT)]

    config = resolve(BASE, overrides=["rollout.attempts=1"])
    group = run(half, config, at=ticket(hint=hint(3, "3+4=7", rollouts=1)))
    assert (group.dropped, group.error, group.rollouts_G) == (Drop.FAILED, "the guided replica died", ())


def test_with_sgpo_the_steps_that_were_given_earn_nothing() -> None:
    """Guided: one step given, then wrong, so 0 of 2 free ones; free: the first of 3 is right."""
    sampler = Continuing(guided="7-2=6\n#### 6", free=LATE)
    group = run(sampler, SGPO, at=ticket(hint=hint(3, "3+4=7\n", rollouts=1)))
    assert [(r.first_error, r.rts) for r in group.rollouts_G] == [(1, 0.0), (1, 1 / 3)]
    assert group.rollouts_G[0].text == group.rollouts_G[1].text == LATE
    assert group.rollouts_G[0].advantage < 0 < group.rollouts_G[1].advantage


def test_a_group_outside_of_the_success_window_is_sampled_and_not_trained_on() -> None:
    config = resolve(BASE, overrides=["curriculum.success_window=[0.2,0.6]"])
    assert run(answering(RIGHT, LATE), config).dropped is None
    assert run(answering(RIGHT, RIGHT, LATE), config, at=ticket(seeds=(1, 2, 3))).dropped is Drop.FILTERED
    assert run(answering(RIGHT, RIGHT), config).dropped is Drop.NO_SIGNAL
