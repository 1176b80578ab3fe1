"""The key of a judge's endpoint: from the environment only, and never in a text."""

from __future__ import annotations

import os

from pydantic import SecretStr

from raysgpo.config import JudgeConfig
from raysgpo.config.overrides import ConfigError


def read_key(config: JudgeConfig) -> SecretStr | None:
    """The key that the environment variable ``judge.api_key_env`` holds; None if none is wanted.

    ``str`` and ``repr`` of the result show stars; it pickles, so that it can travel to another process.

    Raises:
        ConfigError: the variable is not set, blank, or holds what no HTTP header can carry.
    """
    name = config.api_key_env
    if name is None:
        return None
    key = os.environ.get(name, "").strip()
    if not key:
        raise ConfigError(
            f"judge.api_key_env={name}: that environment variable is not set; export it, or set "
            "judge.api_key_env=null for a server that wants no key"
        )
    if not all("!" <= character <= "~" for character in key):
        raise ConfigError(
            f"judge.api_key_env={name}: the value of that environment variable has blanks or characters that "
            "no key has; export the key alone"
        )
    return SecretStr(key)
