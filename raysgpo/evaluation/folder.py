"""The folder of an evaluation, ``STORAGE/evaluations/NAME-NNN``.

``evaluation.json`` (the plan), ``answers.jsonl`` (every answer) and, once all are there, ``scores.json``.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from raysgpo.config.overrides import ConfigError
from raysgpo.evaluation.plan import Plan
from raysgpo.evaluation.scores import Scores
from raysgpo.output.run_folder import next_free
from raysgpo.output.whole_file import write_whole, writing

EVALUATIONS = "evaluations"


@dataclass(frozen=True, slots=True)
class EvaluationFolder:
    path: Path

    @classmethod
    def create(cls, root: Path, name: str, plan: Plan) -> EvaluationFolder:
        """The next free one under ``root``.

        Raises:
            WriteFailed: it cannot be written.
        """
        parent = root / EVALUATIONS
        with writing(parent, 0):
            parent.mkdir(parents=True, exist_ok=True)
            folder = cls(next_free(parent, name))
        write_whole(folder.plan_file, plan.model_dump_json(indent=1) + "\n")
        return folder

    @classmethod
    def existing(cls, text: str, root: Path) -> EvaluationFolder:
        """That of a path, or of a name under ``root``.

        Raises:
            ConfigError: there is none; the message lists those that there are.
        """
        for path in (Path(text).expanduser().absolute(), root / EVALUATIONS / text):
            if (path / "evaluation.json").is_file():
                return cls(path)
        known = sorted(file.parent.name for file in (root / EVALUATIONS).glob("*/evaluation.json"))
        there = f"there are {', '.join(known[-10:])}" if known else f"{root} holds none"
        raise ConfigError(f"--resume {text}: no evaluation there (its folder has an evaluation.json); {there}")

    @property
    def plan_file(self) -> Path:
        return self.path / "evaluation.json"

    @property
    def answers(self) -> Path:
        return self.path / "answers.jsonl"

    @property
    def scores(self) -> Path:
        return self.path / "scores.json"

    def plan(self) -> Plan:
        """Raises ConfigError for a file that is none."""
        try:
            return Plan.model_validate_json(self.plan_file.read_text(encoding="utf-8"))
        except (ValidationError, UnicodeDecodeError) as error:
            raise ConfigError(f"{self.plan_file}: no plan of an evaluation: {str(error).splitlines()[0]}") from None

    def write_scores(self, scores: Scores) -> None:
        """Raises WriteFailed."""
        write_whole(self.scores, json.dumps(scores, ensure_ascii=False, indent=1) + "\n")
