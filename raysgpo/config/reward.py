"""Settings of a reward of the user's own."""

from __future__ import annotations

from typing import Self

from pydantic import PrivateAttr, model_validator

from raysgpo.config.section import Section
from raysgpo.user_code.code import UserCode, find


class RewardConfig(Section):
    """A reward function of your own, beside any task ([your-own.md](your-own.md))."""

    shorthand = "function"

    function: str | None = None
    """``FILE.py:NAME`` or ``package.module:NAME``, which ``reward=...`` sets too: called with each answer; what it
    gives is added to the task's reward, or stands in its place. None: the task's alone."""
    sha256: str | None = None
    """Of its source and of what it imports beside it; filled in when the run starts, and told if a resumed run finds
    another."""
    _code: UserCode | None = PrivateAttr(None)
    """Read from the file when the settings are made; it goes wherever they go."""

    @property
    def code(self) -> UserCode | None:
        return self._code

    @model_validator(mode="after")
    def _find(self) -> Self:
        if self.function is not None:
            try:
                self._code = find(self.function)
                self._code.value()
            except ValueError as error:
                raise ValueError(f"reward={error}") from None
        return self
