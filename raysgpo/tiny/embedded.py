"""The policies that come with raysgpo, by the word that stands for them in ``model=...``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from pkgutil import resolve_name

from raysgpo.config import TaskConfig
from raysgpo.config.model_path import SMOLLM2, TINY, TINY_LONG
from raysgpo.tiny.smollm2 import ensure_smollm2
from raysgpo.tiny.tiny_long import TinyLongConfig
from raysgpo.tiny.tiny_policy import TinyConfig, ensure_tiny_policy

SETTINGS: Mapping[str, TinyConfig] = {TINY: TinyConfig(), TINY_LONG: TinyLongConfig()}


def embedded_policy(model: str, task: TaskConfig, cache: Path, report: Callable[[str], None] = print) -> Path | None:
    """The folder of the policy that the word stands for, made now if it is not there; None for any other model.

    A task may have a tiny policy of its own.
    """
    if model == TINY and task.row.tiny is not None:
        make: Callable[..., Path] = resolve_name(task.row.tiny)
        return make(cache, report=report)
    if model == SMOLLM2:
        return ensure_smollm2(cache, report)
    if model not in SETTINGS:
        return None
    return ensure_tiny_policy(cache, report=report, config=SETTINGS[model])
