"""What a comparison runs: the variants, the seeds, and that nothing else differs."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from raysgpo.config import Config, Section
from raysgpo.config.overrides import ConfigError, Tree, resolve
from raysgpo.studies.comparison.variants import OWN_KEYS, Listed, Wording, worded

MISSING = "nothing"
"""Stands for the value of a setting that the other side does not have."""


@dataclass(frozen=True, slots=True)
class Variant:
    name: str
    """The varied settings as they were typed, such as ``algorithm=sgpo judge.votes=4``, or what they were called."""
    slug: str
    """The name as a part of file names and addresses, unique in its comparison."""
    config: Config
    """All settings, less the seed and the run's name."""


@dataclass(frozen=True, slots=True)
class PlannedRun:
    variant: Variant
    seed: int
    config: Config

    @property
    def slug(self) -> str:
        return self.config.name


@dataclass(frozen=True, slots=True)
class Plan:
    folder: Path
    """Everything that the comparison writes lies here."""
    variants: tuple[Variant, ...]
    """The others are compared with the first."""
    seeds: tuple[int, ...]

    @property
    def runs(self) -> list[PlannedRun]:
        """Seed after seed, so that a comparison that is cut short has whole seeds."""
        return [_planned(variant, seed) for seed in self.seeds for variant in self.variants]

    def run_path(self, run: PlannedRun) -> Path:
        return self.folder / "runs" / run.slug

    @property
    def differing(self) -> dict[str, list[Any]]:
        """Each setting in which variants differ, with its value in each of them."""
        flat = [flattened(variant.config) for variant in self.variants]
        keys = {key: None for settings in flat for key in settings}
        table = {key: [settings.get(key, MISSING) for settings in flat] for key in keys}
        return {key: values for key, values in table.items() if any(value != values[0] for value in values)}

    def manifest(self) -> dict[str, Any]:
        """What ``comparison.json`` says: by it the same comparison is known again. Seeds may be added."""
        return {"variants": {variant.name: variant.config.model_dump(mode="json") for variant in self.variants}}


def make_plan(
    layers: Sequence[Config | Tree],
    overrides: Sequence[str],
    vary: Sequence[str],
    seeds: str,
    name: str | None,
    variants: Sequence[str] = (),
    listed: Listed | None = None,
) -> Plan:
    """Every variant's settings, resolved and checked.

    Args:
        layers: what ``resolve`` starts from, such as a recipe's Config.
        overrides: ``key=value`` words that hold for all variants.
        vary: ``key=a,b,c`` words; of several, every combination is a variant.
        seeds: such as ``0,1,2``.
        name: of the folder; None makes it from the recipe's name and the sweep's, or the varied keys.
        variants: further ones, ``[NAME:] key=value ...`` each.
        listed: those of a sweep, which come first.

    Raises:
        ConfigError: unknown keys or values, or variants that do not differ.
    """
    wordings = worded(vary, variants, overrides, listed)
    seeds_tuple = _seeds(seeds)
    made: list[Variant] = []
    for wording in wordings:
        config = resolve(*layers, overrides=[*overrides, *wording.words])
        made.append(Variant(wording.name, slug_of(wording.name, [variant.slug for variant in made]), config))
    _check_difference(made)
    if all(variant.config.evaluation.every == 0 for variant in made):
        raise ConfigError(
            "evaluation.every=0: a comparison needs held-out evaluations; set evaluation.every to 1 or more"
        )
    first = made[0].config
    if first.store is not None:
        raise ConfigError(
            f"storage={first.store}: a comparison is kept in a folder: set storage to one that all nodes share"
        )
    folder = name or "-".join([first.name, *([listed.name] if listed is not None else _varied(wordings))])
    if _safe(folder) != folder:
        raise ConfigError(f"--name {folder}: use letters, digits, '.', '_' and '-' alone, such as {_safe(folder)}")
    return Plan(first.storage_root / "comparisons" / folder, tuple(made), seeds_tuple)


def _varied(wordings: Sequence[Wording]) -> list[str]:
    """The varied keys as parts of a folder's name."""
    keys = dict.fromkeys(key for wording in wordings for key in wording.keys)
    return [key.replace(".", "-") for key in keys]


def flattened(section: Section) -> dict[str, Any]:
    """Dotted key to plain value."""

    def walk(tree: dict[str, Any], prefix: str) -> dict[str, Any]:
        flat: dict[str, Any] = {}
        for name, value in tree.items():
            flat |= walk(value, f"{prefix}{name}.") if isinstance(value, dict) and value else {prefix + name: value}
        return flat

    return walk(section.model_dump(mode="json"), "")


def effective(config: Config) -> dict[str, Any]:
    """The settings that a run's result depends on: those of what is off, such as the judge, are none of them."""
    idle: list[str] = [] if config.needs_judge else ["judge.", "algorithm.partial_credit."]
    if not config.judge.spoiled:
        idle.append("judge.spoiled_as")
    if not config.guidance.on:
        idle.append("guidance.")
    if not config.algorithm.compared_with.threshold:
        idle.append("algorithm.r_min_correct")
    settings = {key: value for key, value in flattened(config).items() if key not in (*OWN_KEYS, "seed")}
    return {key: value for key, value in settings.items() if not key.startswith(tuple(idle))}


def _seeds(text: str) -> tuple[int, ...]:
    words = [word.strip() for word in text.split(",")]
    if not all(word.isdecimal() for word in words):
        raise ConfigError(f"--seeds {text}: expected whole numbers separated by commas, such as 0,1,2")
    seeds = tuple(int(word) for word in words)
    if len(set(seeds)) < len(seeds):
        raise ConfigError(f"--seeds {text}: a seed stands there twice, and would count twice")
    return seeds


def _check_difference(variants: Sequence[Variant]) -> None:
    for one, other in itertools.combinations(variants, 2):
        if effective(one.config) == effective(other.config):
            why = "" if one.config.needs_judge else " (neither gives partial credit, so no judge is asked)"
            raise ConfigError(
                f"variants {one.name!r} and {other.name!r} differ in nothing that a run depends on{why}: "
                "leave out one, or vary another setting"
            )
        if one.name == other.name:
            raise ConfigError(f"two variants are called {one.name!r}: give one of them another name")


def _planned(variant: Variant, seed: int) -> PlannedRun:
    config = variant.config.model_copy(update={"seed": seed, "name": f"{variant.slug}-seed{seed}"})
    return PlannedRun(variant, seed, config)


def slug_of(name: str, taken: Sequence[str]) -> str:
    """A variant's name as a part of file names. ``taken``: the slugs of the variants before it."""
    slug = _safe(name)
    numbered = (f"{slug}-{number}" for number in itertools.count(2))
    return next(each for each in itertools.chain([slug], numbered) if each not in taken)


def _safe(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.") or "comparison"
