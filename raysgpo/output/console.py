"""What a person sees while a run is under way: a progress bar, or plain lines where there is no terminal."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self, TextIO

from rich.console import Console as Terminal
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from raysgpo.output.metrics import Metrics


def sampled_numbers(row: Metrics) -> str:
    """What a step of an online run shows."""
    return (
        f"{_accuracy(row)}  all-negative {_percent(row['groups/all_negative_share'])}  "
        f"{row['tokens/per_second'] or 0:,.0f} tokens/s"
    )


def _accuracy(row: Metrics) -> str:
    """With guidance the two kinds of rollouts apart: their mean may rise by the guidance alone."""
    if not row.get("guidance/share"):
        return f"accuracy {_percent(row['accuracy/mean'])}"
    unguided, guided = (_percent(row[f"accuracy/{kind}"]) for kind in ("unguided", "guided"))
    return f"accuracy {unguided} unguided {guided} guided by {row['guidance/tokens'] or 0:3.0f} tokens"


def update_numbers(row: Metrics) -> str:
    """What a step on recorded groups shows: of those, the update alone is news."""
    loss, entropy = (row[f"policy/{name}"] for name in ("loss", "entropy"))
    if loss is None or entropy is None:
        return "no update"
    return f"loss {loss:+.4f}  entropy {entropy:.3f}  clipped {_percent(row['policy/clip_share'])}"


def _evaluation(row: Metrics) -> str:
    shown = f"{_percent(row['eval/accuracy']).strip()} of {row['eval/prompts']}"
    drawn = [name for name in row if re.fullmatch(r"eval/pass_at_\d+", name)]
    coverage = [f"pass@{name.rpartition('_')[2]} {_percent(row[name]).strip()}" for name in drawn]
    sets = [name for name in row if re.fullmatch(r"eval/[^/]+/avg", name)]
    scores = [f"{name.split('/')[1]} {_percent(row[name]).strip()}" for name in sets]
    return f"held-out accuracy after {row['step']} steps: {', '.join([shown, *coverage, *scores])}"


class Console:
    """One line a step without a terminal; with one, a bar that carries the same numbers."""

    def __init__(
        self, total_steps: int, done: int, out: TextIO, numbers: Callable[[Metrics], str] = sampled_numbers
    ) -> None:
        """``done``: steps that a resumed run has already; ``numbers``: what is said of a step."""
        self._numbers = numbers
        self._terminal = Terminal(file=out, highlight=False, soft_wrap=True)
        self._total = total_steps
        self._first: tuple[int, float] | None = None
        self._bar: Progress | None = None
        self._task = TaskID(0)
        if out.isatty():
            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(bar_width=24),
                MofNCompleteColumn(),
                TextColumn("{task.fields[numbers]}"),
                TimeElapsedColumn(),
                TextColumn("left"),
                TimeRemainingColumn(),
                console=self._terminal,
                redirect_stdout=False,  # what is printed elsewhere is not ours
            )
            self._task = self._bar.add_task("starting", total=total_steps, completed=done, numbers="")

    def __enter__(self) -> Self:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def say(self, message: str) -> None:
        self._terminal.print(message, markup=False)

    def phase(self, name: str) -> None:
        if self._bar is not None:
            self._bar.update(self._task, description=name)

    def row(self, row: Metrics) -> None:
        """A step's numbers, or an evaluation's."""
        if "groups/trained" not in row:
            self.say(_evaluation(row))
            return
        done = int(row["step"] or 0) + 1
        numbers = self._numbers(row)
        if self._bar is not None:
            self._bar.update(self._task, completed=done, numbers=numbers)
        else:
            self.say(f"step {done}/{self._total}  {numbers}  {row['time/step'] or 0:.1f} s  left {self._left(done)}")
        if row["groups/trained"] == 0:
            self.say(f"step {done}: no group with a signal, so no update")

    def _left(self, done: int) -> str:
        """Time to the end at the pace since the first step, whose start-up says nothing of the others."""
        if self._first is None:
            self._first = (done, time.time())
        step, at = self._first
        if done == step:
            return "-"
        seconds = int((time.time() - at) / (done - step) * (self._total - done))
        return f"{seconds // 60}:{seconds % 60:02d}"


def _percent(value: float | int | None) -> str:
    return "   -" if value is None else f"{100 * value:3.0f}%"
