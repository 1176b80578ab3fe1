"""Servers that answer as they are told, and grading without processes, each of which takes seconds to start."""

from __future__ import annotations

import pytest

from raysgpo.tasks.grader import InlineGrader
from raysgpo.tasks.math_grading import MathGrading
from tests.judging.conftest import short_pauses

__all__ = ["short_pauses"]


@pytest.fixture
def inline_grading(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("raysgpo.evaluation.grading._grader", lambda runs_programs: InlineGrader(MathGrading()))


@pytest.fixture(autouse=True)
def no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
