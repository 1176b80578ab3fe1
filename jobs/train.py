"""Train a model: ``python jobs/train.py RECIPE [key=value ...] [--dry-run] [--config FILE]``."""

from __future__ import annotations

import os
import sys

# The script's own folder stands first on the path; the repository must, also under `ray job submit`.
sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

import argparse
import importlib
from pathlib import Path
from typing import Literal

from raysgpo.config import Config
from raysgpo.config.model_path import check_judge_path, check_model_path
from raysgpo.config.overrides import ConfigError, Tree, dump, load, resolve
from raysgpo.config.reference import brief
from raysgpo.judging.credentials import read_key
from raysgpo.start.resume import resume_config

RECIPES = Path(__file__).parent / "recipes"
COMMANDS = {"online": "jobs/train.py", "offline": "jobs/offline.py"}
"""Mode to the command that runs it."""


def recipe_names() -> list[str]:
    return sorted(file.stem for file in RECIPES.glob("*.py") if file.stem != "__init__")


def recipe(name: str) -> Config:
    """The Config of the recipe of that name."""
    if name not in recipe_names():
        raise ConfigError(f"{name}: no such recipe; choose from {', '.join(recipe_names())}")
    config = getattr(importlib.import_module(f"jobs.recipes.{name}"), name)()
    assert isinstance(config, Config), f"jobs/recipes/{name}.py must return a Config"
    return config


def parser(
    prog: str = "jobs/train.py", description: str = "Train a model with GRPO or SGPO on Ray."
) -> argparse.ArgumentParser:
    command = argparse.ArgumentParser(
        prog=f"python {prog}",
        description=description,
        epilog=f"recipes: {', '.join(recipe_names())}\n\nsettings and their defaults:\n{brief()}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument("recipe", nargs="?", metavar="RECIPE", help="a recipe of jobs/recipes")
    command.add_argument("overrides", nargs="*", metavar="key=value", help="settings, such as sampling.temperature=0.7")
    command.add_argument("--config", metavar="FILE", help="read settings from a YAML file, such as a run's config.yaml")
    command.add_argument("--dry-run", action="store_true", help="print the resolved configuration and stop")
    return command


def configure(arguments: argparse.Namespace, mode: Literal["online", "offline"] = "online") -> Config:
    """The settings that the words stand for.

    Raises:
        ConfigError: they are none, or stand for a run of the other command.
    """
    config = _configure(arguments, _offline(arguments.recipe) if mode == "offline" else {})
    if config.mode != mode:
        raise ConfigError(f"mode={config.mode}: such a run is of python {COMMANDS[config.mode]}")
    return config


def _offline(recipe: str | None) -> Tree:
    """What an offline run of a recipe starts from: its number of steps follows from the groups."""
    named = {"name": f"{recipe}-offline"} if recipe in recipe_names() else {}
    return {"mode": "offline", "steps": None, **named}


def _configure(arguments: argparse.Namespace, changes: Tree) -> Config:
    """Recipe, then file, then the command's own changes, then overrides; a resumed run has its own settings."""
    name, overrides = arguments.recipe, list(arguments.overrides)
    if name and "=" in name:
        name, overrides = None, [name, *overrides]
    if resumed := [word.partition("=")[2] for word in overrides if word.startswith("resume=")]:
        if name or arguments.config:
            raise ConfigError(
                f"resume={resumed[-1]} goes on with the settings that the run was started with: "
                f"leave out {name or '--config'}"
            )
        others = [word for word in overrides if not word.startswith("resume=")]
        roots = [word.partition("=")[2] for word in others if word.startswith("storage=")]
        root = Path((roots or [Config().storage])[-1]).expanduser().absolute()
        return resume_config(resumed[-1], root, others)
    if name is None and arguments.config is None:
        raise ConfigError(f"name a recipe ({', '.join(recipe_names())}) or give --config FILE")
    layers = [recipe(name)] if name else []
    files = [load(arguments.config)] if arguments.config else []
    made = any(file.get("mode") == changes.get("mode") for file in files)  # by this command
    return resolve(*layers, *files, {} if made else changes, overrides=overrides)


def check_judge(config: Config) -> None:
    """A key that is missing or a model that is not there ends the run before anything starts."""
    if config.needs_judge and config.judge.kind == "endpoint":
        read_key(config.judge)
    if config.needs_judge and config.judge.kind == "replicas":
        check_judge_path(config.judge.model or "")


def main() -> int:
    arguments = parser().parse_intermixed_args()
    try:
        config = configure(arguments)
        if not arguments.dry_run:
            check_model_path(config.model)
            check_judge(config)
    except ConfigError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    if arguments.dry_run:
        print(dump(config), end="")
        return 0
    from raysgpo.run import train  # after the checks: this imports Ray

    return train(config)


if __name__ == "__main__":
    sys.exit(main())
