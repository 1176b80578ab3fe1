"""What can be missing, found out before anything heavy is imported and anything starts."""

from __future__ import annotations

from raysgpo.config import Config
from raysgpo.config.model_path import check_judge_path, check_model_path
from raysgpo.judging.credentials import read_key


def check_models(config: Config) -> None:
    """The policy and, where one is asked, the judge.

    Raises:
        ConfigError: a folder or a key is not there.
    """
    check_model_path(config.model)
    if config.needs_judge:
        _check_judge(config)


def _check_judge(config: Config) -> None:
    if config.judge.kind == "endpoint":
        read_key(config.judge)
    if config.judge.kind == "replicas":
        check_judge_path(config.judge.model or "")
