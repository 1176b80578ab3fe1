"""``--miniature``: the method stays, what makes the size goes, and the rows that come along are what they say."""

from __future__ import annotations

from typing import Any

import pytest

from raysgpo.command.configure import configure
from raysgpo.command.miniature import PROMPTS_PER_STEP, STEPS
from raysgpo.command.words import Words
from raysgpo.config import Config
from raysgpo.config.model_path import POLICIES
from raysgpo.config.overrides import ConfigError
from raysgpo.groups.curriculum import filtered
from raysgpo.recipes import RECIPES
from raysgpo.tasks.kinds import build_task
from raysgpo.tasks.small_rows import LONG, PROGRAMS, SHORT, TERMS, text_of

KEPT = """algorithm curriculum max_staleness seed sampling.group_size sampling.temperature
guidance.schedule guidance.ratio guidance.loss_weight judge.votes judge.epochs optimizer.schedule optimizer.warmup_ratio
optimizer.betas offline.keep offline.epochs evaluation.temperature evaluation.top_p trainer.lora_rank
task.format_reward""".split()
"""What makes the method."""


def small(recipe: str, *words: str) -> Config:
    return configure(Words(recipe, None, list(words), miniature=True), RECIPES)


def at(config: Config, key: str) -> Any:
    value: Any = config
    for name in key.split("."):
        value = getattr(value, name)
    return value


@pytest.mark.parametrize("recipe", RECIPES.names())
def test_any_recipe_has_one_that_this_machine_can_run(recipe: str) -> None:
    whole, config = RECIPES.load(recipe), small(recipe)
    assert {key: at(config, key) for key in KEPT} == {key: at(whole, key) for key in KEPT}
    assert config.name == f"{whole.name}-miniature" and config.model in POLICIES
    assert (config.steps, config.prompts_per_step) == (STEPS, PROMPTS_PER_STEP)
    assert config.trainer.gpus == config.rollout.gpus == config.judge.gpus == 0
    assert config.trainer.workers == config.rollout.replicas == (1, 1) and config.checkpoint.upload is None
    assert config.judge.kind in ("none", "rule", "replicas") and config.needs_judge == whole.needs_judge
    task = build_task(config)
    assert len(task.held_out) == config.evaluation.prompts
    assert len(filtered(list(task.train), config.curriculum, 0)) >= STEPS * PROMPTS_PER_STEP


def test_what_is_typed_wins_over_it() -> None:
    config = small("sgpo_7b", "steps=9", "algorithm=grpo", "model=smollm2")
    assert (config.steps, config.algorithm.partial_credit.kind, config.model) == (9, "none", "smollm2")


def test_an_offline_run_counts_its_steps_from_the_groups() -> None:
    config = configure(Words("sgpo_offline_limo", None, [], miniature=True), RECIPES, "offline")
    assert (config.mode, config.steps, config.name) == ("offline", None, "sgpo-offline-limo-miniature")
    assert config.algorithm.surrogate == "log_prob"


def test_a_run_that_is_gone_on_with_has_its_own_settings() -> None:
    with pytest.raises(ConfigError, match="leave out --miniature"):
        configure(Words(None, None, ["resume=x"], miniature=True), RECIPES)


@pytest.mark.parametrize("file", [*TERMS, PROGRAMS])
def test_the_rows_that_come_along_are_those_of_the_task(file: Any) -> None:
    """If not: python -m raysgpo.tasks.small_rows"""
    assert file.read_text(encoding="utf-8") == text_of(file)


def test_guidance_has_chains_to_give() -> None:
    assert small("g2rpo_a_8b").task.path == str(LONG) and small("sgpo_7b").task.path == str(SHORT)
    assert small("g2rpo_a_8b", "guidance=none").task.path == str(LONG), "a twin sees the same rows"
