"""Is that a model? What can be said of ``model=...`` without loading anything."""

from __future__ import annotations

from pathlib import Path

from raysgpo.overrides import ConfigError

TINY = "tiny"
"""The embedded policy (and the embedded judge), made by ``jobs/sft.py``."""


def check_model_path(model: str, setting: str = "model") -> None:
    """Accepts ``tiny``, a Hugging Face folder, or what can be a hub name (``owner/name``).

    Raises:
        ConfigError: a folder that is not there or holds no checkpoint.
    """
    path = Path(model).expanduser()
    if path.is_dir() and not (path / "config.json").is_file():
        raise ConfigError(f"{setting}={model}: the folder has no config.json, so it is no Hugging Face checkpoint")
    looks_like_path = path.is_absolute() or model.startswith((".", "~")) or model.count("/") != 1
    if model != TINY and not path.is_dir() and looks_like_path:
        raise ConfigError(f"{setting}={model}: no such folder; give a Hugging Face checkpoint, a hub name, or {TINY}")
