"""The folder of a run: where it is, what lies in it, and who may write there.

``config.yaml``, ``metrics.jsonl``, ``evaluations.jsonl``, ``evaluation_answers.jsonl``, ``groups.jsonl``,
``checkpoints/``, ``tensorboard/``, ``train/`` (Ray Train's own files), ``logs``, ``curves.png`` and ``advantages.png``;
of a guided run also ``guidance.png``, of an offline run ``sampled.jsonl`` and ``judged.jsonl``. One process at a time
writes the JSONL files: the conductor, or the run while there is none.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path


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
