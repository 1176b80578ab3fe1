"""A task class of the user's as a row of the table of tasks: what the class does not say is as in any row."""

from __future__ import annotations

import inspect
from dataclasses import fields
from typing import Any

from pydantic import TypeAdapter, ValidationError

from raysgpo.config.task_kinds import TaskKind
from raysgpo.user_code.code import UserCode


def row_of(code: UserCode) -> TaskKind:
    """Read from the attributes of the class that are called as the columns of the table.

    Raises:
        ValueError: it is no class that can be a task; one line.
    """
    kind = code.value()
    if not isinstance(kind, type):
        raise ValueError(f"{code.given}: a class was expected, and {code.name} is {_article(type(kind).__name__)}")
    try:
        inspect.signature(kind).bind("config", "held_out")
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{code.given}: it is built as {code.name}(config, held_out), of the settings and the number of problems "
            f"to hold out ({error})"
        ) from None
    named = [one.name for one in fields(TaskKind) if one.name != "factory"]
    given: dict[str, Any] = {name: getattr(kind, name) for name in named if hasattr(kind, name)}
    try:
        return TypeAdapter(TaskKind).validate_python({"factory": code.given, **given})
    except ValidationError as error:
        first = error.errors()[0]
        where = f"{code.name}.{first['loc'][0]}={first['input']!r}: " if first["loc"] else ""
        raise ValueError(f"{code.given}: {where}{first['msg'].removeprefix('Assertion failed, ')}") from None


def _article(noun: str) -> str:
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"
