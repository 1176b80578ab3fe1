"""Going on with a run: the same prompts and seeds that an uninterrupted run would have seen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from raysgpo.config import Config
from raysgpo.config.overrides import ConfigError, Tree, load, resolve
from raysgpo.output.run_folder import RunFolder

FIXED = (
    "seed",
    "model",
    "prompts_per_step",
    "task",
    "curriculum",
    "sampling.group_size",
    "evaluation.prompts",
    "mode",
    "offline.groups",
    "offline.passes",
    "offline.keep",
    "offline.positive_advantage",
)
"""Settings that decide which prompts and seeds stand at which position."""


def resume_config(run: str, root: Path, overrides: list[str]) -> Config:
    """The saved settings of a run with ``overrides`` applied, ready to go on.

    Raises:
        ConfigError: there is no such run, or an override would change the data that it sees.
    """
    try:
        folder = RunFolder.existing(run, root)
    except ValueError as error:
        raise ConfigError(f"resume={error}") from None
    saved: Tree = load(folder.config)
    before = resolve(saved)
    after = resolve(saved, overrides=[*overrides, f"resume={folder.path}"])
    for key in FIXED:
        old, new = _at(before, key), _at(after, key)
        if old != new:
            raise ConfigError(
                f"{key}={new}: the run was started with {old}, and a resumed run must see the same data; "
                "leave it, or start a new run from the checkpoint with model=PATH"
            )
    return after


def _at(config: Config, key: str) -> Any:
    value: Any = config
    for name in key.split("."):
        value = getattr(value, name)
    return value
