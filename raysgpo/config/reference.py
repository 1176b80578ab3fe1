"""The list of settings for ``--help`` and docs/configuration.md, read from the Config itself.

``python -m raysgpo.config.reference > docs/configuration.md`` writes the page; a test compares.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, get_args

from pydantic.fields import FieldInfo

from raysgpo.config import Config, Section
from raysgpo.config.overrides import section_of
from raysgpo.config.section import OneOf

HEAD = """# Configuration

A recipe in `raysgpo/recipes/` is a function that returns a `Config`. On the command line any setting is
overridden by its dotted key: `python jobs/train.py arithmetic sampling.temperature=0.7`. Values are
YAML. `--dry-run` prints the result, every run saves it as `config.yaml`, and `--config FILE` reads it
back (alone, or over a recipe). An unknown key or an impossible combination is an error before
anything starts.

A group of settings that has presets may be set to one word: `algorithm=sgpo` stands for the settings
below it, and each of them can still be overridden, in any order.
"""


@dataclass(frozen=True, slots=True)
class Setting:
    """One line of the reference."""

    key: str
    default: str
    meaning: str


def settings(section: type[Section] = Config, prefix: str = "") -> Iterator[Setting]:
    """Every plain setting, in the order of the file."""
    for name, field in section.model_fields.items():
        inner = section_of(field)
        if inner is not None:
            yield from settings(inner, f"{prefix}{name}.")
        else:
            yield Setting(prefix + name, _text(field.get_default()), _meaning(field))


def brief() -> str:
    """One line a setting, for ``--help``."""
    return "\n".join(f"  {s.key}={s.default}\n      {s.meaning.splitlines()[0]}" for s in settings() if s.meaning)


def page() -> str:
    """docs/configuration.md."""
    parts = [HEAD, "\n## Run\n\n", _table(s for s in settings() if "." not in s.key)]
    parts += _sections(Config, "")
    return "".join(parts).replace("``", "`")


def _sections(section: type[Section], prefix: str) -> Iterator[str]:
    for name, field in section.model_fields.items():
        inner = section_of(field)
        if inner is None:
            continue
        key = prefix + name
        yield f"\n## {key}\n\n{(inner.__doc__ or '').strip()}\n\n"
        if inner.presets:
            listed = "; ".join(_preset(inner, key, word) for word in inner.presets)
            yield f"Presets, with what they set that is not the default: {listed}.\n\n"
        own = {f"{key}.{leaf}" for leaf in inner.model_fields}
        yield _table(s for s in settings(inner, f"{key}.") if s.key in own)
        yield from _sections(inner, f"{key}.")


def _preset(section: type[Section], key: str, word: str) -> str:
    changes = [f"{name}={value}" for name, value in _changes(section, section.presets[word])]
    return f"`{key}={word}` ({', '.join(changes) or 'the defaults'})"


def _changes(section: type[Section], values: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """What a preset sets to another value than the default; settings of inner sections by their dotted name."""
    for name, value in values.items():
        inner = section_of(section.model_fields[name])
        if inner is not None:
            yield from ((f"{name}.{leaf}", text) for leaf, text in _changes(inner, value))
        elif value != section.model_fields[name].get_default():
            yield name, _text(value)


def _table(rows: Iterator[Setting]) -> str:
    lines = [f"| `{s.key}` | `{s.default}` | {' '.join(s.meaning.split())} |\n" for s in rows]
    return "| key | default | meaning |\n|---|---|---|\n" + "".join(lines)


def _meaning(field: FieldInfo) -> str:
    """What the setting's docstring says, and the names to choose from where it leaves one out."""
    said = field.description or ""
    names = [name for choice in _choices(field) for name in choice.names]
    if not said or all(f"``{name}``" in said for name in names):
        return said
    return f"{said} One of {', '.join(f'``{name}``' for name in names)}."


def _choices(field: FieldInfo) -> Iterator[OneOf]:
    return (part for part in [*field.metadata, *_parts(field.annotation)] if isinstance(part, OneOf))


def _parts(annotation: Any) -> Iterator[Any]:
    """All that an annotation is made of: ``Annotated[str, OneOf(TABLE)] | None`` holds the OneOf two levels down."""
    for part in get_args(annotation):
        yield part
        yield from _parts(part)


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value or "''"
    return json.dumps(value)


if __name__ == "__main__":
    print(page(), end="")
