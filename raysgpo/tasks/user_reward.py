"""A reward function of the user's: how it is called, and what of its results stands where.

It is called by name, with what its parameters ask for::

    def my_reward(problem, text): ...    # of one answer
    def my_reward(problem, texts): ...   # of all answers of a group, a list of as many results

and gives, for an answer, a number (a further part of the reward, called as the function), a dict of numbers (further
parts by their names), or a Grade (in the place of the task's: whether the answer is right, and all parts). It may be
``async``; then the answers of a group are asked about at the same time.
"""

from __future__ import annotations

import asyncio
import inspect
import math
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

from raysgpo.records import CORRECTNESS, Problem
from raysgpo.tasks.task import Grade, checked_grade
from raysgpo.tasks.worth import Failed, Worth
from raysgpo.user_code.code import UserCode
from raysgpo.user_code.modules import told

ONE, MANY = "text", "texts"
CALLED = "it is called as {name}(problem, text) for an answer, or {name}(problem, texts) for those of a group"


@dataclass(frozen=True, slots=True)
class UserReward:
    """``reward(problem, texts)`` gives what each text is worth, in any process."""

    code: UserCode
    asks: tuple[str, ...]
    """The parameters that it is given."""
    waits: bool
    """It is ``async``."""

    @classmethod
    def of(cls, code: UserCode | None) -> Self | None:
        """None where the settings name none.

        Raises:
            ValueError: it is no function that can be called so; one line.
        """
        if code is None:
            return None
        function = code.value()
        if not callable(function) or isinstance(function, type):
            raise ValueError(f"reward={code.given}: a function was expected, and {code.name} is none")
        asks = _asked(function, code)
        called = function if inspect.isroutine(function) else type(function).__call__
        return cls(code, asks, inspect.iscoroutinefunction(called))

    @property
    def together(self) -> bool:
        """Whether the answers of a group are given at one time."""
        return self.waits or MANY in self.asks

    def __call__(self, problem: Problem, texts: list[str]) -> list[Worth] | Coroutine[Any, Any, list[Worth]]:
        if self.waits:
            return self._waiting(problem, texts)
        function = self._function()
        if MANY in self.asks:
            return self._worths(function(**self._given(problem, texts)), len(texts))
        return [self._worth(function(**self._given(problem, text))) for text in texts]

    async def _waiting(self, problem: Problem, texts: list[str]) -> list[Worth]:
        function = self._function()
        if MANY in self.asks:
            return self._worths(await function(**self._given(problem, texts)), len(texts))

        async def one(text: str) -> Worth:
            try:
                return self._worth(await function(**self._given(problem, text)))
            except Exception as error:  # of this answer alone
                return Failed("errors", told(error))

        return await asyncio.gather(*(one(text) for text in texts))

    def _function(self) -> Callable[..., Any]:
        function: Any = self.code.value()
        return function

    def _given(self, problem: Problem, texts: str | list[str]) -> dict[str, Any]:
        return {name: problem if name == "problem" else texts for name in self.asks}

    def _worths(self, results: Any, count: int) -> list[Worth]:
        if isinstance(results, str | Mapping) or not hasattr(results, "__len__"):
            raise TypeError(f"{self.code.name} gave {_named(results)} for {count} answers: give a list of {count}")
        if len(results) != count:
            raise ValueError(f"{self.code.name} gave {len(results)} results for {count} answers: give one an answer")
        return [self._worth(result) for result in results]

    def _worth(self, result: Any) -> Worth:
        """The result in Python's own types."""
        if isinstance(result, Grade):
            return checked_grade(replace(result, parts=_numbers(result.parts, self.code.name)))
        if isinstance(result, Mapping):
            return _numbers(result, self.code.name)
        return _numbers({self.code.name: result}, self.code.name)


def combined(grade: Grade, worth: Worth, reward_range: tuple[float, float]) -> Worth:
    """The grade of an answer by its task and what the user's reward says of it.

    Parts are added to those of the task; a Grade stands in the task's place, and where it does not name its
    ``correctness``, that is the most or the least that the task gives. ``reward_range``: of ``correctness``.
    """
    if isinstance(worth, Failed):
        return worth
    least, most = reward_range
    if isinstance(worth, Grade):
        parts = {CORRECTNESS: most if worth.correct else least} | worth.parts
        if not least <= parts[CORRECTNESS] <= most:
            return Failed("errors", f"correctness={parts[CORRECTNESS]:g}: it is {least:g} to {most:g} in this task")
        return replace(worth, parts=parts)
    if grade.failure is not None:
        return grade
    if CORRECTNESS in worth:
        return Failed("errors", f"a part {CORRECTNESS}, which is the task's: give a Grade to stand in its place")
    if twice := grade.parts.keys() & worth.keys():
        return Failed("errors", f"a part {min(twice)}, which the task gives too: call it otherwise")
    return replace(grade, parts={**grade.parts, **worth})


def _asked(function: Callable[..., Any], code: UserCode) -> tuple[str, ...]:
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):
        raise ValueError(f"reward={code.given}: its parameters cannot be read; write a function in Python") from None
    asks = tuple(name for name in ("problem", ONE, MANY) if name in parameters)
    free = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    needed = [name for name, one in parameters.items() if one.default is one.empty and one.kind not in free]
    by_place = any(parameters[name].kind is inspect.Parameter.POSITIONAL_ONLY for name in asks)
    if set(needed) - set(asks) or by_place or (ONE in asks) == (MANY in asks):
        said = ", ".join(str(one).partition(":")[0] for one in parameters.values())
        raise ValueError(f"reward={code.given}: {code.name}({said}): {CALLED.format(name=code.name)}")
    return asks


def _numbers(parts: Mapping[Any, Any], name: str) -> dict[str, float]:
    return {str(part): _number(value, f"{name}'s {part}" if part != name else name) for part, value in parts.items()}


def _number(value: Any, what: str) -> float:
    if value is None or isinstance(value, str) or not hasattr(value, "__float__"):
        raise TypeError(f"{what} gave {_named(value)} where a number, a dict of numbers or a Grade was expected")
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"{what} gave {number}, which is no finite number")
    return number + 0.0  # no -0.0 in the records


def _named(value: Any) -> str:
    return "None" if value is None else f"{type(value).__name__} {value!r}"[:80]
