"""The words that say what variants differ in: ``--vary key=a,b`` and ``--variant "NAME: key=value key=value"``."""

from __future__ import annotations

import itertools
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from raysgpo.config.overrides import ConfigError

OWN_KEYS = ("name", "storage", "resume")
"""Settings that the comparison decides; a run's result does not depend on them."""
CLOSING = {"[": "]", "{": "}", "(": ")"}


@dataclass(frozen=True, slots=True)
class Wording:
    """One variant as it was typed."""

    name: str
    words: tuple[str, ...]
    """``key=value`` each."""

    @property
    def keys(self) -> list[str]:
        return [_key(word) for word in self.words]


@dataclass(frozen=True, slots=True)
class Listed:
    """Variants that come along, under one name (``raysgpo/studies/sweeps``)."""

    name: str
    wordings: tuple[Wording, ...]

    def __post_init__(self) -> None:
        assert len(self.wordings) > 1, f"{self.name}: one variant is no comparison"


def worded(
    vary: Sequence[str], variants: Sequence[str], overrides: Sequence[str], listed: Listed | None = None
) -> list[Wording]:
    """The listed variants, every combination of what is varied, then the variants that were spelled out.

    ``overrides``: the words that hold for all of them.

    Raises:
        ConfigError: the words do not say two variants, or set what they may not.
    """
    _check_overrides(overrides)
    fixed = {_key(word) for word in overrides}
    choices = _choices(vary, fixed)
    combined = [Wording(" ".join(words), words) for words in itertools.product(*choices)] if choices else []
    found = [*_listed(listed, fixed), *combined, *(_spelled(text, fixed) for text in variants)]
    if not found:
        raise ConfigError(
            "--vary is missing: say what the variants differ in, such as --vary algorithm=grpo,sgpo, or name a sweep"
        )
    if len(found) < 2:
        raise ConfigError(f"--variant {variants[0]!r}: one variant is no comparison; give a second --variant")
    return found


def _listed(listed: Listed | None, fixed: set[str]) -> tuple[Wording, ...]:
    if listed is None:
        return ()
    for key in (key for wording in listed.wordings for key in wording.keys):
        _check_key(key, f"--sweep {listed.name}", fixed)
    return listed.wordings


def _spelled(text: str, fixed: set[str]) -> Wording:
    wording = spelled_out(text, "--variant", "naive: guidance=guided guidance.ratio=1")
    for key in wording.keys:
        _check_key(key, f"--variant {text!r}", fixed)
    return wording


def split_values(text: str) -> list[str]:
    """``a,[0,1],'x,y'`` to its three values: commas inside of brackets and quotes do not split.

    Raises:
        ConfigError: a bracket or a quote is left open.
    """
    values, closing, quote = [""], list[str](), ""
    for character in text:
        if quote:
            quote = "" if character == quote else quote
        elif character in "'\"" and (closing or not values[-1]):
            quote = character
        elif character in CLOSING:
            closing.append(CLOSING[character])
        elif closing and character == closing[-1]:
            closing.pop()
        if character == "," and not closing and not quote:
            values.append("")
        else:
            values[-1] += character
    if closing or quote:
        raise ConfigError(f"--vary ...={text}: {quote or closing[-1]!r} is missing")
    return values


def spelled_out(text: str, option: str, example: str) -> Wording:
    """``NAME: key=value key=value``; without a name it is called by its words. Quotes keep blanks in a value.

    A name alone stands for the settings that hold for all as they are. ``option`` is what the text was typed for.

    Raises:
        ConfigError: it is no such text.
    """
    named = re.match(r"\s*([^=:]+):(\s|$)", text)
    try:
        words = tuple(shlex.split(text[named.end() :] if named else text))
    except ValueError as error:
        raise ConfigError(f"{option} {text!r}: {error}") from None
    if not (words or named) or not all(_key(word) and "=" in word for word in words):
        raise ConfigError(
            f"{option} {text!r}: expected key=value words in one pair of quotes, a name before them if you like, "
            f"such as {option} '{example}'"
        )
    return Wording(named.group(1).strip() if named else " ".join(words), words)


def _choices(vary: Sequence[str], fixed: set[str]) -> list[list[str]]:
    """For each varied key the words of its values."""
    keys: list[str] = []
    choices: list[list[str]] = []
    for word in vary:
        key, equals, text = word.partition("=")
        if not equals or not key:
            raise ConfigError(f"--vary {word}: expected key=a,b, such as --vary algorithm=grpo,sgpo")
        values = split_values(text)
        if key == "seed":
            raise ConfigError(
                f"--vary {word}: variants {' and '.join(f'seed={value}' for value in values)} differ in the seed only; "
                f"vary another setting, and give the seeds as --seeds {text}"
            )
        _check_key(key, f"--vary {word}", fixed)
        if key in keys:
            raise ConfigError(f"--vary {word}: {key} is varied twice; give all its values in one --vary")
        if "" in values:
            raise ConfigError(f"--vary {word}: an empty value; give values separated by single commas")
        if len(values) < 2:
            raise ConfigError(f"--vary {word}: one value is no difference; give two or more, or {word} without --vary")
        keys.append(key)
        choices.append([f"{key}={value}" for value in values])
    return choices


def _check_key(key: str, where: str, fixed: set[str]) -> None:
    if key == "seed":
        raise ConfigError(f"{where}: every variant is run with the same seeds; give them as --seeds 0,1,2")
    if key in OWN_KEYS:
        raise ConfigError(f"{where}: the comparison sets {key} itself; vary a setting of the training")
    if key in fixed:
        raise ConfigError(f"{where}: {key} is also set for all variants; leave out one of the two")


def _check_overrides(overrides: Sequence[str]) -> None:
    for word in overrides:
        key = _key(word)
        if key == "seed":
            raise ConfigError(f"{word}: a comparison's seeds are given as --seeds 0,1,2")
        if key in ("resume", "name"):
            raise ConfigError(
                f"{word}: the comparison sets {key} itself; the same command again goes on where it stopped"
            )


def _key(word: str) -> str:
    return word.partition("=")[0]
