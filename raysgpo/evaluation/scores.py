"""From answers to the numbers of a table: ``scores.json``, and the metrics of a run's evaluation.

Shape legend: _Q questions, _N answers to a question.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from raysgpo.config.question_set import QuestionSetConfig
from raysgpo.evaluation.answers import AnswerRow
from raysgpo.evaluation.estimators import Voted, interval, majority_at_k
from raysgpo.output.metrics import Metrics
from raysgpo.output.pass_at_k import mean_pass_at_k, reported_k
from raysgpo.seeds import derive_seed

OVERALL = "Overall"
Scores = dict[str, Any]


def all_scores(
    rows: Iterable[AnswerRow], models: Sequence[str], sets: Sequence[QuestionSetConfig], seed: int
) -> Scores:
    """What stands in ``scores.json``: model to set to ``set_scores``, and the unweighted mean of the sets' averages as
    ``Overall``."""
    of: dict[tuple[str, str], list[AnswerRow]] = {(model, one.name): [] for model in models for one in sets}
    for row in rows:
        of[row.model, row.set].append(row)
    scores: Scores = {}
    for model in models:
        found: Scores = {one.name: set_scores(of[model, one.name], one, seed) for one in sets}
        scores[model] = found | {OVERALL: float(np.mean([one["avg"]["value"] for one in found.values()]))}
    return scores


def set_scores(rows: Sequence[AnswerRow], of: QuestionSetConfig, seed: int) -> Scores:
    """Of one model on one set. An answer that never came, or that nobody could grade, counts as wrong, and among
    ``failed``."""
    rows_QN = _by_question(rows, of.samples)
    means_Q = [float(np.mean([bool(row.correct) for row in rows_N])) for rows_N in rows_QN]
    right_Q = [sum(bool(row.correct) for row in rows_N) for rows_N in rows_QN]
    votes_QN = [[Voted(row.answer, bool(row.correct)) for row in rows_N] for rows_N in rows_QN]
    ks = sorted(of.k) if of.k is not None else reported_k(of.samples)
    low, high = interval(means_Q, derive_seed("interval", seed, of.name))
    return {
        "questions": len(rows_QN),
        "samples": of.samples,
        "avg": {"value": float(np.mean(means_Q)), "low": low, "high": high},
        "pass_at": {str(k): mean_pass_at_k(right_Q, of.samples, k) for k in ks},
        "maj": {}
        if of.runs_programs
        else {str(k): _mean([majority_at_k(votes_N, k) for votes_N in votes_QN]) for k in ks},
        "truncated": _mean([row.truncated for row in rows]),
        "tokens": _mean([row.tokens for row in rows]),
        "failed": sum(row.failed is not None for row in rows),
        "by_label": _by_label(rows_QN, means_Q),
    }


def _by_question(rows: Sequence[AnswerRow], samples: int) -> list[list[AnswerRow]]:
    """In an order of their own, whichever came first."""
    found: dict[str, list[AnswerRow]] = {}
    for row in rows:
        found.setdefault(row.id, []).append(row)
    assert found and all(len(one) == samples for one in found.values()), "every question has all its answers"
    return [sorted(found[name], key=lambda row: row.sample) for name in sorted(found)]


def _by_label(rows_QN: Sequence[Sequence[AnswerRow]], means_Q: Sequence[float]) -> dict[str, float]:
    """``{"level=5": 0.31}``: the average over the questions with each value of each label."""
    values: dict[str, list[float]] = {}
    for rows_N, mean in zip(rows_QN, means_Q, strict=True):
        for name, value in rows_N[0].labels.items():
            values.setdefault(f"{name}={value}", []).append(mean)
    return {label: _mean(values[label]) for label in sorted(values)}


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values))


def set_metrics(name: str, scores: Scores) -> Metrics:
    """The same as metrics of a run: ``eval/SET/avg``, ``eval/SET/pass_at_16``, ``eval/SET/avg/level=5``, ..."""
    of = f"eval/{name}"
    return {
        f"{of}/avg": scores["avg"]["value"],
        **{f"{of}/pass_at_{k}": value for k, value in scores["pass_at"].items()},
        **{f"{of}/maj_at_{k}": value for k, value in scores["maj"].items()},
        f"{of}/truncated": scores["truncated"],
        f"{of}/failed": scores["failed"],
        **{f"{of}/avg/{label}": value for label, value in scores["by_label"].items()},
    }
