"""The judges that are measured, each with its settings: those of a run, as far as they matter here."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from raysgpo.config import Config
from raysgpo.config.overrides import ConfigError, resolve
from raysgpo.studies.comparison.variants import spelled_out

USED_KEYS = ("model_cache", "task.terms", "task.digits", "task.operators")
"""Settings that matter here beside those of the judge."""
EXAMPLE = "in text: judge.structured=false"


@dataclass(frozen=True, slots=True)
class NamedJudge:
    name: str
    config: Config


def named_judges(variants: Sequence[str], words: Sequence[str]) -> list[NamedJudge]:
    """One for each ``[NAME:] judge.key=value ...`` beside the ``words`` that hold for all; without any, that of the
    words.

    Raises:
        ConfigError: a setting that is none or has no effect here, no judge, or two that do not differ.
    """
    if not variants:
        config = measured_settings(words)
        return [NamedJudge(title(config), config)]
    judges = [_spelled_out(text, words) for text in variants]
    for one, other in itertools.combinations(judges, 2):
        if one.name == other.name:
            raise ConfigError(f"two judges are called {one.name!r}: give one of them another name")
        if one.config.judge == other.config.judge:
            raise ConfigError(f"judges {one.name!r} and {other.name!r} have the same settings: leave out one")
    return judges


def _spelled_out(text: str, words: Sequence[str]) -> NamedJudge:
    wording = spelled_out(text, "--judge", EXAMPLE)
    for key in wording.keys:
        if key.partition(".")[0] != "judge":
            raise ConfigError(
                f"--judge {text!r}: {key} is no setting of a judge; put it beside the data, for all of them"
            )
        if any(word.partition("=")[0] == key for word in words):
            raise ConfigError(f"--judge {text!r}: {key} is also set for all judges; leave out one of the two")
    return NamedJudge(wording.name, measured_settings([*words, *wording.words]))


def title(config: Config) -> str:
    """``judge=endpoint o4-mini``, of a judge that has no name."""
    judge = config.judge
    return f"judge={judge.kind}" + (f" {judge.model}" if judge.model and judge.kind != "rule" else "")


def measured_settings(words: Sequence[str]) -> Config:
    """The settings that ``key=value`` words stand for; the judge is that of ``judge=tiny`` unless they name another.

    Raises:
        ConfigError: a setting that is none or has no effect here, or no judge.
    """
    keys = [word.partition("=")[0] for word in words]
    named = "judge" in keys or "judge.kind" in keys
    config = resolve(*([] if named else [{"judge": "tiny"}]), overrides=words)
    for key in keys:
        if key.partition(".")[0] != "judge" and key not in USED_KEYS:
            raise ConfigError(f"{key}: has no effect on a judge's measurement; set judge.*, {', '.join(USED_KEYS)}")
    if config.judge.kind == "none":
        raise ConfigError("judge=none judges nothing: choose tiny, rule, replicas or endpoint")
    return config
