"""Settings of the problems."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from raysgpo.config.data_source import Columns, Sources
from raysgpo.config.section import OneOf, Section, Verbatim
from raysgpo.config.task_kinds import TASK_KINDS, TaskKind


class TaskConfig(Section):
    """Where the problems come from and how answers are graded."""

    kind: Annotated[str, OneOf(TASK_KINDS, "task")] = "arithmetic"
    """``arithmetic`` is generated from a seed; ``math`` reads rows of question, answer and solution;
    ``verifier`` reads questions with two responses and rates them; ``arithmetic_verifier`` is its generated twin."""
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
    seed: int = 0
    """Generated tasks, verifier: seed of the problems, apart from the run's, so that seeds share their problems."""
    format_reward: float = Field(0.0, ge=0.0)
    """Reward part ``format``: given when the response states a final answer in the asked form."""
    max_reasoning_steps: int = Field(64, ge=1)
    """math, verifier: where a response has more reasoning steps, neighbours are merged."""
    grade_deadline: float = Field(5.0, gt=0)
    """Seconds for grading one response; past it the grading has failed."""
    failed_grading: Literal["wrong", "drop"] = "wrong"
    """What becomes of a response whose grading raised or hung, beside being counted: ``wrong`` gives it the least
    correctness reward, ``drop`` drops its group."""

    @property
    def row(self) -> TaskKind:
        """What the table of tasks says of this one."""
        return TASK_KINDS[self.kind]

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
