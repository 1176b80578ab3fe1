"""Settings of the order of the training prompts, and of which are left out."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from raysgpo.config.section import Section


class CurriculumConfig(Section):
    """In which order an epoch visits the training prompts, and which samples are not trained on."""

    presets: ClassVar = {
        "random": {"order": "random"},
        "difficulty": {"order": "difficulty", "field": "difficulty"},
        "level": {"order": "difficulty", "field": "level"},
        "tier": {"order": "tier", "field": "source"},
        "success": {"order": "success"},
        "target": {"order": "target", "field": "difficulty"},
    }

    order: Literal["random", "difficulty", "tier", "success", "target"] = "random"
    """From easy to hard by a number (``difficulty``), by a named ``tier`` or by the success rate measured in the
    epochs before (``success``: the first is random); or, each step, those whose difficulty is nearest to one that
    follows the success (``target``, ADARFT, arXiv 2504.05520). Equal ones, and under ``random`` all, are shuffled anew
    in each epoch."""
    field: str = "difficulty"
    """The row's field that holds the difficulty, a number ("Level 3" is one), or the tier, a name out of
    ``curriculum.tiers``."""
    tiers: tuple[str, ...] = ("cn_contest", "aops_forum", "amc_aime", "olympiads", "olympiads_ref")
    """Names of tiers from easy to hard [paper]."""
    remove_above: float | str | None = None
    """Training prompts of a greater difficulty, or of a harder tier if a name is given, are left out."""
    replace_above: float | str | None = None
    """The same, but the harder half of those that stay takes their places in an epoch, and stands there again."""
    success_window: tuple[float, float] | None = None
    """Groups whose share of right answers does not lie strictly between these two are not trained on: [0.2,0.8];
    [0,1] drops both extremes (Reinforce-Rej)."""

    target: float | None = None
    """target: the difficulty of the first step [paper: 0 of 100]; None: the least that a training prompt has."""
    target_success: float = Field(0.5, ge=0, le=1)
    """target: the share of right answers at which the difficulty stays [paper]; above it rises, below it falls."""
    target_sensitivity: float = Field(2.0, gt=0)
    """target: alpha of tanh(alpha (share - ``target_success``)) [paper]."""
    target_change: float = Field(0.5, gt=0)
    """target: eta, what the tanh is multiplied with, as a share of the range of the difficulties [paper: 50 of 100]."""

    @property
    def above(self) -> float | str | None:
        """Above which difficulty, or tier, a training prompt is not trained on; None: all are."""
        return self.remove_above if self.replace_above is None else self.replace_above

    @property
    def filter_key(self) -> str:
        """The name of the setting that ``above`` is from."""
        return "curriculum.remove_above" if self.replace_above is None else "curriculum.replace_above"

    @property
    def by_tier(self) -> bool:
        return self.order == "tier" or isinstance(self.above, str)


def impossible_curriculum(curriculum: CurriculumConfig) -> str | None:
    """What cannot work among the settings."""
    window, above, key = curriculum.success_window, curriculum.above, curriculum.filter_key
    if window is not None and not 0 <= window[0] < window[1] <= 1:
        return f"curriculum.success_window={list(window)}: give two shares, the lower one first, as in [0.2,0.8]"
    if curriculum.remove_above is not None and curriculum.replace_above is not None:
        return (
            f"curriculum.remove_above={curriculum.remove_above} and curriculum.replace_above={above} both say what "
            "becomes of hard training prompts: leave one of them out"
        )
    if above is not None and curriculum.by_tier and above not in curriculum.tiers:
        return f"{key}={above}: no such tier; curriculum.tiers has {', '.join(curriculum.tiers)}"
    return None
