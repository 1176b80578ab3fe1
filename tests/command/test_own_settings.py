"""Words to the section of a command that has its own."""

from __future__ import annotations

import re

import pytest
from pydantic import Field

from raysgpo.command.own_settings import own_settings
from raysgpo.config import Section
from raysgpo.config.overrides import ConfigError


class Inner(Section):
    seed: int = Field(0, ge=0)


class Outer(Section):
    name: str = "a"
    inner: Inner = Inner()


def test_dotted_words_become_the_section() -> None:
    assert own_settings(Outer, ["inner.seed=3", "name=b"]) == Outer(name="b", inner=Inner(seed=3))


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("inner.sed=1", "inner.sed: unknown key; did you mean inner.seed?"),
        ("zzzz=1", "zzzz: unknown key; known are name, inner, inner.seed"),
        ("inner.seed=-1", "inner.seed=-1: input should be greater than or equal to 0"),
        ("name={", "name={: not readable: "),
    ],
)
def test_a_wrong_word_is_answered_with_its_key(word: str, message: str) -> None:
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}"):
        own_settings(Outer, [word])
