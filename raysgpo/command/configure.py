"""From words to the Config of a run: recipe, then file, then the command's own changes, then overrides."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from raysgpo.command.words import Words
from raysgpo.config import Config
from raysgpo.config.command_name import command_name
from raysgpo.config.overrides import ConfigError, Tree, resolve
from raysgpo.config.places import checked_address, in_store, is_address, storage_folder
from raysgpo.config.recipe import Recipes, recipe_name
from raysgpo.start.resume import AUTO, auto_resumed, resume_config

Mode = Literal["online", "offline"]
JOBS: dict[Mode, str] = {"online": "train", "offline": "offline"}
"""Mode to the command that runs it."""
WITHOUT_RATIO = {"algorithm.surrogate": "log_prob", "algorithm.negative_weight": "0.5"}
"""Answers of a frozen policy: a clip would hold each back after a few updates. What is pushed down without one falls
without end, so it is pushed down half as hard [measured, docs/results.md]."""


def configure(words: Words, recipes: Recipes, mode: Mode = "online") -> Config:
    """The settings that the words stand for.

    Raises:
        ConfigError: they are none, or stand for a run of the other command.
    """
    run = words.value("resume")
    if run is None:
        config = _new(words, recipes, mode)
    elif run == AUTO:
        config = auto_resumed(_new(words.without("resume"), recipes, mode))
    else:
        config = _resumed(run, words)
    if config.mode != mode:
        raise ConfigError(f"mode={config.mode}: such a run is of {command_name(JOBS[config.mode])}")
    return config


def _new(words: Words, recipes: Recipes, mode: Mode) -> Config:
    layers = words.layers(recipes)
    if mode == "online" or any(_is_offline(layer) for layer in layers):
        return resolve(*layers, overrides=words.overrides)
    layers.append(_offline(words))
    config = resolve(*layers, overrides=words.overrides)
    if config.algorithm.surrogate != "clip" or words.value("algorithm.surrogate") is not None:
        return config
    untyped = [f"{key}={value}" for key, value in WITHOUT_RATIO.items() if words.value(key) is None]
    return resolve(*layers, overrides=[*words.overrides, *untyped])


def _is_offline(layer: Config | Tree) -> bool:
    """Whether it is the file of an offline run, which says everything."""
    return isinstance(layer, dict) and layer.get("mode") == "offline"


def _offline(words: Words) -> Tree:
    """What an offline run changes beside the loss: its number of steps follows from the groups."""
    recipe = words.recipe and recipe_name(words.recipe)
    named = {"name": f"{recipe}-offline"} if recipe and "offline" not in recipe and not words.miniature else {}
    return {"mode": "offline", "steps": None, **named}


def _resumed(run: str, words: Words) -> Config:
    """A resumed run has its own settings: no recipe and no file beside them."""
    if words.recipe or words.file or words.miniature:
        raise ConfigError(
            f"resume={run} goes on with the settings that the run was started with: "
            f"leave out {words.recipe or ('--config' if words.file else '--miniature')}"
        )
    words = words.without("resume")
    storage, _, name = run.rpartition("/runs/")
    if in_store(storage):  # the run's whole address
        run, words = name.rstrip("/"), replace(words, overrides=[*words.overrides, f"storage={storage}"])
    storage = words.value("storage") or Config().storage
    try:
        store = checked_address(storage) if is_address(storage) else None
        folder = storage if store is None else words.value("scratch") or Config().scratch
        root = storage_folder(folder, "storage" if store is None else "scratch")
    except ValueError as error:
        text = str(error)
        raise ConfigError(text if text.startswith(("storage=", "scratch=")) else f"storage={storage}: {text}") from None
    return resume_config(run, root, words.overrides, store)
