"""The process of a program whose functions are called from outside: it answers calls, and never sees a test.

It has no power over the verdict: what it sends is read as data, and a call that is not answered has failed.
"""

from __future__ import annotations

import os
import sys
from types import ModuleType

from raysgpo.sandbox.inside import boundary, channel, values

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def main() -> None:
    most, (started, source, calls) = boundary.enter()
    text = boundary.read_all(source).decode("utf-8", "surrogatepass")
    os.write(started, boundary.STARTED)
    os.close(started)
    boundary.silence(0, 1, 2)
    _Program(calls, most).serve(text)


class _Program:
    def __init__(self, calls: int, most: int) -> None:
        self._calls = calls
        self._most = most
        self._kept: list[Any] = []

    def serve(self, text: str) -> None:
        module = ModuleType("program")
        sys.modules["program"] = module  # dataclasses and others look up where they were defined
        self._kept.append(module)
        try:
            exec(compile(text, "program.py", "exec"), module.__dict__)
        except BaseException as error:
            channel.send(self._calls, values.written(["raised", *_said(error)], self._keep))
            return
        channel.send(self._calls, values.written(["value", None, None], self._keep))
        while True:
            channel.send(self._calls, self._answer(channel.receive(self._calls, self._most)))

    def _answer(self, message: bytes) -> bytes:
        try:
            target, name, arguments = values.read(message, self._kept.__getitem__)
            if arguments is None:
                return values.written(["value", getattr(target, name), None], self._keep)
            positional, named = arguments
            before = values.written(positional, self._keep)
            function = target if name is None else getattr(target, name)
            value = function(*positional, **named)
            changed = positional if values.written(positional, self._keep) != before else None
            return values.written(["value", value, changed], self._keep)
        except BaseException as error:
            return values.written(["raised", *_said(error)], self._keep)

    def _keep(self, value: Any) -> int:
        for number, kept in enumerate(self._kept):
            if kept is value:
                return number
        self._kept.append(value)
        return len(self._kept) - 1


def _said(error: BaseException) -> tuple[list[str], str]:
    """The names of the exception's classes, nearest first, and its words."""
    try:
        return [kind.__name__ for kind in type(error).__mro__], str(error)[:1000]
    except BaseException:
        return ["Exception"], ""
