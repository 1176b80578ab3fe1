"""The folder of a run: where it is, what lies in it, and who may write there.

``config.yaml``, ``metrics.jsonl``, ``evaluations.jsonl``, ``evaluation_answers.jsonl``, ``groups.jsonl``,
``checkpoints/``, ``tensorboard/``, ``train/`` (Ray Train's own files), ``logs``, ``curves.png`` and ``advantages.png``;
of a guided run also ``guidance.png``, of an offline run ``sampled.jsonl`` and ``judged.jsonl``. One process at a time
writes the JSONL files: the conductor, or the run while there is none.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class RunFolder:
    path: Path

    @classmethod
    def create(cls, root: Path, name: str) -> RunFolder:
        """The next free ``<root>/runs/<name>-NNN``. Two runs that start together get two folders."""
        runs = root / "runs"
        runs.mkdir(parents=True, exist_ok=True)
        taken = [
            int(match[1])
            for entry in runs.iterdir()
            if (match := re.fullmatch(rf"{re.escape(name)}-(\d+)", entry.name))
        ]
        number = max(taken, default=0)
        while True:
            number += 1
            folder = runs / f"{name}-{number:03d}"
            try:
                folder.mkdir()
            except FileExistsError:
                continue
            return cls(folder)

    @classmethod
    def existing(cls, text: str, root: Path) -> RunFolder:
        """The run named by a path, or by its name under ``root``.

        Raises:
            ValueError: there is no run; the message lists the runs that exist.
        """
        for folder in (Path(text).expanduser().absolute(), root / "runs" / text):
            if (folder / "config.yaml").is_file():
                return cls(folder)
        known = sorted(entry.name for entry in (root / "runs").glob("*/config.yaml") for entry in [entry.parent])
        listed = f"; runs under {root / 'runs'}: {', '.join(known[-10:])}" if known else f"; {root} holds no runs"
        raise ValueError(f"{text}: no run there (a run folder has a config.yaml){listed}")

    @property
    def config(self) -> Path:
        return self.path / "config.yaml"

    @property
    def metrics(self) -> Path:
        return self.path / "metrics.jsonl"

    @property
    def evaluations(self) -> Path:
        return self.path / "evaluations.jsonl"

    @property
    def answers(self) -> Path:
        return self.path / "evaluation_answers.jsonl"

    @property
    def groups(self) -> Path:
        return self.path / "groups.jsonl"

    @property
    def sampled(self) -> Path:
        """An offline run: the groups that it sampled."""
        return self.path / "sampled.jsonl"

    @property
    def judged(self) -> Path:
        """An offline run: the groups that it kept, with their advantages; what it trains on."""
        return self.path / "judged.jsonl"

    @property
    def judge_spent(self) -> Path:
        """Calls and tokens that judging has cost the run."""
        return self.path / "judge_spent.json"

    @property
    def issued(self) -> Path:
        """Groups of trained steps that no checkpoint covers yet; gone when the run ends."""
        return self.path / "issued"

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def tensorboard(self) -> Path:
        return self.path / "tensorboard"

    @property
    def curves(self) -> Path:
        return self.path / "curves.png"

    @property
    def advantages(self) -> Path:
        return self.path / "advantages.png"

    @property
    def guidance_curves(self) -> Path:
        return self.path / "guidance.png"


class JsonLines:
    """An append-only file of one JSON object a line, each line flushed whole."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("a", encoding="utf-8")

    def write(self, row: Row) -> None:
        self._file.write(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n")
        self._file.flush()

    def close(self) -> None:
        self._file.close()


def read_rows(path: Path) -> Iterator[Row]:
    """The rows of a JSONL file; a last line that was cut off by a crash is left out."""
    if not path.exists():
        return
    with path.open(encoding="utf-8") as file:
        for line in file:
            if line.endswith("\n"):
                yield json.loads(line)


def cut_rows(path: Path, step: int) -> None:
    """Keep only the rows of steps before ``step``: a resumed run writes the others again."""
    replace_rows(path, (row for row in read_rows(path) if row["step"] < step))


def write_whole(path: Path, text: str) -> None:
    """The file appears with all of the text or not at all; one that was there stays until then."""
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)


def replace_rows(path: Path, rows: Iterable[Row]) -> None:
    """The file with these rows alone: the old ones are there until all of the new ones are."""
    replacement = path.with_suffix(".cut")
    with replacement.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n" for row in rows)
    replacement.replace(path)
