"""What ``jobs/sft.py`` makes: a word to its settings, and settings to the folder of a model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from raysgpo.config import Config, Section
from raysgpo.config.overrides import ConfigError
from raysgpo.config.places import Storage, check_writable, storage_folder
from raysgpo.tiny.smollm2 import ensure_smollm2
from raysgpo.tiny.tiny_judge import TinyJudgeConfig, ensure_tiny_judge
from raysgpo.tiny.tiny_long import TinyLongConfig
from raysgpo.tiny.tiny_policy import TinyConfig, ensure_tiny_policy
from raysgpo.tiny.tiny_verifier import TinyVerifierConfig, ensure_tiny_verifier


class BothConfig(Section):
    """The tiny policy and the tiny judge as they are, and where they are cached."""

    model_cache: Storage = Config().model_cache


class PolicyConfig(TinyConfig, BothConfig):
    """The tiny policy and where it is cached."""


class LongConfig(TinyLongConfig, BothConfig):
    """The tiny policy for long chains and where it is cached."""


class JudgeConfig(TinyJudgeConfig, BothConfig):
    """The tiny judge and where it is cached."""


class VerifierConfig(TinyVerifierConfig, BothConfig):
    """The tiny verifier and where it is cached."""


class SmolConfig(BothConfig):
    """Where SmolLM2-135M-Instruct is written out."""


KINDS: dict[str, type[BothConfig]] = {
    "policy": PolicyConfig,
    "long": LongConfig,
    "judge": JudgeConfig,
    "verifier": VerifierConfig,
    "smollm2": SmolConfig,
}
"""Word to settings; without a word it is ``BothConfig``."""


def make(config: BothConfig) -> Iterator[Path]:
    """The folders of what the settings stand for, each once it is there; the last is what was asked for.

    Raises:
        ConfigError: the folder cannot be written to.
    """
    try:
        cache = storage_folder(config.model_cache, "model_cache")
        check_writable("model_cache", cache)
    except ValueError as error:
        raise ConfigError(str(error)) from None
    settings = config.model_dump(exclude={"model_cache"})
    if isinstance(config, TinyConfig):
        yield ensure_tiny_policy(cache, config=TinyConfig(**settings))
    elif isinstance(config, VerifierConfig):
        yield ensure_tiny_verifier(cache, config=TinyVerifierConfig(**settings))
    elif isinstance(config, SmolConfig):
        yield ensure_smollm2(cache)
    else:
        judge = TinyJudgeConfig(**settings)
        yield ensure_tiny_policy(cache, config=judge.policy)
        yield ensure_tiny_judge(cache, config=judge)
