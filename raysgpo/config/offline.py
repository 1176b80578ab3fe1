"""Settings of training on a file of groups (SGPO, arXiv 2505.11595, section 4.1)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from raysgpo.config.algorithm import AlgorithmConfig
from raysgpo.config.curriculum import CurriculumConfig
from raysgpo.config.guidance import GuidanceConfig
from raysgpo.config.section import MOST_EPOCHS, Section


class OfflineConfig(Section):
    """Training on groups that were sampled once, by ``jobs/offline.py``: no replica samples while it trains."""

    groups: str | None = None
    """A JSONL file of groups, such as the ``groups.jsonl`` of a run; None samples them from the policy."""
    passes: float = Field(1.0, gt=0, le=MOST_EPOCHS)
    """Passes over the training prompts, one group a prompt and pass, where groups are sampled."""
    keep: Literal["all_negative", "positive", "solutions"] = "all_negative"
    """``all_negative``: the groups without a right answer, judged [paper]; ``positive``: the right answers alone;
    ``solutions``: the task's own, with nothing sampled (SFT)."""
    positive_advantage: Literal["one", "group"] = "one"
    """keep=positive: ``one``: 1 for every right answer; ``group``: the group's own positive advantages."""
    epochs: float = Field(3.0, gt=0, le=MOST_EPOCHS)
    """Passes over the kept groups [paper: 3], where ``steps`` is not given."""
    rejudge: bool = False
    """Judge those groups of the file again that it says were judged."""


def impossible_offline(
    offline: OfflineConfig, guidance: GuidanceConfig, curriculum: CurriculumConfig, algorithm: AlgorithmConfig
) -> str | None:
    """What has no meaning in an offline run: its groups are sampled before the first step, and shuffled."""
    if offline.keep == "solutions" and offline.groups is not None:
        return (
            f"offline.groups={offline.groups} with offline.keep=solutions, which are the task's own: leave the file "
            "out, or set offline.keep=positive"
        )
    if offline.keep == "solutions" and offline.positive_advantage == "group":
        return (
            "offline.positive_advantage=group with offline.keep=solutions: a solution has no group to be compared in; "
            "set offline.positive_advantage=one"
        )
    if offline.keep == "positive" and offline.positive_advantage == "group" and algorithm.needs_step:
        return (
            f"offline.positive_advantage=group with algorithm.baseline={algorithm.baseline}: the advantage within a "
            "group is asked for, and this baseline compares over a step; set algorithm.baseline=mean"
        )
    if algorithm.credit != "answer" and offline.keep != "all_negative":
        return (
            f"algorithm.credit={algorithm.credit} with offline.keep={offline.keep}, which keeps right answers alone: "
            "only a wrong one has a first error; set algorithm.credit=answer, or offline.keep=all_negative"
        )
    if algorithm.denominator == "sampled":
        return (
            "algorithm.denominator=sampled: the steps of an offline run are made of groups that were kept for their "
            "signal, so all of them are trained on: set algorithm.denominator=trained"
        )
    if guidance.on:
        return (
            f"guidance.schedule={guidance.schedule}: an offline run samples before its first step, and a guidance's "
            "length goes with the steps: set guidance=none, or take offline.groups of a guided run"
        )
    if curriculum.order != "random":
        return (
            f"curriculum.order={curriculum.order}: an offline run shuffles its kept groups in each epoch: "
            "set curriculum=random"
        )
    if curriculum.success_window is not None:
        return (
            f"curriculum.success_window={list(curriculum.success_window)}: offline.keep={offline.keep} says which "
            "groups of an offline run are trained on: set curriculum.success_window=null"
        )
    if curriculum.above is not None and offline.groups is not None:
        return (
            f"{curriculum.filter_key}={curriculum.above}: the groups of offline.groups are there already: "
            f"remove the rows from the file, or set {curriculum.filter_key}=null"
        )
    return None
