"""Which sets are asked: those that come along, a user's rows under a known description, or a description of one's own.

aime24              one of ``sets/``
aime25=FILE         rows that a user brings, as ``sets/aime25.toml`` describes them
FILE.toml           a description; its ``path`` is relative to it
FILE.jsonl          rows of question and answer, asked once and greedily
"""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from raysgpo.config.data_source import is_hub_name
from raysgpo.config.overrides import ConfigError, told
from raysgpo.config.places import user_path
from raysgpo.config.question_set import QuestionSetConfig, names_rows
from raysgpo.config.section import no_such

FOLDER = Path(__file__).with_name("sets")
Settings = Mapping[str, Any]


def known_sets() -> list[str]:
    """The names of the descriptions that come along."""
    return sorted(file.stem for file in FOLDER.glob("*.toml"))


def chosen_sets(words: Sequence[str], changes: Mapping[str, Settings] | None = None) -> list[QuestionSetConfig]:
    """The sets that the words name, each with its settings changed; ``changes``: by the name of a set, and those of
    all sets under an empty name.

    Raises:
        ConfigError: no such set, rows that must be brought, a wrong setting, or two sets of one name.
    """
    changes = changes or {}
    found = [_named(word) for word in words]
    double = [name for name, count in Counter(one["name"] for one in found).items() if count > 1]
    if double:
        raise ConfigError(
            f"sets={','.join(words)}: two sets are called {double[0]}: give one of them another name, in a description "
            "of its own (FILE.toml)"
        )
    unknown = [name for name in changes if name and name not in {one["name"] for one in found}]
    assert not unknown, f"settings of sets that are not asked: {unknown}"
    return [_checked({**one, **changes.get("", {}), **changes.get(one["name"], {})}) for one in found]


def _named(word: str) -> dict[str, Any]:
    """The settings of a set as its description has them, its rows by their whole path."""
    name, equals, rows = word.partition("=")
    if equals:
        return {**_description(name, word), "path": _whole(rows, Path())}
    if word in known_sets():
        return _with_rows(_description(word, word))
    file = user_path(word)
    if word.endswith(".toml"):
        return _with_rows(_read(file, word))
    if names_rows(word):
        return {"name": file.name.removesuffix(".gz").rpartition(".")[0], "path": _whole(word, Path())}
    raise ConfigError(f"sets={word}: {no_such('set', word, [*known_sets(), 'FILE.jsonl', 'FILE.toml'])}")


def _description(name: str, word: str) -> dict[str, Any]:
    if name not in known_sets():
        raise ConfigError(f"sets={word}: {no_such('set', name, known_sets())}")
    return _read(FOLDER / f"{name}.toml", word)


def _read(file: Path, word: str) -> dict[str, Any]:
    try:
        given = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"sets={word}: no description can be read there: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"sets={word}: no TOML: {error}") from None
    given.setdefault("name", file.stem)
    if isinstance(given.get("path"), str):
        given["path"] = _whole(given["path"], file.parent)
    return given


def _with_rows(given: dict[str, Any]) -> dict[str, Any]:
    """Refuses a description whose rows are not there."""
    if given.get("path") is None:
        form = given.get("bring") or "rows of question and answer"
        raise ConfigError(f"sets={given['name']}: its rows do not come along: give {given['name']}=FILE, {form}")
    return given


def _whole(path: str, folder: Path) -> str:
    """A file by its whole path; a name of the hub as it is."""
    return path if is_hub_name(path) else str((folder / user_path(path)).absolute())


def _checked(given: Settings) -> QuestionSetConfig:
    try:
        return QuestionSetConfig.model_validate(given)
    except ValidationError as error:
        raise ConfigError("\n".join(f"{given['name']}: {told(detail)}" for detail in error.errors())) from None
