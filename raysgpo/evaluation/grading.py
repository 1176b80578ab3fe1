"""Whether an answer is right: by the set's rules, behind a deadline, and where these cannot say by an examiner."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from raysgpo.config import TaskConfig
from raysgpo.config.question_set import QuestionSetConfig
from raysgpo.evaluation.examiner import Examiner, ExaminerFailed
from raysgpo.records import Problem
from raysgpo.tasks.code_grading import CodeGrading
from raysgpo.tasks.final_answer import final_answers
from raysgpo.tasks.grader import DeadlineGrader
from raysgpo.tasks.question_set import QuestionSet


@dataclass(frozen=True, slots=True)
class Verdict:
    correct: bool | None
    """None where the examiner could not say."""
    failed: str | None = None
    """Why not, or why the rules failed, which counts as wrong."""


class Grading:
    """Grades the answers to several sets; usable from one event loop."""

    def __init__(self, sets: Iterable[QuestionSetConfig], examiner: Examiner | None = None) -> None:
        self._examiner = examiner
        self._graders = {runs: _grader(runs) for runs in {one.runs_programs for one in sets}}
        """By whether they run programs."""

    async def verdict(self, of: QuestionSet, problem: Problem, text: str, truncated: bool) -> Verdict:
        """What a text is worth. An answer that was cut off has no examiner: it has not said all."""
        grade = await self._graders[of.settings.runs_programs].grade(problem, text)
        failed = None if grade.failure is None else f"grading, {grade.failure}: {grade.why}"
        if grade.correct or truncated or of.settings.grader != "examiner":
            return Verdict(grade.correct, failed)
        assert self._examiner is not None, f"{of.name} is graded by an examiner, and there is none"
        try:
            return Verdict(await self._examiner.agrees(problem, text))
        except ExaminerFailed as error:
            return Verdict(None, str(error))

    def close(self) -> None:
        for grader in self._graders.values():
            grader.close()


def stated(of: QuestionSetConfig, text: str) -> str | None:
    """The final answer that a text states; None of a program."""
    if of.runs_programs:
        return None
    found = final_answers(text)
    return found[0] if found else None


def _grader(runs_programs: bool) -> DeadlineGrader:
    from raysgpo.tasks.math_grading import MathGrading  # math-verify, which takes as long to import as Ray

    task = TaskConfig(kind="code" if runs_programs else "math", path="unread")
    rules = CodeGrading(task.sandbox) if runs_programs else MathGrading()
    return DeadlineGrader(rules, task.grade_deadline, task.graders)
