"""The policies that come with raysgpo, by the word that stands for them in ``model=...``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from raysgpo.config.model_path import TINY, TINY_LONG
from raysgpo.tiny.tiny_long import TinyLongConfig
from raysgpo.tiny.tiny_policy import TinyConfig, ensure_tiny_policy

SETTINGS: Mapping[str, TinyConfig] = {TINY: TinyConfig(), TINY_LONG: TinyLongConfig()}


def embedded_policy(model: str, storage_root: Path, report: Callable[[str], None] = print) -> Path | None:
    """The folder of the policy that the word stands for, made now if it is not there; None for any other model."""
    if model not in SETTINGS:
        return None
    return ensure_tiny_policy(storage_root, report=report, config=SETTINGS[model])
