"""The fields of a row as a task wants them: texts, and questions that may be chats."""

from __future__ import annotations

from typing import Any

from raysgpo.data.columns import suggestion
from raysgpo.records import Turns

ROLES = ("system", "user", "assistant")


def text_of(row: dict[str, Any], name: str, where: str) -> str:
    """A field that must say something; numbers are taken as they are written.

    Raises:
        ValueError: it is not there, is empty, or is something else; the message names ``where``.
    """
    value = row.get(name)
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = str(value)
    if isinstance(value, str) and value.strip():
        return value
    if value is None:
        named = "" if name in row else suggestion(name, row)
        raise ValueError(f"{where}: no {name}: add the field {name!r} or remove the row{named}")
    what = "empty" if value == "" or isinstance(value, str) else type(value).__name__
    raise ValueError(f"{where}: {name} is {what} where text was expected: fill it in or remove the row")


def asked(row: dict[str, Any], name: str, where: str) -> tuple[Turns, str]:
    """The turns before a question, and the question: a text, or the last of the messages of a chat,
    ``[{"role": "user", "content": "2+3=?"}]``.

    Raises:
        ValueError: it is not there, or no chat that ends with the user; the message names ``where``.
    """
    value = row.get(name)
    if not isinstance(value, list):
        return (), text_of(row, name, where)
    turns = tuple(_turn(message, f"{where}: {name}, message {n}") for n, message in enumerate(value, start=1))
    if not turns or turns[-1][0] != "user":
        ends = f"ends with the {turns[-1][0]}" if turns else "is an empty list"
        raise ValueError(f"{where}: {name} {ends}: a question ends with what the user says; mend it or remove the row")
    late = [n for n, (role, _) in enumerate(turns, start=1) if role == "system" and n > 1]
    if late:
        raise ValueError(f"{where}: {name}, message {late[0]}: a system message stands first; mend the row")
    return turns[:-1], turns[-1][1]


def _turn(message: Any, where: str) -> tuple[str, str]:
    if not isinstance(message, dict) or message.get("role") not in ROLES:
        said = message.get("role") if isinstance(message, dict) else type(message).__name__
        raise ValueError(f"{where}: role is {said!r}: write messages of role ({', '.join(ROLES)}) and content")
    content = message.get("content")
    if isinstance(content, list):  # parts, of which a text model reads the texts
        kinds = [part.get("type") if isinstance(part, dict) else type(part).__name__ for part in content]
        if set(kinds) - {"text"}:
            raise ValueError(f"{where}: a part is {next(k for k in kinds if k != 'text')!r}, and only text is read")
        content = "".join(str(part.get("text", "")) for part in content)
    if not isinstance(content, str) or not content.strip():
        what = "empty" if isinstance(content, str) else type(content).__name__
        raise ValueError(f"{where}: content is {what} where text was expected: fill it in or remove the row")
    return str(message["role"]), content
