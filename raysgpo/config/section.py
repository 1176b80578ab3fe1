"""What every group of settings is, and a setting that is one name out of a table."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, model_validator
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

MOST_EPOCHS = 1e6
"""Passes over some data beyond which a number is a slip of the hand; what follows from it would be no number."""


class Section(BaseModel):
    """A group of settings. A section that has ``presets`` or a ``shorthand`` may be set to one word."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", validate_default=True, use_attribute_docstrings=True, allow_inf_nan=False
    )

    presets: ClassVar[dict[str, dict[str, Any]]] = {}
    """What ``section=word`` stands for; every setting it names can still be overridden."""
    shorthand: ClassVar[str | None] = None
    """The setting that ``section=word`` sets, where the section has no presets: ``reward=mine.py:f`` is
    ``reward.function=mine.py:f``."""

    @model_validator(mode="before")
    @classmethod
    def _word(cls, given: Any) -> Any:
        return {cls.shorthand: given} if cls.shorthand is not None and isinstance(given, str) else given


@dataclass(frozen=True, eq=False, slots=True)
class OneOf:
    """A setting that is one of these names, as in ``kind: Annotated[str, OneOf(TASK_KINDS, "task")]``.

    The names are read when a value is checked, so that a row added to the table is known at once.
    """

    names: Collection[str]
    noun: str = "name"
    """What one of them is called in the message that refuses another."""
    further: str = ""
    """How else it may be written, for that message."""
    is_further: Callable[[str], bool] | None = None
    """Whether a word is written so."""

    def __call__(self, name: str) -> str:
        """The name itself.

        Raises:
            ValueError: it is none of the names; the message lists them and the nearest.
        """
        if name not in self.names and not (self.is_further is not None and self.is_further(name)):
            # A plain ValueError would be shown with "Value error, " in front.
            raise PydanticCustomError("one_of", "{refusal}", {"refusal": self._refusal(name)})
        return name

    def _refusal(self, name: str) -> str:
        return no_such(self.noun, name, [*self.names, *([self.further] if self.further else [])])

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self, handler(source))


class Verbatim:
    """Of a setting whose text is taken as it is typed, not read as YAML: ``Annotated[str | None, Verbatim()]``."""


def no_such(noun: str, word: str, names: Collection[str]) -> str:
    """``no such task; choose from arithmetic, math; did you mean math?``"""
    near = difflib.get_close_matches(word, names, n=1)
    return f"no such {noun}; choose from {', '.join(names)}" + (f"; did you mean {near[0]}?" if near else "")
