"""Runs as a report takes them: their records, the settings they began with, and how far an epoch is."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from raysgpo.config.overrides import ConfigError, Tree, load
from raysgpo.output.run_folder import RunFolder
from raysgpo.studies.comparison.plan import slug_of
from raysgpo.studies.comparison.results import Floats, RunRecords, read_run
from raysgpo.studies.reports.methods import Methods


@dataclass(frozen=True)
class Trained:
    """One run."""

    records: RunRecords
    settings: Tree
    """Of its ``config.yaml``, as they stand there."""
    folder: RunFolder

    @cached_property
    def prompts(self) -> int | None:
        """Training prompts of an epoch: as ``data.json`` counts them, or as many as were generated."""
        if self.folder.data.is_file():
            counts: dict[str, int] = json.loads(self.folder.data.read_text(encoding="utf-8"))["counts"]
            return counts["train"] or None
        prompts: int = self.settings["task"]["prompts"]
        return prompts

    @cached_property
    def _epochs_E(self) -> Floats | None:
        """Epochs done after each step."""
        if self.prompts is None:
            return None
        return np.cumsum(np.nan_to_num(self.records.values("groups/sampled"))) / self.prompts

    def epoch_at(self, steps_done: float) -> float | None:
        """Epochs that ``steps_done`` steps took."""
        if self._epochs_E is None or not self.records.steps:
            return None
        return float(np.interp(steps_done, [0, *self.records.x], [0.0, *self._epochs_E]))


@dataclass(frozen=True, slots=True)
class Training:
    """Runs by the method that they are of, in the order of the methods."""

    methods: dict[str, list[Trained]]

    @property
    def runs(self) -> list[Trained]:
        return [run for runs in self.methods.values() for run in runs]

    @property
    def settings(self) -> dict[str, Tree]:
        """Of each method that has a run, those of its first."""
        return {name: runs[0].settings for name, runs in self.methods.items() if runs}

    @property
    def records(self) -> list[RunRecords]:
        return [run.records for run in self.runs]


def read_comparison(folder: Path) -> Training:
    """The runs of a comparison by its variants; the finished ones, once every variant has one.

    Raises:
        ConfigError: none of them has begun.
    """
    names = list(json.loads((folder / "comparison.json").read_text(encoding="utf-8"))["variants"])
    slugs: list[str] = []
    for name in names:
        slugs.append(slug_of(name, slugs))
    methods = {name: _of_variant(folder / "runs", name, slug) for name, slug in zip(names, slugs, strict=True)}
    if not any(methods.values()):
        raise ConfigError(f"{folder}: none of its runs has begun: the same command again goes on with it")
    done = {name: [run for run in runs if run.records.finished] for name, runs in methods.items()}
    return Training(done if all(done.values()) else methods)


def read_runs(folders: Sequence[RunFolder], methods: Methods) -> Training:
    """Runs by the methods that name them; a method's runs are told apart by their seeds."""
    known = {folder.path.name: folder for folder in folders}
    return Training({name: [read_trained(known[label], name) for label in labels] for name, labels in methods.items()})


def read_trained(folder: RunFolder, method: str) -> Trained:
    settings = load(folder.config)
    return Trained(read_run(folder, method, settings["seed"]), settings, folder)


def _of_variant(runs: Path, name: str, slug: str) -> list[Trained]:
    found = [
        (int(match[1]), path)
        for path in runs.glob("*/")
        if (match := re.fullmatch(rf"{re.escape(slug)}-seed(\d+)", path.name))
    ]
    return [read_trained(RunFolder(path), name) for _, path in sorted(found) if (path / "config.yaml").is_file()]


def setting(settings: Tree, key: str) -> Any:
    """The value of a dotted key."""
    for part in key.split("."):
        settings = settings[part]
    return settings
