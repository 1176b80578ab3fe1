"""What every group of settings is."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A group of settings. A section that has ``presets`` may be set to one word."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, use_attribute_docstrings=True)

    presets: ClassVar[dict[str, dict[str, Any]]] = {}
    """What ``section=word`` stands for; every setting it names can still be overridden."""


class OneOf:
    """Refuses a word that is no name of the table: ``Annotated[str, AfterValidator(OneOf(TABLE))]``.

    The table itself is asked, so a row that is added to it is a name at once.
    """

    def __init__(self, table: Mapping[str, Any]) -> None:
        self.table = table

    def __call__(self, word: str) -> str:
        if word in self.table:
            return word
        near = difflib.get_close_matches(word, self.table, n=1)
        raise ValueError(f"choose from {', '.join(self.table)}" + (f"; did you mean {near[0]}?" if near else ""))
