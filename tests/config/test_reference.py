"""docs/configuration.md is what the Config says today."""

from __future__ import annotations

from pathlib import Path

from raysgpo.config.overrides import dotted_keys
from raysgpo.config.reference import page, settings

PAGE = Path(__file__).parents[2] / "docs" / "configuration.md"


def test_the_page_is_up_to_date() -> None:
    """If not: python -m raysgpo.config.reference > docs/configuration.md"""
    assert PAGE.read_text() == page()


def test_every_setting_stands_on_the_page_with_its_meaning() -> None:
    listed = {setting.key: setting.meaning for setting in settings()}
    sections = {key.rpartition(".")[0] for key in listed} - {""}
    assert set(dotted_keys()) == set(listed) | sections
    assert [key for key, meaning in listed.items() if not meaning] == []
