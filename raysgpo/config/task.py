"""Settings of the problems."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import Field, PrivateAttr, field_validator, model_validator

from raysgpo.config.data_source import Columns, Sources
from raysgpo.config.sandbox import SandboxConfig
from raysgpo.config.section import OneOf, Section, Verbatim
from raysgpo.config.task_kinds import TASK_KINDS, TaskKind
from raysgpo.config.user_task import row_of
from raysgpo.user_code.code import UserCode, find, names_user_code


class TaskConfig(Section):
    """Where the problems come from and how answers are graded."""

    shorthand = "kind"

    kind: Annotated[str, OneOf(TASK_KINDS, "task", "FILE.py:CLASS", names_user_code)] = "arithmetic"
    """``arithmetic`` is generated from a seed; ``math`` reads rows of question, answer and solution; ``code`` has
    programs run against tests; ``verifier`` reads questions with two responses and rates them; ``arithmetic_verifier``
    is its generated twin. Or a class of your own, ``FILE.py:CLASS`` or ``package.module:CLASS``
    ([tasks.md](tasks.md#a-task-of-your-own)). ``task=...`` sets it too."""
    sha256: str | None = None
    """Of the source of a class of your own and of what it imports beside it; filled in when the run starts, and told if
    a resumed run finds another."""
    _code: UserCode | None = PrivateAttr(None)
    """Of a class of the user's, read when the settings are made; it goes wherever they go."""
    _row: TaskKind | None = PrivateAttr(None)
    """What that class says of itself."""
    path: Sources = None
    """Tasks of a file: what to train on. A file (JSONL, Parquet, CSV), a folder of them or of ``save_to_disk``, or
    ``owner/name`` on the Hugging Face hub; several, ``[a.jsonl,b.parquet]``; or ``{a.jsonl: 2, b.jsonl: 1}``, how often
    the rows of each stand in an epoch (docs/data.md)."""
    eval_path: Sources = None
    """Tasks of a file: the same for held-out problems, without weights; None holds out ``evaluation.prompts`` rows of
    ``path``."""
    columns: Columns = Field({})
    """Fields that are called otherwise in the data: ``{question: problem, answer: reward_model.ground_truth}``; of a
    list of columns the first that is there."""
    where: Annotated[str | None, Verbatim()] = None
    """Which rows of ``path`` are read: an expression on their fields, ``1997 <= year <= 2023``; None: all."""
    eval_where: Annotated[str | None, Verbatim()] = None
    """The same of ``eval_path``."""
    subset: str | None = None
    """The subset (configuration) of a data set that has several."""
    split: str = "train"
    """The split of ``path``, where it has several."""
    eval_split: str = "test"
    """The split of ``eval_path``, where it has several."""
    chat_template_kwargs: dict[str, Any] = Field({})
    """Arguments of the policy's chat template, such as ``{enable_thinking: false}``, for every prompt of a run."""
    system: str | None = None
    """A system turn before every problem, where the model's chat template has one; None: none."""
    instruction: str | None = None
    """A line behind every problem; None: the task's own, math asks for a box."""
    examples: int = Field(0, ge=0)
    """Worked examples before every problem, as earlier turns: so many training problems with their solutions, which
    are then not trained on."""
    prompts: int = Field(1024, ge=1)
    """Generated tasks: number of training prompts (one epoch)."""
    terms: tuple[int, ...] = (4,)
    """Generated tasks: numbers of terms in a chain; the difficulty dial, drawn uniformly."""
    digits: int = Field(1, ge=1, le=4)
    """Generated tasks: digits of a term."""
    operators: str = "+-"
    """Generated tasks: the operators a chain is drawn from, out of ``+-*``."""
    singles: float = Field(0.2, ge=0, le=1)
    """Verifier tasks: share of the training pairs with one right response that show one of the two alone."""
    pair_reward: Literal["difference", "ratings"] = "difference"
    """Verifier tasks: what the ratings of a pair with one right response are worth: the log-chance that their
    ``difference`` gives to the truth [paper], or the mean of those of the two ``ratings``."""
    max_prompt_tokens: int | None = Field(None, ge=1)
    """Problems whose prompt is longer, chat template included, are left out, held-out ones too [CoRPO's paper: 4096];
    None: those that leave no room for an answer."""
    seed: int = 0
    """Generated tasks, verifier: seed of the problems, apart from the run's, so that seeds share their problems."""
    format_reward: float = Field(0.0, ge=0.0)
    """Reward part ``format``: given when the response states a final answer in the asked form."""
    max_reasoning_steps: int = Field(64, ge=1)
    """math, code, verifier: where a response has more reasoning steps, neighbours are merged."""
    grade_deadline: float = Field(5.0, gt=0)
    """Seconds for grading one response; past it the grading has failed."""
    failed_grading: Literal["wrong", "drop"] = "wrong"
    """What becomes of a response whose grading raised or hung, beside being counted: ``wrong`` gives it the least
    correctness reward, ``drop`` drops its group."""

    test_reward: Literal["all", "share"] = "all"
    """code: what a program is worth: ``all``: 1 if it passes all its tests, else 0; ``share``: 1 if it does, else half
    the share that it passes, an ordinal reward in which every wrong program is below the threshold 0.5."""
    code_steps: Literal["functions", "blocks", "lines"] = "blocks"
    """code: what a step of a program is, for the judge, partial credit and guidance."""
    check_solutions: int = Field(500, ge=0)
    """code: the solutions of so many rows, the first ones, are run against their tests when the file is read; a row
    whose solution fails is left out and named."""
    sandbox: SandboxConfig = SandboxConfig()

    @property
    def graders(self) -> int:
        """Gradings at a time in a process that does nothing else: programs are run on all cores."""
        return (os.cpu_count() or 1) if self.row.sandboxed else 1

    @property
    def row(self) -> TaskKind:
        """What the table of tasks says of this one, or a class of the user's of itself."""
        return TASK_KINDS[self.kind] if self._row is None else self._row

    @property
    def code(self) -> UserCode | None:
        """Of a class of the user's; None of a task in the table."""
        return self._code

    @model_validator(mode="after")
    def _find(self) -> Self:
        if names_user_code(self.kind):
            try:
                self._code = find(self.kind)
                self._row = row_of(self._code)
            except ValueError as error:
                raise ValueError(f"task={error}") from None
        return self

    def sources(self, which: Literal["path", "eval_path"]) -> Mapping[str, float]:
        """What the setting names, each with its weight."""
        named = self.path if which == "path" else self.eval_path
        assert named is not None, f"task.{which} is asked for where it is not set"
        return named if isinstance(named, dict) else dict.fromkeys([named] if isinstance(named, str) else named, 1.0)

    @field_validator("terms", mode="before")
    @classmethod
    def _one_or_many(cls, terms: Any) -> Any:
        """``task.terms=4`` is the common case of ``task.terms=[4]``."""
        return (terms,) if isinstance(terms, int) else terms


def impossible_task(task: TaskConfig) -> str | None:
    """What cannot work among the settings of the task, with the fix."""
    if task.row.fields is not None and task.path is None:
        return f"task.kind={task.kind} needs task.path, rows of {_listed(task.row.fields)}"
    if isinstance(task.eval_path, dict):
        return "task.eval_path takes no weights, each of its rows is asked once: write it as a list, [a.jsonl,b.jsonl]"
    if set(task.operators) - set("+-*") or not task.operators:
        return f"task.operators={task.operators!r}: choose from + - *"
    if not task.terms or min(task.terms) < 2:
        return f"task.terms={list(task.terms)}: a chain needs 2 terms or more"
    return None


def _listed(names: Sequence[str]) -> str:
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last
