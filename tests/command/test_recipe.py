"""Recipes: a folder of them, and a file of any folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from raysgpo.command.recipe import Recipes, load_recipe

RECIPE = """
from raysgpo.config import Config

STEPS = 7

def {name}() -> Config:
    return Config(steps=STEPS)
"""


def test_a_recipe_of_any_folder_becomes_a_config(tmp_path: Path) -> None:
    for name in ("mine", "another"):
        (tmp_path / f"{name}.py").write_text(RECIPE.format(name=name))
    (tmp_path / "__init__.py").write_text("raise AssertionError('the folder need not be a package')")
    recipes = Recipes(tmp_path)
    assert recipes.names() == ["another", "mine"]
    assert recipes.load("mine").steps == load_recipe(tmp_path / "another.py").steps == 7


@pytest.mark.parametrize("text", ["def other(): ...", "def mine(): ...", "mine = 3"])
def test_a_recipe_is_a_function_of_its_files_name_that_returns_a_config(text: str, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(text)
    with pytest.raises(AssertionError, match=r"mine\.py must"):
        Recipes(tmp_path).load("mine")
