"""Recipes: a folder of them, and a file of any folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from raysgpo.command.configure import configure
from raysgpo.command.words import Words
from raysgpo.config.overrides import ConfigError
from raysgpo.config.recipe import Recipes, load_recipe
from raysgpo.recipes import RECIPES

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


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("def other(): ...", "there is no mine in it"),
        ("def mine(): ...", "mine() gave NoneType where a Config was expected"),
        ("mine = 3", "mine is int where a function was expected"),
        ("def mine(): return 1 / 0", "mine() raised ZeroDivisionError: division by zero (mine.py, line 1)"),
        ("import numpyy", "it does not import: ModuleNotFoundError: No module named 'numpyy' (mine.py, line 1)"),
    ],
)
def test_a_recipe_is_a_function_of_its_files_name_that_returns_a_config(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(text)
    for recipes, name in ((Recipes(tmp_path), "mine"), (RECIPES, f"{tmp_path}/mine.py")):
        with pytest.raises(ConfigError) as caught:
            recipes.load(name)
        assert said in str(caught.value) and "\n" not in str(caught.value)


def test_a_recipe_is_given_by_its_path_and_may_import_what_lies_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my-own.py").write_text("import steps_of_mine\n" + RECIPE.format(name="my_own"))
    (tmp_path / "steps_of_mine.py").write_text("")
    monkeypatch.chdir(tmp_path)
    assert RECIPES.load("my-own.py").steps == 7
    words = Words("my-own.py", None, ["algorithm=sgpo", "judge=rule"])
    assert configure(words, RECIPES, "offline").name == "my_own-offline"
    with pytest.raises(ConfigError, match=r"my-on\.py:my_on: there is no such file; did you mean my-own\.py\?"):
        RECIPES.load("my-on.py")
    with pytest.raises(ConfigError, match=r"or give a file, path/to/recipe\.py; did you mean arithmetic\?"):
        RECIPES.load("arithmatic")
