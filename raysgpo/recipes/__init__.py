"""Recipes: one small file each, with one function of the same name that returns a Config."""

from __future__ import annotations

from pathlib import Path

from raysgpo.command.recipe import Recipes

RECIPES = Recipes(Path(__file__).parent)
"""All of this folder; a new file is one more."""
