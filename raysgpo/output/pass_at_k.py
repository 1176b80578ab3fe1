"""pass@k: the chance that at least one of k answers is right."""

from __future__ import annotations

from collections.abc import Sequence
from math import comb


def pass_at_k(answers: int, right: int, k: int) -> float:
    """The unbiased estimate from ``answers`` drawn ones, ``right`` of them right: 1 - C(n - c, k) / C(n, k).

    Source: Chen et al. 2021, *Evaluating Large Language Models Trained on Code* (arXiv 2107.03374), eq. 1.
    """
    assert 0 <= right <= answers and 1 <= k <= answers, f"pass@{k} of {right} right among {answers}"
    return 1.0 - comb(answers - right, k) / comb(answers, k)


def mean_pass_at_k(right_P: Sequence[int], answers: int, k: int) -> float | None:
    """Its mean over prompts with ``answers`` drawn each; None without a prompt."""
    return sum(pass_at_k(answers, right, k) for right in right_P) / len(right_P) if right_P else None


def reported_k(answers: int) -> list[int]:
    """1, 2, 4, ... and ``answers`` itself: the k that are written down."""
    return sorted({answers, *(2**power for power in range(answers.bit_length()) if 2**power <= answers)})
