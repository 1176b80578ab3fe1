"""The settings of a command that has a section of its own, and no Config of a run."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import TypeVar

from omegaconf import OmegaConf
from pydantic import ValidationError

from raysgpo.config import Section
from raysgpo.config.overrides import UNREADABLE, ConfigError, dotted_keys, told

Own = TypeVar("Own", bound=Section)


def own_settings(kind: type[Own], words: Sequence[str]) -> Own:
    """The section that ``key=value`` words stand for.

    Raises:
        ConfigError: an unknown key, a wrong type or an impossible value; the message names the key.
    """
    for word in words:
        _check_key(word.partition("=")[0], list(dotted_keys(kind)))
    try:
        return kind.model_validate(OmegaConf.to_container(OmegaConf.from_dotlist(list(words))))
    except ValidationError as error:
        raise ConfigError("\n".join(told(detail) for detail in error.errors())) from None
    except UNREADABLE as error:
        raise ConfigError(f"{' '.join(words)}: not readable: {error}") from None


def _check_key(key: str, known: Sequence[str]) -> None:
    if key in known:
        return
    near = difflib.get_close_matches(key, known, n=1)
    hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}"
    raise ConfigError(f"{key}: unknown key; {hint}")
