"""The settings of a judge's measurement: those of a run, as far as they matter here."""

from __future__ import annotations

from collections.abc import Sequence

from raysgpo.config import Config
from raysgpo.config.overrides import ConfigError, resolve

USED_KEYS = ("model_cache", "task.terms", "task.digits", "task.operators")
"""Settings that matter here beside those of the judge."""


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
