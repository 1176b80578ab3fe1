"""The one writer of a run's records: JSONL, Ray metrics, and lines for the console."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence

from ray.util.metrics import Gauge

from raysgpo.config.run_name import plain_name
from raysgpo.output.group_json import group_row
from raysgpo.output.metrics import Metrics
from raysgpo.output.run_folder import JsonLines, Row, RunFolder, cut_rows
from raysgpo.records import Group


def prometheus_name(metric: str) -> str:
    """``accuracy/mean`` to ``raysgpo_accuracy_mean``: Ray discards names with other characters."""
    return "raysgpo_" + re.sub(r"[^a-zA-Z0-9_]", "_", metric)


def finite(row: Metrics) -> Metrics:
    """A diverged step's NaN and infinities as null: JSON has neither, and the run must not end over its log."""
    return {name: value if value is None or math.isfinite(value) else None for name, value in row.items()}


class Reporter:
    """Writes each step once. A resumed run first cuts the records at its checkpoint's step."""

    def __init__(self, run: RunFolder, step: int, tokens: bool, said: Iterable[str] = ()) -> None:
        """``step``: optimizer steps done; ``said``: lines that the console has shown already."""
        for path in (run.metrics, run.groups):
            cut_rows(path, step)
        for path in (run.evaluations, run.answers):
            cut_rows(path, step + 1)
        self.rows: list[Metrics] = []
        self._tokens = tokens
        self._run = plain_name(run.path.name)
        self._metrics, self._groups = JsonLines(run.metrics), JsonLines(run.groups)
        self._evaluations, self._answers = JsonLines(run.evaluations), JsonLines(run.answers)
        self._gauges: dict[str, Gauge] = {}
        self._messages: list[str] = []
        self._said = set(said)

    def record(self, row: Metrics, groups: Sequence[Group]) -> None:
        """One step: its groups, then its numbers, so that a line of metrics has its groups on disk."""
        row = finite(row)
        for group in groups:
            self._groups.write(group_row(group, self._tokens))
        self._metrics.write(row)
        self.rows.append(row)
        self._export(row)

    def record_evaluation(self, row: Metrics, answers: Sequence[Row]) -> None:
        """One evaluation: its answers, then its numbers. ``step`` is the number of optimizer steps of the policy."""
        for answer in answers:
            self._answers.write({"step": row["step"], **answer})
        self._evaluations.write(row)
        self.rows.append(row)
        self._export(row)

    def say(self, message: str, kind: str | None = None) -> None:
        """A line for the console; the same line is said once, and of a ``kind`` only the first."""
        key = kind or message
        if key not in self._said:
            self._said.add(key)
            self._messages.append(message)

    def take_messages(self) -> list[str]:
        messages, self._messages = self._messages, []
        return messages

    def close(self) -> None:
        for file in (self._metrics, self._groups, self._evaluations, self._answers):
            file.close()

    def _export(self, row: Metrics) -> None:
        for name, value in row.items():
            if value is None or name == "step":
                continue
            gauge = self._gauges.get(name)
            if gauge is None:
                description = ascii(name)[1:-1]  # a label of the rows may have any letters, and Ray takes these alone
                gauge = self._gauges[name] = Gauge(prometheus_name(name), description=description, tag_keys=("run",))
                gauge.set_default_tags({"run": self._run})
            gauge.set(float(value))
