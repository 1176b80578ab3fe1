"""How hard a problem is said to be, and which are left out for it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import cycle, islice

import numpy as np

from raysgpo.config import CurriculumConfig
from raysgpo.records import Problem
from raysgpo.seeds import derive_seed

NAMED = 5
"""How many rows a message names."""
RANKED = ("difficulty", "tier", "target")
"""Orders that ask each problem for its difficulty."""
LEVEL = re.compile(r"\s*(?:level\s*)?(\d{1,6}(?:\.\d{1,6})?)\s*", re.IGNORECASE)
"""A number as a text, and how MATH writes its levels: "Level 3"."""


def ranks(problems: Sequence[Problem], config: CurriculumConfig) -> list[float]:
    """The difficulty of each problem, or the place of its tier: lower is easier. "Level 3" is a difficulty of 3.

    Raises:
        ValueError: a problem has no such field, or another value than a number or a known tier.
    """
    found = [_rank(problem.metadata.get(config.field), config) for problem in problems]
    wrong = [problem.id for problem, rank in zip(problems, found, strict=True) if rank is None]
    if wrong:
        expected = f"one of {', '.join(config.tiers)} (curriculum.tiers)" if config.by_tier else "a number"
        shown = ", ".join(wrong[:NAMED]) + (", ..." if len(wrong) > NAMED else "")
        raise ValueError(
            f"curriculum.field={config.field}: {len(wrong)} of {len(problems)} training rows ({shown}) do not have "
            f"{expected} there: fill it in, name another field, or set curriculum=random"
        )
    return [rank for rank in found if rank is not None]


def order_ranks(problems: Sequence[Problem], config: CurriculumConfig) -> list[float] | None:
    """What an epoch is sorted by, from the data alone; None where nothing of the data decides."""
    return ranks(problems, config) if config.order in RANKED and config.order != "target" else None


def filtered(problems: Sequence[Problem], config: CurriculumConfig, seed: int) -> list[int]:
    """Indices of the training problems of an epoch: those that stay, then what takes the places of the hard ones.

    Remove and Replace of G2RPO-A's Table 7. Which moderate problems replace the hard ones the paper does not say:
    here the harder half of those that stay, the hardest first, each about as often.

    Raises:
        ValueError: no problem stays, or one cannot be ranked that must be.
    """
    kept = chosen(problems, config)
    if config.replace_above is None:
        return kept
    rank = ranks(problems, config)
    shuffled = np.random.default_rng(derive_seed("replaced", seed)).permutation(kept).tolist()
    harder = sorted(shuffled, key=lambda index: -rank[index])[: (len(kept) + 1) // 2]
    return kept + list(islice(cycle(harder), len(problems) - len(kept)))


def chosen(problems: Sequence[Problem], config: CurriculumConfig) -> list[int]:
    """Indices of the training problems that stay.

    Raises:
        ValueError: no problem stays, or one cannot be ranked that must be.
    """
    above = config.above
    if above is None:
        if config.order in RANKED:
            ranks(problems, config)  # Whatever is wrong with the rows is said now.
        return list(range(len(problems)))
    limit = config.tiers.index(above) if isinstance(above, str) else above
    kept = [index for index, rank in enumerate(ranks(problems, config)) if rank <= limit]
    if not kept:
        raise ValueError(
            f"{config.filter_key}={above}: all of the {len(problems)} training prompts are harder: raise it"
        )
    return kept


def _rank(value: object, config: CurriculumConfig) -> float | None:
    if config.by_tier:
        return float(config.tiers.index(value)) if isinstance(value, str) and value in config.tiers else None
    if isinstance(value, str) and (level := LEVEL.fullmatch(value)):
        return float(level[1])
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    try:
        return float(value)
    except OverflowError:  # an integer of hundreds of digits
        return None
