"""The scores of an evaluation as a table for the console."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TextIO

from rich import box
from rich.console import Console
from rich.table import Table

from raysgpo.evaluation.scores import OVERALL, Scores

WIDTH = 120


def print_scores(scores: Scores, out: TextIO) -> None:
    """A line for each model and set, per cent."""
    table = Table(box=box.SIMPLE_HEAD, caption="per cent; in brackets: 95 % bootstrap intervals over questions")
    for name in ("model", "set"):
        table.add_column(name, overflow="fold")
    for name in ("questions", "score", "", "pass@k", "maj@k", "cut off", "failed"):
        table.add_column(name, justify="right", no_wrap=True)
    for model, found in scores.items():
        for cells in _lines(found):
            table.add_row(model, *cells)
        table.add_section()
    Console(file=out, width=WIDTH if not out.isatty() else None, highlight=False).print(table)


def _lines(found: Scores) -> Iterator[tuple[str, ...]]:
    for name, one in found.items():
        if name == OVERALL:
            yield name, "", _percent(one), "", "", "", "", ""
        else:
            yield name, *_cells(one)


def _cells(one: dict[str, Any]) -> tuple[str, ...]:
    samples, avg = one["samples"], one["avg"]
    metric = "pass@1" if samples == 1 else f"avg@{samples}"
    widest = {name: _widest(name, one[key], samples) for name, key in (("pass", "pass_at"), ("maj", "maj"))}
    return (
        f"{one['questions']:,}",
        f"{metric} {_percent(avg['value'])}",
        f"[{_percent(avg['low'])}, {_percent(avg['high'])}]",
        widest["pass"],
        widest["maj"],
        _percent(one["truncated"]),
        str(one["failed"]),
    )


def _widest(name: str, by_k: dict[str, float], samples: int) -> str:
    """Of the largest k; nothing where one answer is all."""
    if samples == 1 or not by_k:
        return ""
    k = max(by_k, key=int)
    return f"{name}@{k} {_percent(by_k[k])}"


def _percent(value: float) -> str:
    return f"{100 * value:.1f}"
