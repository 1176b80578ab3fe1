"""A paper's table as the variants that are trained for it: ``jobs/compare.py --sweep sgpo_table_4``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from raysgpo.config import Config
from raysgpo.studies.comparison.variants import Listed, Wording

PLACES_OF_SIZE = ("model", "judge.model", "judge.base_url")
"""What ``--miniature`` replaces for all variants, so none of them may name it."""


@dataclass(frozen=True, slots=True)
class Sweep:
    """The variants of one table; the first is what the others are compared with."""

    recipe: str
    variants: Mapping[str, str]
    """The paper's row, by its label or by a method that one row alone has, to its ``key=value`` words."""
    words: str = ""
    """Settings of all variants."""
    seeds: str = "0"
    """As many runs of each as the paper has."""

    def listed(self, name: str) -> Listed:
        wordings = (Wording(label, tuple(words.split())) for label, words in self.variants.items())
        return Listed(name, tuple(wordings))

    def common(self, typed: Iterable[str]) -> list[str]:
        """The words of all variants, less those of keys that the user typed."""
        keys = {word.partition("=")[0] for word in typed}
        return [word for word in self.words.split() if word.partition("=")[0] not in keys]


def in_miniature(listed: Listed, large: Config, small: Config) -> Listed:
    """The same variants for ``--miniature``: a guidance length is the same share of the longest answer, and what names
    a model is left out; of variants that then are one, the first stays."""
    share = small.sampling.max_tokens / large.sampling.max_tokens
    kept: dict[tuple[str, ...], Wording] = {}
    for wording in listed.wordings:
        words = small_words(wording.words, share)
        kept.setdefault(words, Wording(wording.name, words))
    return Listed(listed.name, tuple(kept.values()))


def small_words(words: Iterable[str], share: float) -> tuple[str, ...]:
    """``share``: of the longest answer of a miniature in the recipe's own."""
    found = []
    for word in words:
        key, _, value = word.partition("=")
        if key not in PLACES_OF_SIZE:
            found.append(f"{key}={max(1, round(int(value) * share))}" if key == "guidance.length" else word)
    return tuple(found)
