"""The description of a set of questions that models are evaluated on: where its rows are, and how it is asked."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from raysgpo.config.data_source import DATA_ENDINGS, Columns
from raysgpo.config.places import user_path
from raysgpo.config.section import Section, Verbatim


class QuestionSetConfig(Section):
    """One set of questions with settings of its own."""

    name: str = Field(pattern=r"^[A-Za-z0-9][\w.-]*$")
    """What the set is called in records and metrics."""
    path: str | None = None
    """Its rows, in any form that ``task.path`` takes; None of a set whose rows a user must bring."""
    bring: str | None = None
    """The form of rows that do not come along."""
    grader: Literal["rules", "tests", "examiner"] = "rules"
    """``rules`` compare final answers; ``tests`` run programs; an ``examiner`` decides what no rule calls equal."""
    columns: Columns = Field({})
    """Fields that are called otherwise in the rows, as ``task.columns``."""
    where: Annotated[str | None, Verbatim()] = None
    """Which rows are asked, as ``task.where``; None: all."""
    limit: int | None = Field(None, ge=1)
    """Only the first so many rows; None: all."""
    options: tuple[str, ...] = ()
    """Columns of the options of a multiple choice, the right one first; they are shown in the order of a hash."""
    labels: tuple[str, ...] = ()
    """Columns by whose values the accuracy is told apart."""
    samples: int = Field(1, ge=1)
    """Answers to each question."""
    k: tuple[Annotated[int, Field(ge=1)], ...] | None = None
    """The k of pass@k and maj@k; None: 1, 2, 4, ... and ``samples``."""
    temperature: float = Field(0.0, ge=0)
    """0 is greedy."""
    top_p: float = Field(1.0, gt=0, le=1)
    """1: the full distribution."""
    top_k: int = Field(0, ge=0)
    """0: the full vocabulary."""
    max_tokens: int = Field(32_768, ge=1)
    """Longest answer, as far as the model's context leaves room for it behind the question."""
    system: str | None = None
    """A system turn before every question."""
    instruction: str | None = None
    """A line behind every question; None: the grader's own, which asks for a box, or for a fence."""
    chat_template_kwargs: dict[str, Any] = Field({})
    """Arguments of the model's chat template, such as ``{enable_thinking: false}``."""

    @property
    def runs_programs(self) -> bool:
        return self.grader == "tests"

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.k is not None and max(self.k, default=1) > self.samples:
            raise ValueError(
                f"{self.name}.k={list(self.k)}: a k above the samples, {self.name}.samples={self.samples}: raise the "
                "samples, or lower k"
            )
        if self.samples > 1 and self.temperature == 0:
            raise ValueError(
                f"{self.name}.samples={self.samples} with {self.name}.temperature=0 is one answer, many times: set a "
                "temperature, or samples=1"
            )
        if len(self.options) == 1 or (self.options and self.grader != "rules"):
            raise ValueError(
                f"{self.name}.options={list(self.options)}: name two columns or more, of a set whose grader is rules"
            )
        return self


def names_rows(word: str) -> bool:
    """Whether the word is a file of rows."""
    return word.removesuffix(".gz").endswith(DATA_ENDINGS)


def whole_word(word: str) -> str:
    """The word for a set with its file by its whole path: ``aime25=rows.jsonl`` is read the same from any folder."""
    name, equals, file = word.rpartition("=")
    return f"{name}{equals}{user_path(file).absolute()}" if names_rows(file) or file.endswith(".toml") else word
