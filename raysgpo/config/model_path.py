"""Is that a model? What can be said of ``model=...`` without loading anything."""

from __future__ import annotations

from collections.abc import Sequence

from raysgpo.config.command_name import command_name
from raysgpo.config.overrides import ConfigError
from raysgpo.config.places import checked_address, is_address, user_path

TINY = "tiny"
"""The embedded policy (and the embedded judge), made by ``jobs/sft.py``."""
TINY_LONG = "tiny_long"
"""The embedded policy for long chains."""
SMOLLM2 = "smollm2"
"""SmolLM2-135M-Instruct, from a Python package: ``make model``."""
POLICIES = (TINY, TINY_LONG, SMOLLM2)


def check_model_path(model: str, setting: str = "model", embedded: Sequence[str] = POLICIES) -> None:
    """Accepts the words of ``embedded``, a Hugging Face folder, what can be a hub name (``owner/name``), or the address
    of a folder in an object store.

    Raises:
        ConfigError: a folder that is not there or holds no checkpoint.
    """
    if is_address(model):
        try:
            checked_address(model)
        except ValueError as error:
            raise ConfigError(f"{setting}={model}: {error}") from None
        return
    path = user_path(model)
    if (path / "manifest.json").is_file() and (path / "policy").is_dir():
        raise ConfigError(
            f"{setting}={model}: that is a checkpoint, from which its own run goes on; give a folder of the run's "
            f"exports/, or make one: {command_name('export')} {path.parent.parent} --step {path.name[5:].lstrip('0')}"
        )
    if path.is_dir() and not (path / "config.json").is_file():
        raise ConfigError(f"{setting}={model}: the folder has no config.json, so it is no Hugging Face checkpoint")
    looks_like_path = path.is_absolute() or model.startswith((".", "~")) or model.count("/") != 1
    if model not in embedded and not path.is_dir() and looks_like_path:
        words = " or ".join(embedded)
        raise ConfigError(f"{setting}={model}: no such folder; give a Hugging Face checkpoint, a hub name, or {words}")


def check_judge_path(model: str) -> None:
    """As ``check_model_path``, for ``judge.model``, which no object store may have."""
    if is_address(model):
        raise ConfigError(
            f"judge.model={model}: a judge is not read from an address: give a folder that all nodes share, or a hub "
            "name"
        )
    check_model_path(model, "judge.model", (TINY, SMOLLM2))
