"""What was typed of a run: a recipe, a file, settings."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace

from raysgpo.command.miniature import miniature
from raysgpo.config import Config
from raysgpo.config.overrides import ConfigError, Tree, load, resolve
from raysgpo.config.recipe import Recipes


@dataclass(frozen=True, slots=True)
class Words:
    """``math --config mine.yaml seed=1`` is ``Words("math", "mine.yaml", ["seed=1"])``."""

    recipe: str | None
    """Its name."""
    file: str | None
    """Of settings, in YAML."""
    overrides: list[str]
    miniature: bool = False
    """Whether a tiny model and few rows take the place of what the recipe and the file name."""

    @classmethod
    def of(cls, arguments: argparse.Namespace) -> Words:
        """The words as ``parser.add_words`` takes them. A first word that sets something names no recipe."""
        recipe, overrides = arguments.recipe, list(arguments.overrides)
        if recipe and "=" in recipe:
            recipe, overrides = None, [recipe, *overrides]
        return cls(recipe, arguments.config, overrides, getattr(arguments, "miniature", False))

    def value(self, key: str) -> str | None:
        """The last that was typed for ``key``, as text; None if it was not set."""
        typed = [word.partition("=")[2] for word in self.overrides if word.startswith(f"{key}=")]
        return typed[-1] if typed else None

    def without(self, key: str) -> Words:
        """The same words but for those that set ``key``."""
        return replace(self, overrides=[word for word in self.overrides if not word.startswith(f"{key}=")])

    def layers(self, recipes: Recipes) -> list[Config | Tree]:
        """What the overrides change: the recipe, then the file over it, then what makes a miniature of both.

        Raises:
            ConfigError: neither is named, or one of them is not there.
        """
        if self.recipe is None and self.file is None:
            raise ConfigError(f"name a recipe ({', '.join(recipes.names())}) or give --config FILE")
        recipe = [recipes.load(self.recipe)] if self.recipe else []
        layers: list[Config | Tree] = [*recipe, *([load(self.file)] if self.file else [])]
        return [*layers, miniature(resolve(*layers))] if self.miniature else layers
