"""Recipes: where they are found, and how one becomes a Config."""

from __future__ import annotations

import runpy
from dataclasses import dataclass
from pathlib import Path

from raysgpo.config import Config
from raysgpo.config.overrides import ConfigError


@dataclass(frozen=True, slots=True)
class Recipes:
    """The recipe files of a folder: ``Recipes(folder).load("math")`` calls the function ``math`` of ``math.py``."""

    folder: Path

    def names(self) -> list[str]:
        return sorted(file.stem for file in self.folder.glob("*.py") if file.stem != "__init__")

    def load(self, name: str) -> Config:
        """The Config of the recipe of that name.

        Raises:
            ConfigError: the folder has no such recipe.
        """
        if name not in self.names():
            raise ConfigError(f"{name}: no such recipe; choose from {', '.join(self.names())}")
        return load_recipe(self.folder / f"{name}.py")


def load_recipe(file: Path) -> Config:
    """What the function that is called as the file returns. The file may lie anywhere: it need not be of a package."""
    recipe = runpy.run_path(str(file)).get(file.stem)
    assert callable(recipe), f"{file} must have a function {file.stem}"
    config = recipe()
    assert isinstance(config, Config), f"{file} must return a Config"
    return config
