"""The folder of a run: where it is, what lies in it, and who may write there.

``config.yaml``, ``data.json`` (of a task of a file), ``metrics.jsonl``, ``evaluations.jsonl``,
``evaluation_answers.jsonl``, ``evaluation_set_answers.jsonl`` (of ``evaluation.sets``), ``groups.jsonl``,
``checkpoints/``, ``exports/``, ``tensorboard/``, ``trackers/``, ``train/`` (Ray Train's own files), ``logs``,
``curves.png``, ``success.png`` and ``advantages.png``; of a guided run also ``guidance.png``, of an offline run
``sampled.jsonl`` and ``judged.jsonl``; in ``records-before-NNN`` what a run recorded that had no checkpoint and began
anew. One run at a time works in it (:mod:`raysgpo.output.run_lock`), and one
of its processes writes the JSONL files: the conductor, or the run while there is none.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from raysgpo.config import Config
from raysgpo.output.whole_file import writing


@dataclass(frozen=True, slots=True)
class RunFolder:
    path: Path
    store: str | None = None
    """Its address in an object store, where it is kept there; ``path`` is where it is put together then, on each node's
    own disk."""

    @classmethod
    def create(cls, root: Path, name: str, after: int = 0) -> RunFolder:
        """The next free ``<root>/runs/<name>-NNN``. Two runs that start together get two folders.

        ``after``: numbers up to there are taken, though no folder here has them.
        """
        runs = root / "runs"
        with writing(runs, 0):
            runs.mkdir(parents=True, exist_ok=True)
            return cls(next_free(runs, name, after))

    @classmethod
    def resumed(cls, config: Config) -> RunFolder:
        """That of ``config.resume``."""
        assert config.resume is not None, "it is a new run"
        return cls.at(Path(config.resume), config.store)

    @classmethod
    def at(cls, path: Path, store: str | None) -> RunFolder:
        """``store``: the address under which runs are numbered, if they are kept in an object store."""
        return cls(path, None if store is None else f"{store}/runs/{path.name}")

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

    @classmethod
    def newest(cls, root: Path, name: str) -> RunFolder | None:
        """The run ``<name>-NNN`` of the highest number under ``root``; None if none has begun."""
        runs = root / "runs"
        folders = [cls(_numbered(runs, name, number)) for number in sorted(_numbers(runs, name), reverse=True)]
        return next((folder for folder in folders if folder.config.is_file()), None)

    def set_aside(self, files: Sequence[Path]) -> Path | None:
        """Moves those that hold anything into the next free ``records-before-NNN``; None if none does."""
        full = [file for file in files if file.is_file() and file.stat().st_size]
        if not full:
            return None
        with writing(self.path, 0):
            aside = next_free(self.path, "records-before")
            for file in full:
                file.rename(aside / file.name)
        return aside

    def move_aside(self, name: str) -> Path | None:
        """All but hidden files, such as its lock, into the next free folder ``name-NNN``; None if there is nothing."""
        full = [
            entry
            for entry in self.path.iterdir()
            if not entry.name.startswith(".") and not re.fullmatch(rf"{name}-\d+", entry.name)
        ]
        if not full:
            return None
        with writing(self.path, 0):
            aside = next_free(self.path, name)
            for entry in full:
                entry.rename(aside / entry.name)
        return aside

    @property
    def config(self) -> Path:
        return self.path / "config.yaml"

    @property
    def data(self) -> Path:
        """What was read of the data, and what became of each row that is not trained on."""
        return self.path / "data.json"

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
    def set_answers(self) -> Path:
        """Those of ``evaluation.sets``."""
        return self.path / "evaluation_set_answers.jsonl"

    @property
    def groups(self) -> Path:
        return self.path / "groups.jsonl"

    @property
    def records(self) -> tuple[Path, ...]:
        """What grows by a row at a time while an online run goes on."""
        return self.metrics, self.groups, self.evaluations, self.answers, self.set_answers

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

    def export(self, step: int) -> Path:
        """The policy of ``step`` optimizer steps as a Hugging Face folder."""
        return self.path / "exports" / f"step-{step:06d}"

    def remove_exports_from(self, step: int) -> None:
        """Those of ``step`` and later: the policy becomes another one there."""
        for folder in (self.path / "exports").glob("step-*"):
            if int(folder.name.removeprefix("step-")) >= step:
                shutil.rmtree(folder)

    @property
    def tensorboard(self) -> Path:
        return self.path / "tensorboard"

    @property
    def trackers(self) -> Path:
        """What other trackers keep here, and what the run is called there."""
        return self.path / "trackers"

    @property
    def curves(self) -> Path:
        return self.path / "curves.png"

    @property
    def advantages(self) -> Path:
        return self.path / "advantages.png"

    @property
    def success(self) -> Path:
        return self.path / "success.png"

    @property
    def guidance_curves(self) -> Path:
        return self.path / "guidance.png"


def next_free(parent: Path, name: str, after: int = 0) -> Path:
    """A new folder ``name-NNN``, numbered after the highest there is."""
    number = max([after, *_numbers(parent, name)])
    while True:
        number += 1
        folder = _numbered(parent, name, number)
        try:
            folder.mkdir()
        except FileExistsError:
            continue
        return folder


def _numbered(parent: Path, name: str, number: int) -> Path:
    return parent / f"{name}-{number:03d}"


def _numbers(parent: Path, name: str) -> list[int]:
    """Those of the folders ``name-NNN``."""
    return numbers_of(name, (entry.name for entry in parent.iterdir()) if parent.is_dir() else ())


def numbers_of(name: str, folders: Iterable[str]) -> list[int]:
    """Those of folders called ``name-NNN``."""
    matches = (re.fullmatch(rf"{re.escape(name)}-(\d+)", folder) for folder in folders)
    return [int(match[1]) for match in matches if match]
