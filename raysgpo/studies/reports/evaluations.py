"""What evaluations left behind: ``scores.json`` and ``answers.jsonl`` of their folders."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from raysgpo.config.overrides import ConfigError
from raysgpo.output.json_lines import read_rows
from raysgpo.studies.reports.scores import OVERALL, Measured

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Solving:
    """Of one model on one set: question to whether each of its samples is right, in the order of the samples."""

    right: dict[str, list[bool]] = field(default_factory=dict)

    @property
    def samples(self) -> int:
        """How many every question has."""
        return min((len(right) for right in self.right.values()), default=0)

    def within(self, attempts: int) -> set[str]:
        """The questions that one of the first ``attempts`` samples solves."""
        return {question for question, right in self.right.items() if any(right[:attempts])}


@dataclass(frozen=True, slots=True)
class Evaluated:
    """Everything that was measured of models, by their labels, out of one or several folders."""

    scores: dict[str, Json]
    """As ``scores.json`` has them."""
    solving: dict[str, dict[str, Solving]]
    """Label to set to what was answered."""

    @property
    def labels(self) -> list[str]:
        return list(self.scores)

    def sets(self, label: str) -> list[str]:
        return [name for name in self.scores[label] if name != OVERALL]

    def columns(self, label: str) -> dict[str, Measured]:
        """By set the mean over all samples of all questions, and the unweighted mean over sets."""
        score = self.scores[label]
        found = {name: _measured(score[name]["avg"]) for name in self.sets(label)}
        return found | ({OVERALL: Measured(score[OVERALL])} if score.get(OVERALL) is not None else {})

    def of_labels(self, label: str, name: str, field: str) -> dict[str, Measured]:
        """On one set: accuracy by a field of its questions, as ``level 1`` to ``level 5``."""
        by_label: Json = self.scores[label].get(name, {}).get("by_label", {})
        found = {key.partition("=")[2]: value for key, value in by_label.items() if key.partition("=")[0] == field}
        return {f"{field} {value}": _measured(found[value]) for value in sorted(found, key=_by_number)}

    def fields(self) -> dict[str, list[str]]:
        """Set to the fields by which its questions are told apart."""
        found: dict[str, list[str]] = {}
        for label in self.labels:
            for name in self.sets(label):
                keys = dict.fromkeys(key.partition("=")[0] for key in self.scores[label][name].get("by_label", {}))
                found[name] = list(dict.fromkeys([*found.get(name, []), *keys]))
        return {name: fields for name, fields in found.items() if fields}


def read_evaluations(folders: Sequence[Path]) -> Evaluated:
    """Every model of every folder.

    Raises:
        ConfigError: one has not come to its end, or two have a model of one label.
    """
    scores: dict[str, Json] = {}
    solving: dict[str, dict[str, Solving]] = {}
    origin: dict[str, Path] = {}
    for folder in folders:
        for label, score in _scores(folder).items():
            if label in scores:
                raise ConfigError(
                    f"{folder} and {origin[label]} both have a model called {label!r}: a report tells models apart by "
                    "their labels; evaluate one of them under another"
                )
            scores[label], origin[label] = score, folder
        for row in read_rows(folder / "answers.jsonl"):
            sets = solving.setdefault(row["model"], {})
            right = sets.setdefault(row["set"], Solving()).right.setdefault(row["id"], [])
            right += [False] * (row["sample"] + 1 - len(right))
            right[row["sample"]] = bool(row["correct"])
    return Evaluated(scores, solving)


def _scores(folder: Path) -> dict[str, Json]:
    try:
        scores: dict[str, Json] = json.loads((folder / "scores.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{folder}: it has no scores.json yet: the same command again ends the evaluation") from None
    except ValueError as error:
        raise ConfigError(f"{folder / 'scores.json'}: not readable ({error})") from None
    return scores


def _measured(value: Any) -> Measured:
    """Of a number, or of a number with its interval."""
    if isinstance(value, dict):
        return Measured(value["value"], value.get("low"), value.get("high"))
    return Measured(float(value))


def _by_number(text: str) -> tuple[float, str]:
    try:
        return float(text), text
    except ValueError:
        return float("inf"), text
