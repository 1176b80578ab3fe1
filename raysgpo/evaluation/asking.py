"""The questions of several sets put to one model, many at a time; each answer is handed on when it is graded."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import replace

from raysgpo.evaluation.answers import AnswerRow, Key, NoReply, Question, Reply
from raysgpo.evaluation.grading import Grading, stated

Ask = Callable[[Question], Awaitable[Reply]]
"""One answer of the model. It raises NoReply for one that does not come, and whatever else ends the evaluation."""
Keep = Callable[[AnswerRow], None]


async def answer_all(
    model: str,
    questions: Iterable[Question],
    known: Mapping[Key, AnswerRow],
    ask: Ask,
    grading: Grading,
    keep: Keep,
    at_once: int,
) -> None:
    """Ask what is not answered yet, ``at_once`` at a time, and keep each row.

    A known answer that has a verdict is left alone; one without is graded again and not asked for again.
    """
    rest = iter(questions)

    async def worker() -> None:
        for question in rest:
            row = _blank(model, question)
            before = known.get(row.key)
            if before is None or before.correct is None:
                keep(await _answered(row, question, before, ask, grading))

    await asyncio.gather(*(worker() for _ in range(at_once)))


def _blank(model: str, question: Question) -> AnswerRow:
    of = question.of
    return AnswerRow(model, of.name, question.problem.id, of.labels(question.problem), question.sample)


async def _answered(
    blank: AnswerRow, question: Question, before: AnswerRow | None, ask: Ask, grading: Grading
) -> AnswerRow:
    if before is not None and before.text is not None:
        reply = Reply(before.text, before.tokens, before.truncated)
    else:
        try:
            reply = await ask(question)
        except NoReply as error:
            return replace(blank, failed=str(error))
    verdict = await grading.verdict(question.of, question.problem, reply.text, reply.truncated)
    return replace(
        blank,
        text=reply.text,
        tokens=reply.tokens,
        truncated=reply.truncated,
        correct=verdict.correct,
        answer=stated(question.of.settings, reply.text),
        failed=verdict.failed,
    )
