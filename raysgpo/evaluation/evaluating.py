"""An evaluation under way in its folder: which answers are missing, and each written down as it comes."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from raysgpo.evaluation.answers import AnswerRow, Key, Question, Reply, read_answers, settle, wanted
from raysgpo.evaluation.asking import Ask, answer_all
from raysgpo.evaluation.examiner import Examiner
from raysgpo.evaluation.folder import EvaluationFolder
from raysgpo.evaluation.grading import Grading
from raysgpo.evaluation.plan import EvaluatedModel, Plan
from raysgpo.evaluation.scores import Scores, all_scores
from raysgpo.output.json_lines import JsonLines
from raysgpo.tasks.question_set import QuestionSet

Say = Callable[[str], None]
SAY_EVERY = 10.0
"""Seconds between two words on how far it is."""


@dataclass(frozen=True, slots=True)
class Evaluating:
    plan: Plan
    sets: Sequence[QuestionSet]
    folder: EvaluationFolder
    say: Say

    def unanswered(self) -> list[EvaluatedModel]:
        """The models that something is still to be asked of."""
        known = read_answers(self.folder.answers)
        return [one for one in self.plan.models if any(_text(known, key) is None for key in self._keys(one))]

    async def ask(self, model: EvaluatedModel, ask: Ask, at_once: int) -> None:
        """Have one model answer what it has not, and the answers graded.

        Raises:
            WriteFailed: an answer cannot be written down; those before it are.
            ConfigError: the model's server cannot be asked.
        """
        await self._work_off(model, self._questions, read_answers(self.folder.answers), ask, at_once)

    async def grade(self) -> None:
        """Grade the answers that stand there without a verdict, once more."""
        known = read_answers(self.folder.answers)
        for model in self.plan.models:
            keys = zip(self._questions, self._keys(model), strict=True)
            ungraded = [one for one, key in keys if _text(known, key) is not None and not _has_verdict(known, key)]
            if ungraded:
                self.say(f"{model.label}: {len(ungraded):,} answers are graded again")
                await self._work_off(model, ungraded, known, _nobody, AT_ONCE)

    async def _work_off(
        self,
        model: EvaluatedModel,
        questions: Sequence[Question],
        known: Mapping[Key, AnswerRow],
        ask: Ask,
        at_once: int,
    ) -> None:
        file, examiner = JsonLines(self.folder.answers), self._examiner()
        grading = Grading((one.settings for one in self.sets), examiner)
        done = sum(_has_verdict(known, key) for key in self._keys(model))
        progress = _Progress(model.label, len(self._questions), self.say, done)

        def keep(row: AnswerRow) -> None:
            file.write(row.row())
            progress.kept(row)

        try:
            await answer_all(model.label, questions, known, ask, grading, keep, at_once)
        finally:
            file.close()
            grading.close()
            if examiner is not None:
                await examiner.close()
        progress.tell()

    def finish(self) -> Scores:
        """Write ``scores.json``, and say of what is missing."""
        rows = settle(self.folder.answers)
        missing = [row for row in rows.values() if row.correct is None]
        if missing:
            self.say(
                f"warning: {len(missing):,} of {len(rows):,} answers have no verdict and count as wrong (the first: "
                f"{missing[0].failed}); --resume {self.folder.path} asks for them again"
            )
        sets = [one.settings for one in self.sets]
        scores = all_scores(rows.values(), [model.label for model in self.plan.models], sets, self.plan.seed)
        self.folder.write_scores(scores)
        return scores

    @property
    def _questions(self) -> list[Question]:
        return list(wanted(self.sets, self.plan.seed))

    def _keys(self, model: EvaluatedModel) -> list[Key]:
        return [(model.label, one.of.name, one.problem.id, one.sample) for one in self._questions]

    def _examiner(self) -> Examiner | None:
        return None if self.plan.examiner is None else Examiner(self.plan.examiner)


AT_ONCE = 64
"""Answers graded at a time where nothing is asked."""


async def _nobody(question: Question) -> Reply:
    raise AssertionError(f"{question.of.name}, {question.problem.id}: it is answered")


def _text(known: Mapping[Key, AnswerRow], key: Key) -> str | None:
    row = known.get(key)
    return None if row is None else row.text


def _has_verdict(known: Mapping[Key, AnswerRow], key: Key) -> bool:
    row = known.get(key)
    return row is not None and row.correct is not None


@dataclass(slots=True)
class _Progress:
    """Said now and then."""

    label: str
    total: int
    say: Say
    done: int = 0
    tokens: int = 0
    begun: float = field(default_factory=time.monotonic)
    said: float = field(default_factory=time.monotonic)

    def kept(self, row: AnswerRow) -> None:
        self.done += 1
        self.tokens += row.tokens
        if time.monotonic() - self.said >= SAY_EVERY:
            self.said = time.monotonic()
            self.tell()

    def tell(self) -> None:
        rate = self.tokens / max(time.monotonic() - self.begun, 1e-9)
        self.say(f"{self.label}: {self.done:,} of {self.total:,} answers, {rate:,.0f} tokens/s")
