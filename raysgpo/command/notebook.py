"""A run from Python: ``from raysgpo import Config, train``."""

from __future__ import annotations

from pathlib import Path

from raysgpo.command.checks import check_places
from raysgpo.config import Config
from raysgpo.config.overrides import ConfigError, resolve
from raysgpo.output.exit_status import DONE


def train(config: Config) -> Path:
    """Trains as the command does, with its checks and on its console, to the end; the run's folder.

    Raises:
        ConfigError: a setting must change; the message names it.
        RuntimeError: the run failed, which its console has told, or was stopped.
    """
    from raysgpo import run  # after the checks: this imports Ray

    config = resolve(config)
    check_places(config)
    if config.mode != "online":
        raise ConfigError(f"mode={config.mode}: train takes online runs")
    end = run.train(config)
    if end.error is not None:
        raise end.error
    if end.status != DONE or end.folder is None:
        raise RuntimeError("the run failed or was stopped: see what it said")
    return end.folder
