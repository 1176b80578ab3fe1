"""A setting that is one name out of a table."""

from __future__ import annotations

from typing import Annotated

import pytest
from pydantic import Field, ValidationError

from raysgpo.config import Section
from raysgpo.config.reference import settings
from raysgpo.config.section import OneOf

FRUITS = {"apple": 1, "pear": 2}


class Basket(Section):
    """Settings that are names."""

    fruit: Annotated[str, OneOf(FRUITS, "fruit")] = "apple"
    """What is in it."""
    other: Annotated[str, OneOf(("apple", "pear"))] | None = None
    """What else is in it."""
    told: Annotated[str, OneOf(FRUITS)] = "pear"
    """``apple`` is round and ``pear`` is not."""
    many: tuple[Annotated[str, OneOf(FRUITS)], ...] = Field((), max_length=3)
    """All of them."""
    bare: Annotated[str, OneOf(FRUITS)] = "pear"


def refused(**values: object) -> list[str]:
    with pytest.raises(ValidationError) as caught:
        Basket.model_validate(values)
    return [error["msg"] for error in caught.value.errors()]


def test_a_name_of_the_table_is_taken_as_it_is() -> None:
    basket = Basket(fruit="pear", other="apple", many=("pear", "apple"))
    assert (basket.fruit, basket.other, basket.many) == ("pear", "apple", ("pear", "apple"))
    assert Basket().other is None


def test_another_name_is_refused_with_all_of_them_and_the_nearest() -> None:
    assert refused(fruit="peer") == ["no such fruit; choose from apple, pear; did you mean pear?"]
    assert refused(fruit="{x}") == ["no such fruit; choose from apple, pear"]
    assert refused(other="appel") == ["no such name; choose from apple, pear; did you mean apple?"]
    assert refused(many=("pear", "plum")) == ["no such name; choose from apple, pear"]
    assert refused(fruit=3) == ["Input should be a valid string"]


def test_by_itself_it_raises_the_same_as_a_value_error() -> None:
    assert OneOf(FRUITS)("pear") == "pear"
    with pytest.raises(ValueError, match=r"^no such fruit; choose from apple, pear; did you mean pear\?$"):
        OneOf(FRUITS, "fruit")("pears")


def test_a_default_that_is_no_name_of_the_table_is_refused_too() -> None:
    class Wrong(Section):
        fruit: Annotated[str, OneOf(FRUITS, "fruit")] = "plum"

    with pytest.raises(ValidationError, match="no such fruit"):
        Wrong()


def test_a_row_added_to_the_table_is_known_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FRUITS, "plum", 3)
    assert Basket(fruit="plum").fruit == "plum"
    assert "choose from apple, pear, plum" in refused(fruit="x")[0]


def test_the_reference_lists_the_names_where_the_docstring_leaves_one_out() -> None:
    meanings = {setting.key: setting.meaning for setting in settings(Basket)}
    assert meanings == {
        "fruit": "What is in it. One of ``apple``, ``pear``.",
        "other": "What else is in it. One of ``apple``, ``pear``.",
        "told": "``apple`` is round and ``pear`` is not.",
        "many": "All of them. One of ``apple``, ``pear``.",
        "bare": "",  # a setting without a meaning stays one, so that it is found
    }
