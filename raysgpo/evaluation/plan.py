"""What an evaluation is of: ``evaluation.json``, from which it goes on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import PurePath
from typing import Annotated

from pydantic import Field

from raysgpo.config import JudgeConfig, Section
from raysgpo.config.overrides import ConfigError
from raysgpo.config.question_set import QuestionSetConfig
from raysgpo.tasks.question_set import QuestionSet


class EvaluatedModel(Section):
    label: str
    """What it is called in answers, scores and reports."""
    model: str
    """As ``model`` of a run, or its name on the server."""


class PlannedSet(QuestionSetConfig):
    """A set, and what its file was like when the evaluation began."""

    questions: int
    left_out: tuple[str, ...] = ()
    """Ids of rows whose answer no response can be compared with."""
    sha256: str
    """Of all rows of its file."""

    @classmethod
    def of(cls, one: QuestionSet) -> PlannedSet:
        settings = one.settings.model_dump(exclude={"bring"})
        return cls(**settings, questions=len(one.problems), left_out=one.left_out, sha256=one.sha256)


class Plan(Section):
    """All that decides what is asked, and of whom."""

    models: Annotated[tuple[EvaluatedModel, ...], Field(min_length=1)]
    sets: Annotated[tuple[PlannedSet, ...], Field(min_length=1)]
    seed: int = 0
    server: JudgeConfig | None = None
    """Where the models are served, asked by the judge's client; None: rollout replicas are started."""
    examiner: JudgeConfig | None = None
    words: tuple[str, ...] = ()
    """Settings of a run that hold here too, such as ``rollout.gpus=1``."""


def labelled(models: Sequence[str], labels: Sequence[str] = ()) -> tuple[EvaluatedModel, ...]:
    """Each model under its label; without labels under the end of its path that tells it apart from the others.

    Raises:
        ConfigError: labels that are not one for each model, or two that are the same.
    """
    double = [model for model, count in Counter(models).items() if count > 1]
    if double:
        raise ConfigError(f"{double[0]}: the model is named twice")
    if labels and (len(labels) != len(models) or len(set(labels)) != len(labels)):
        raise ConfigError(f"--labels {','.join(labels)}: give each of the {len(models)} models one of its own")
    return tuple(
        EvaluatedModel(label=label, model=model) for label, model in zip(labels or _ends(models), models, strict=True)
    )


def _ends(models: Sequence[str]) -> list[str]:
    """The shortest ends of the paths that are all distinct."""
    parts = [PurePath(model.rstrip("/")).parts or (model,) for model in models]
    for depth in range(1, max(map(len, parts)) + 1):
        names = ["/".join(part[-depth:]) for part in parts]
        if len(set(names)) == len(names):
            return names
    return list(models)


def check_unchanged(planned: Sequence[PlannedSet], sets: Sequence[QuestionSet]) -> None:
    """Refuse to go on with other questions than the evaluation began with.

    Raises:
        ConfigError: the rows of a set have changed.
    """
    for before, now in zip(planned, sets, strict=True):
        if before.sha256 != now.sha256:
            raise ConfigError(
                f"{before.name}: {before.path} has changed since the evaluation began (sha256 {before.sha256[:8]}, now "
                f"{now.sha256[:8]}): put the file back, or begin a new evaluation"
            )
