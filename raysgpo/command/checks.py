"""What can be missing, found out before anything heavy is imported and anything starts."""

from __future__ import annotations

from pathlib import Path

from raysgpo.config import Config
from raysgpo.config.model_path import check_judge_path, check_model_path
from raysgpo.config.overrides import ConfigError
from raysgpo.config.places import check_writable
from raysgpo.config.trackers import missing_package
from raysgpo.judging.credentials import read_key
from raysgpo.stores.stored_run import check_store
from raysgpo.tracking.tracker import tracker_class


def check_places(config: Config) -> None:
    """Models, trackers and keys are there, and the run can be written down.

    Raises:
        ConfigError: one of them is missing.
    """
    check_models(config)
    check_trackers(config)
    try:
        check_writable("storage" if config.store is None else "scratch", config.storage_root)
        if config.resume is not None:
            check_writable("resume", Path(config.resume))
    except ValueError as error:
        raise ConfigError(str(error)) from None
    if config.store is not None:
        check_store(config.store)


def check_models(config: Config) -> None:
    """The policy and, where one is asked, the judge.

    Raises:
        ConfigError: a folder or a key is not there.
    """
    check_model_path(config.model)
    if config.needs_judge:
        _check_judge(config)


def check_trackers(config: Config) -> None:
    """Each tracker's package is there, and what it asks for.

    Raises:
        ConfigError: one of them is missing.
    """
    for name in config.records.trackers:
        reason = missing_package(name) or tracker_class(name).unready()
        if reason is not None:
            raise ConfigError(reason)


def _check_judge(config: Config) -> None:
    if config.judge.kind == "endpoint":
        read_key(config.judge)
    if config.judge.kind == "replicas":
        check_judge_path(config.judge.model or "")
