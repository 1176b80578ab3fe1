"""The tiny judge of the embedded default: names the first wrong step of chained arithmetic.

It is asked with a :func:`raysgpo.judging.compact.compact_table` and answers with the letter of the first
wrong step, or with ``-``. It is taught in two phases, both labelled by the rule judge:

1. drills: tables of a few random short lines, which teach to compare character by character;
2. responses to chains: generated corruptions and real mistakes of the tiny policy, among more drills.

Every pair of characters carries loss: it is taught the verdict on the table up to there. That is some
thirty lessons a table in place of one, and it changes nothing where the judge is asked.

Shape legend: _B sequences of a batch, _T tokens (padded).
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path

from pydantic import Field
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from raysgpo.config import Section
from raysgpo.judging import compact as compact_file
from raysgpo.judging import rule as rule_file
from raysgpo.judging.compact import FILLER, LETTERS, NONE_WRONG, compact_table, letter_of
from raysgpo.judging.rule import first_wrong
from raysgpo.records import Problem
from raysgpo.seeds import derive_seed
from raysgpo.tasks import arithmetic as arithmetic_file
from raysgpo.tasks.arithmetic import split_lines
from raysgpo.tiny import corruption, sft, tiny_model
from raysgpo.tiny import responses as sampling
from raysgpo.tiny import tiny_policy as tiny
from raysgpo.tiny import tokenizer as tokenizer_file
from raysgpo.tiny.corruption import corrupted, drill
from raysgpo.tiny.model_cache import find_or_make, fingerprint
from raysgpo.tiny.responses import sample_responses
from raysgpo.tiny.sft import batch, teach, torch_setting
from raysgpo.tiny.tiny_model import Shape, build_tiny_model, save_tiny_model
from raysgpo.tiny.tiny_policy import TinyConfig, ensure_tiny_policy, training_chain
from raysgpo.tiny.tokenizer import byte_tokenizer

_SORTED_BATCHES = 16
"""So many batches are drawn at a time and sorted by length: little padding."""

Lesson = tuple[str, str]
"""A table and the answer to it."""


class TinyJudgeConfig(Section):
    """Settings of the tiny judge; the defaults are the judge of ``judge=tiny``."""

    seed: int = Field(0, ge=0)
    hidden_size: int = Field(64, ge=1)
    intermediate_size: int = Field(192, ge=1)
    layers: int = Field(2, ge=1)
    heads: int = Field(4, ge=1)
    head_size: int = Field(32, ge=2, multiple_of=2)
    """vLLM's engine for CPUs takes no less than 32."""
    initial_std: float = Field(0.07, gt=0)
    """Standard deviation of the untrained weights."""
    max_length: int = Field(4096, ge=16)
    """Longest table plus answer, tokens."""
    terms: tuple[int, ...] = (2, 3, 4, 5)
    """Lengths of the chains, drawn uniformly."""
    operators: str = Field("+-", pattern=r"^[-+*]+$")
    batch_size: int = Field(64, ge=1)
    drill_steps: int = Field(700, ge=0)
    response_steps: int = Field(300, ge=0)
    lr: float = Field(4e-3, gt=0)
    """Of AdamW, for the embedding and the norms."""
    matrix_lr: float = Field(0.03, gt=0)
    """Of Muon, for the layers' weight matrices; with AdamW alone this takes twice as many steps."""
    drill_share: float = Field(0.35, ge=0, le=1)
    """Phase 2: share of drills, without which comparing is unlearned again."""
    real_share: float = Field(0.2, ge=0, le=1)
    """Phase 2: share of the policy's own responses; 0 samples none."""
    real_responses: int = Field(2048, ge=1)
    """Responses that are sampled of the policy, at temperature 1."""
    policy: TinyConfig = TinyConfig()
    """The tiny policy whose responses it is taught on."""
    threads: int = Field(2, ge=1)
    """Torch threads; sums may be ordered otherwise with another number, so it belongs to the settings."""

    @property
    def shape(self) -> Shape:
        sizes = (self.hidden_size, self.intermediate_size, self.layers, self.heads, self.head_size)
        return Shape(*sizes, self.max_length, self.initial_std, samples=False)


def ensure_tiny_judge(
    cache: Path, report: Callable[[str], None] = print, config: TinyJudgeConfig | None = None
) -> Path:
    """The folder of the tiny judge in Hugging Face format, made now unless it is there already.

    It lies under ``cache/models``, named by its settings and the code that makes it and its
    policy, which is made first if it is missing. It appears complete or not at all.
    """
    config = config or TinyJudgeConfig()
    target = judge_folder(cache, config)

    def make(folder: Path) -> None:
        real: list[Lesson] = []
        if config.real_share > 0:
            real = real_lessons(ensure_tiny_policy(cache, report=report, config=config.policy), config)
        report(f"making the tiny judge (once, about a minute and a half): {target}")
        save_tiny_model(train_tiny_judge(config, real, report), config, folder)

    return find_or_make(target, make)


def judge_folder(cache: Path, config: TinyJudgeConfig) -> Path:
    """Where the judge of these settings lies, made or not."""
    teaching = (sys.modules[__name__], corruption, sampling, sft, tiny, tiny_model)
    sources = (*teaching, compact_file, rule_file, tokenizer_file, arithmetic_file)
    return cache / "models" / f"tiny-judge-{fingerprint(config, sources)}"


def train_tiny_judge(
    config: TinyJudgeConfig, real: Sequence[Lesson], report: Callable[[str], None] = print
) -> PreTrainedModel:
    """Build and teach the judge; the same configuration and real lessons give the same weights."""
    with torch_setting(config.threads, derive_seed("tiny judge", config.seed)):
        model = build_tiny_model(config.shape)
        rng = random.Random(derive_seed("tiny judge data", config.seed))
        tokenizer = byte_tokenizer(config.max_length)
        drills = _batches(tokenizer, (lesson(*drill(rng)) for _ in iter(int, 1)), config, rng)
        responses = _batches(tokenizer, _responses(config, real, rng), config, rng)
        teach(model, drills, config.drill_steps, config.lr, report, "tiny judge, drills", config.matrix_lr)
        teach(model, responses, config.response_steps, config.lr, report, "tiny judge, responses", config.matrix_lr)
    return model.eval()


def lesson(problem: Problem, text: str) -> Lesson:
    """The table of a response and the rule judge's verdict on it."""
    steps = split_lines(text)
    first = first_wrong(problem, steps)
    return compact_table(problem, steps), letter_of(first, len(steps))


def real_lessons(policy: Path, config: TinyJudgeConfig) -> list[Lesson]:
    """What the policy of that folder answers to training chains."""
    rng = random.Random(derive_seed("tiny judge chains", config.seed))
    spoken = config.policy
    problems = [
        training_chain(rng, config.terms, spoken.digits, spoken.operators).problem()
        for _ in range(config.real_responses)
    ]
    with torch_setting(config.threads, derive_seed("tiny judge samples", config.seed)):
        texts = sample_responses(policy, [problem.prompt for problem in problems])
    return [lesson(problem, text) for problem, text in zip(problems, texts, strict=True)]


def _responses(config: TinyJudgeConfig, real: Sequence[Lesson], rng: random.Random) -> Iterator[Lesson]:
    while True:
        kind = rng.random()
        if kind < config.drill_share:
            yield lesson(*drill(rng))
        elif real and kind < config.drill_share + config.real_share:
            yield rng.choice(real)
        else:
            chain = training_chain(rng, config.terms, 1 if rng.random() < 0.8 else 2, config.operators)
            yield lesson(chain.problem(), corrupted(chain, rng))


def _batches(
    tokenizer: PreTrainedTokenizerFast, lessons: Iterator[Lesson], config: TinyJudgeConfig, rng: random.Random
) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches of lessons of similar length, in random order."""
    size = config.batch_size
    while True:
        drawn = sorted(islice(lessons, size * _SORTED_BATCHES), key=lambda lesson: len(lesson[0]))
        starts = list(range(0, len(drawn), size))
        rng.shuffle(starts)
        for start in starts:
            yield _lesson_batch(tokenizer, drawn[start : start + size])


def _lesson_batch(tokenizer: PreTrainedTokenizerFast, lessons: Sequence[Lesson]) -> tuple[Tensor, Tensor]:
    """Token ids and labels [_B, _T]; beside the answer, every pair is labelled with the verdict so far."""
    ids_BT, labels_BT = batch(tokenizer, lessons)
    for row, (table, _) in enumerate(lessons):
        assert table.isascii(), "a lesson's characters are its tokens"
        for place, verdict in verdicts_so_far(table):
            # The table stands behind the token of the user's turn; a label is the token that comes next.
            labels_BT[row, 1 + place + 1] = ord(verdict[0])
    return ids_BT, labels_BT


def verdicts_so_far(table: str) -> list[tuple[int, str]]:
    """Where each pair of the table ends (the place of the response's character), and the verdict up to there."""
    verdicts: list[tuple[int, str]] = []
    verdict, start = NONE_WRONG, 0
    for index, row in enumerate(table.split("\n")):
        for at in range(0, len(row) - 2, 3):
            if row[at] == "[":  # blanks, not a pair
                break
            right, written = row[at + 1], row[at + 2]
            if verdict == NONE_WRONG and written not in (right, FILLER):
                verdict = LETTERS[index % len(LETTERS)]
            verdicts.append((start + at + 2, verdict))
        start += len(row) + 1
    return verdicts
