"""The records that travel between the stages: problem, ticket, rollout, group.

Shape legend: _G rollouts of a group, _T tokens of a segment or a sequence.

A rollout is a list of segments over token ids. Prompt, guidance and completion (and tool output,
one day) are then data and not code: the trainer reads only token ids, loss weights, the sampler's
logprobs and advantages.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum
from operator import attrgetter
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

CORRECTNESS = "correctness"
"""The reward part that says how right an answer is; R_min_correct and partial credit apply to it alone."""

TESTS = "tests"
"""In the metadata of a problem that asks for a program: its tests as a judge is shown them."""

Int_T = NDArray[np.int32]
Float_T = NDArray[np.float32]


Record = TypeVar("Record")


def pickled_by_fields(cls: type[Record]) -> type[Record]:
    """A dataclass whose values pickle as a call of the class, in a third of the time that dataclasses take to look
    their own fields up: a step has tens of thousands of them."""
    values = attrgetter(*(one.name for one in fields(cls)))  # type: ignore[arg-type]
    cls.__reduce__ = lambda self: (cls, values(self))  # type: ignore[method-assign, assignment]
    return cls


Turns = tuple[tuple[str, str], ...]
"""(role, text) of turns of a chat."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One row of a task.

    ``Problem(id="gsm8k-7", prompt="2+3=?", answer="5", reference="2+3=5\\n#### 5", metadata={"terms": 2})``
    """

    id: str
    prompt: str
    """What is asked, before the chat template."""
    answer: str
    """The final answer, in the form that the task's grader compares with."""
    reference: str | None = None
    """A full solution, where the data set has one."""
    metadata: dict[str, Any] = field(default_factory=dict)
    """Whatever else the row carries: difficulty, year, subject (JSON values)."""
    turns: Turns = ()
    """The row's own turns of the chat before ``prompt``: a system turn, what was said before."""

    def chat(self, before: Turns = ()) -> Turns:
        """All that the policy is shown, behind the turns of the settings; a row's own system turn replaces theirs."""
        own = [turn for turn in self.turns[:1] if turn[0] == "system"]
        others = [turn for turn in before if not own or turn[0] != "system"]
        return (*own, *others, *self.turns[len(own) :], ("user", self.prompt))

    @property
    def conversation(self) -> str:
        """The prompt in words, behind what was said before it."""
        if not self.turns:
            return self.prompt
        return "\n\n".join(f"{role}: {said}" for role, said in self.chat())


@dataclass(frozen=True, slots=True)
class Hint:
    """The guidance of a group: a prefix of the true reasoning that its first rollouts start from."""

    token_ids: list[int]
    text: str
    """What the answer's text begins with; empty where the guidance belongs to the prompt."""
    at: int
    """The place in the prompt's ids where it stands; their number: behind them, where the answer starts."""
    in_answer: bool
    """Whether it counts as a part of the answer: for its text and for the longest answer."""
    rollouts: int
    """The first so many rollouts of the group are guided."""

    def __post_init__(self) -> None:
        assert self.token_ids and self.rollouts >= 1, "no guidance is None, not an empty one"


@dataclass(frozen=True, slots=True)
class Ticket:
    """What a position of the stream stands for, said by the conductor when the position starts."""

    position: int
    step: int
    """The optimizer step that will train on it, as far as is known when the position starts (see ``window``)."""
    epoch: int
    problem: Problem
    prompt_ids: list[int]
    """The prompt under the chat template, up to where the answer starts."""
    seeds_G: tuple[int, ...]
    """One sampling seed a rollout, each a hash of (run seed, epoch, problem, rollout)."""
    min_version: int
    """No replica may answer with weights older than this."""
    judge: bool
    """Whether an all-negative group of this position goes to the judge (``judge.epochs``)."""
    guidance_length: float | None = None
    """l of the schedule when the position got its slot; None without guidance."""
    hint: Hint | None = None
    """What l comes to for this problem; None where nothing is given."""


@dataclass(frozen=True, slots=True)
class SampleRequest:
    """One prompt to be sampled ``len(seeds_G)`` times by a rollout replica."""

    prompt_ids: list[int]
    seeds_G: tuple[int, ...]
    max_tokens: int
    temperature: float
    top_p: float = 1.0
    top_k: int = 0
    """0 means the full vocabulary."""
    stop: tuple[str, ...] = ()
    min_version: int = 0


@pickled_by_fields
@dataclass(frozen=True, slots=True)
class Completion:
    """One sampled answer as the replica returns it."""

    token_ids_T: Int_T
    logprobs_T: Float_T
    """log pi(token) at the sampling temperature: what the behaviour policy really used."""
    finish_reason: str
    """``stop`` (end of turn or a stop string) or ``length``."""
    text: str
    weight_versions: tuple[tuple[int, int], ...]
    """((version, number of tokens), ...) in the order in which they were sampled."""
    text_ends_T: Int_T | None = None
    """Characters of the text that are said once each token is; None where the engine cannot tell."""


@dataclass(frozen=True, slots=True)
class Beat:
    """What a replica says now and then of itself to those whose answers are under way."""

    tokens: int
    """Made so far, for all that it was asked: what queues behind others gets on with them."""
    updating: bool
    """Weights are on their way or being exchanged, which has a deadline of its own."""


class Role(StrEnum):
    PROMPT = "prompt"
    GUIDANCE = "guidance"
    COMPLETION = "completion"


@pickled_by_fields
@dataclass(frozen=True, slots=True)
class Segment:
    """A run of tokens with one origin. All arrays have one entry a token."""

    role: Role
    token_ids_T: Int_T
    loss_weight_T: Float_T
    """0 for tokens that carry no loss (the prompt, by default the guidance)."""
    logprobs_T: Float_T
    """The sampler's logprob; 0 where the token was not sampled; NaN where nobody has worked it out yet."""

    def __post_init__(self) -> None:
        sizes = {len(self.token_ids_T), len(self.loss_weight_T), len(self.logprobs_T)}
        assert len(sizes) == 1, f"a segment's arrays must have one length, got {sizes}"

    @classmethod
    def given(cls, role: Role, token_ids: list[int] | Int_T, loss_weight: float = 0.0) -> Segment:
        """Tokens that were put there and not sampled: no logprob, and no loss unless it is asked for."""
        ids_T = np.asarray(token_ids, dtype=np.int32)
        weight_T = np.full(len(ids_T), loss_weight, dtype=np.float32)
        return cls(role, ids_T, weight_T, np.zeros(len(ids_T), dtype=np.float32))

    @classmethod
    def sampled(cls, token_ids_T: Int_T, logprobs_T: Float_T) -> Segment:
        """The policy's own tokens: loss weight 1."""
        ones_T = np.ones(len(token_ids_T), dtype=np.float32)
        return cls(Role.COMPLETION, token_ids_T, ones_T, logprobs_T)


class Verdict(StrEnum):
    """What the judge said of a response. Absent (None): it was not asked."""

    ERROR = "error"
    """It named a first wrong step."""
    NONE_FOUND = "none_found"
    """It found no wrong step."""
    LOST = "lost"
    """No readable vote came back in time."""


class Drop(StrEnum):
    """Why a sampled group carries no gradient."""

    NO_SIGNAL = "no_signal"
    """Every advantage is zero."""
    EQUAL_REWARDS = "equal_rewards"
    """All rewards agree, and ``keep=reward_variance`` was asked for."""
    NO_REWARD = "no_reward"
    """A reward is no finite number, its grading failed under ``task.failed_grading=drop``, or the task could not
    split an answer."""
    FAILED = "failed"
    """Sampling or grading failed after all attempts."""
    FILTERED = "filtered"
    """Its share of right answers lies outside of ``curriculum.success_window``."""
    TOO_OLD = "too_old"
    """More optimizer steps than ``max_staleness`` passed between sampling and training."""


@pickled_by_fields
@dataclass(frozen=True, slots=True)
class Rollout:
    """One answer to a prompt, from its tokens to its advantage."""

    segments: tuple[Segment, ...]
    text: str
    """The answer, guidance included where it belongs to the answer."""
    finish_reason: str
    seed: int
    weight_versions: tuple[tuple[int, int], ...]
    attempt: int = 0
    guidance_characters: int = 0
    """The first so many characters of the text were given."""
    text_ends_T: Int_T | None = None
    """Characters of the text behind ``guidance_characters`` that are said once each sampled token is; None where
    nobody has told."""
    correct: bool | None = None
    """c_i: is the final answer right? None before grading."""
    reward_parts: dict[str, float] = field(default_factory=dict)
    """Named parts, e.g. {"correctness": 1.0, "format": 0.1}, as the grader gave them; empty before grading. NaN
    stands for a part that could not be had."""
    readings: dict[str, float] | None = None
    """What the grader read in the answer, e.g. {"rating_a": 8.0, "rating_b": 3.0}; empty where nothing could be
    read, None where there is nothing to be read."""
    reasoning_steps: int | None = None
    """Number of reasoning steps of the text; None where they were not counted."""
    given_steps: int | None = None
    """How many of them, the first ones, are guidance."""
    step_tokens: tuple[int, ...] | None = None
    """Sampled tokens of each of them, ``num_tokens`` together."""
    verdict: Verdict | None = None
    votes: tuple[int | None, ...] = ()
    """First wrong step by each vote, 0-based; the number of steps for "no error", None for a lost vote."""
    first_error: int | None = None
    rts: float | None = None
    """Reasoning Trajectory Score, in [0, 1]."""
    auxiliary: float | None = None
    """What the parts beside the correctness add to the reward, under ``algorithm.bonus``; None: their sum."""
    credit: float | None = None
    """Partial credit of a judged wrong answer, in the place of its correctness part; None where it has none."""
    advantage: float = 0.0
    """A_i, that of every token that the policy sampled where ``step_advantages`` says nothing else. Of a dropped group
    it is what it would have been."""
    step_advantages: tuple[float, ...] | None = None
    """The advantage of the tokens of each reasoning step (``step_tokens``); None: ``advantage`` for all of them."""
    in_baseline: bool = True
    """False for a rollout whose votes were all lost: no part in the baseline, advantage 0."""

    @property
    def graded(self) -> float:
        """The reward's correctness part as it enters the advantage, partial credit included."""
        return self.reward_parts.get(CORRECTNESS, math.nan) if self.credit is None else self.credit

    @property
    def reward(self) -> float:
        """r_i, the reward that enters the advantage: ``graded`` plus the other parts. NaN where it could not be had."""
        return self.graded + self.auxiliary_reward

    @property
    def auxiliary_reward(self) -> float:
        """What the reward parts beside the correctness (format, length) add to the reward."""
        if self.auxiliary is not None:
            return self.auxiliary
        return sum(value for name, value in self.reward_parts.items() if name != CORRECTNESS)

    @property
    def truncated(self) -> bool:
        return self.finish_reason == "length"

    @property
    def num_tokens(self) -> int:
        """Number of sampled tokens."""
        return sum(len(s.token_ids_T) for s in self.segments if s.role is Role.COMPLETION)

    @property
    def answer_tokens(self) -> int:
        """Number of tokens of the answer, guidance included where the answer begins with it."""
        before = self.segments[-2] if len(self.segments) > 1 else None
        given = len(before.token_ids_T) if before is not None and before.role is Role.GUIDANCE else 0
        return given + self.num_tokens

    @property
    def has_logprobs(self) -> bool:
        return not any(np.isnan(s.logprobs_T).any() for s in self.segments)

    @property
    def guidance_tokens(self) -> int:
        return sum(len(s.token_ids_T) for s in self.segments if s.role is Role.GUIDANCE)

    @property
    def guided(self) -> bool:
        return self.guidance_tokens > 0


@pickled_by_fields
@dataclass(frozen=True, slots=True)
class Group:
    """The G rollouts of one prompt: the unit of comparison, and one row of the stream."""

    position: int
    step: int
    epoch: int
    problem: Problem
    rollouts_G: tuple[Rollout, ...]
    judge: bool = False
    """May this group be judged (copied from its ticket)?"""
    guidance_length: float | None = None
    """l of the schedule (copied from its ticket); None without guidance."""
    judged: bool = False
    dropped: Drop | None = None
    error: str | None = None
    """Why sampling or grading failed, one line; of a group that is not ``dropped``: why an answer of it counts as
    wrong."""
    age: int = 0
    """Optimizer steps between its oldest token's weights and its consumption."""
    sample_interval: tuple[float, float] = (0.0, 0.0)
    """Wall-clock start and end of its sampling, seconds since the Unix epoch."""
    judge_interval: tuple[float, float] = (0.0, 0.0)
    counts: dict[str, float] = field(default_factory=dict)
    """What it cost and what was survived on the way, e.g. {"grader/timeouts": 1, "judge/tokens": 940}."""

    @property
    def all_negative(self) -> bool:
        """True if no final answer of the group is right (and there is one at all)."""
        return bool(self.rollouts_G) and not any(r.correct for r in self.rollouts_G)

    @property
    def degenerate(self) -> bool:
        """True if all rewards that take part in the baseline agree."""
        return len({r.reward for r in self.rollouts_G if r.in_baseline}) <= 1

    def with_rollouts(self, rollouts: list[Rollout]) -> Group:
        return replace(self, rollouts_G=tuple(rollouts))
