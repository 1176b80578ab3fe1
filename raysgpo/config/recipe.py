"""Recipes: where they are found, and how one becomes a Config."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path

from raysgpo.config import Config
from raysgpo.config.overrides import ConfigError
from raysgpo.user_code.code import find
from raysgpo.user_code.modules import told


@dataclass(frozen=True, slots=True)
class Recipes:
    """The recipe files of a folder: ``Recipes(folder).load("math")`` calls the function ``math`` of ``math.py``."""

    folder: Path

    def names(self) -> list[str]:
        return sorted(file.stem for file in self.folder.glob("*.py") if file.stem != "__init__")

    def load(self, name: str) -> Config:
        """The Config of the recipe of that name, or of a user's file: ``path/to/recipe.py``.

        Raises:
            ConfigError: there is no such recipe, or it gives no Config.
        """
        if name.endswith(".py"):
            return load_recipe(Path(name))
        if name not in self.names():
            near = difflib.get_close_matches(name, self.names(), n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise ConfigError(
                f"{name}: no such recipe; choose from {', '.join(self.names())}, or give a file, "
                f"path/to/recipe.py{hint}"
            )
        return load_recipe(self.folder / f"{name}.py")


def load_recipe(file: Path) -> Config:
    """What the function that is called as the file returns. The file may lie anywhere: it need not be of a package.

    Raises:
        ConfigError: there is no such file or function, or it gives no Config; one line.
    """
    name = recipe_name(str(file))
    try:
        recipe = find(f"{file}:{name}").value()
    except ValueError as error:
        raise ConfigError(f"{error!s}; a recipe is a function that is called as its file") from None
    if not callable(recipe):
        raise ConfigError(f"{file}: {name} is {type(recipe).__name__} where a function was expected")
    try:
        config = recipe()
    except ConfigError:
        raise
    except Exception as error:  # what a user wrote
        raise ConfigError(f"{file}: {name}() raised {told(error)}") from error
    if not isinstance(config, Config):
        raise ConfigError(f"{file}: {name}() gave {type(config).__name__} where a Config was expected")
    return config


def recipe_name(recipe: str) -> str:
    """What the recipe is called, by its name or its file."""
    return Path(recipe).stem.replace("-", "_")
