"""Folders of evaluations as ``jobs/evaluate.py`` leaves them, from who answered what rightly."""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

Right = Mapping[str, Sequence[bool | None]]
"""Question to whether each of its samples is right; None: nobody could say."""


def write_evaluation(
    folder: Path, models: Mapping[str, Mapping[str, Right]], levels: Mapping[str, str] | None = None
) -> Path:
    """``models``: label to set to answers; ``levels``: of questions that have one."""
    folder.mkdir(parents=True)
    (folder / "evaluation.json").write_text(json.dumps({"models": list(models)}))
    rows, scores = [], {}
    for label, sets in models.items():
        found: dict[str, Any] = {}
        for name, questions in sets.items():
            found[name] = _score(questions, levels or {})
            for question, right in questions.items():
                labels = {"level": levels[question]} if levels and question in levels else {}
                rows += [_row(label, name, question, labels, n, one) for n, one in enumerate(right)]
        found["Overall"] = statistics.fmean(score["avg"]["value"] for score in found.values())
        scores[label] = found
    (folder / "answers.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "scores.json").write_text(json.dumps(scores))
    return folder


def _score(questions: Right, levels: Mapping[str, str]) -> dict[str, Any]:
    means = {question: statistics.fmean(bool(one) for one in right) for question, right in questions.items()}
    value = statistics.fmean(means.values())
    by_level: dict[str, list[float]] = {}
    for question, mean in means.items():
        if question in levels:
            by_level.setdefault(f"level={levels[question]}", []).append(mean)
    return {
        "questions": len(questions),
        "samples": min(map(len, questions.values())),
        "avg": {"value": value, "low": max(value - 0.1, 0.0), "high": min(value + 0.1, 1.0)},
        "pass_at": {"1": value},
        "maj": {"1": value},
        "truncated": 0.0,
        "by_label": {key: statistics.fmean(found) for key, found in by_level.items()},
    }


def _row(
    label: str, name: str, question: str, labels: Mapping[str, str], sample: int, right: bool | None
) -> dict[str, Any]:
    return {
        "model": label,
        "set": name,
        "id": question,
        "labels": labels,
        "sample": sample,
        "text": "1",
        "tokens": 1,
        "truncated": False,
        "correct": right,
        "answer": "1",
        "failed": None if right is not None else "the examiner answered nothing",
    }
