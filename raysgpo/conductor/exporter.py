"""A run's numbers as Ray metrics, which Prometheus scrapes."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping

from ray.util.metrics import Counter, Gauge

from raysgpo.config.run_name import plain_name
from raysgpo.output.metrics import Metrics
from raysgpo.output.prometheus import LAST_RECORD, SERIES, STEP, Series, help_text, plain_label, samples
from raysgpo.output.run_folder import RunFolder

REFRESH = 1.0
"""Seconds between two times that the gauges are set. Ray forgets one that nobody has set for two of its reports (20 s):
so they last through a long step, and are gone soon after the run. Its shortest report is a second."""


class Exporter:
    """Keeps what Prometheus is told of one run up to date, until it is closed or its process ends.

    Counters begin at 0 before the first step, so that ``increase()`` sees that one too. Ray keeps those of a run that
    has ended until its node goes: whether a run is alive, its gauges say.
    """

    def __init__(self, run: RunFolder, step: int, facts: Mapping[Series, float]) -> None:
        """``step``: optimizer steps done; ``facts``: gauges that stay as they are."""
        self._tags = {"run": plain_name(run.path.name), "folder": plain_label(str(run.path))}
        self._told: dict[str, Gauge] = {}
        self._counters: dict[str, Counter] = {}
        self._gauges = {**facts, STEP: float(step), LAST_RECORD: time.time()}
        self._lock = threading.Lock()
        self._closed = threading.Event()
        for series in SERIES.values():
            if series.kind == "counter":
                self._count(series, 0.0)
        self._set_all()
        threading.Thread(target=self._refresh, name="exporter", daemon=True).start()

    def show(self, row: Metrics, step: int) -> None:
        """A row that was recorded. ``step``: optimizer steps done. A gauge whose number is null ends."""
        with self._lock:
            for series, value in samples(row):
                if series.kind == "counter":
                    self._count(series, value or 0.0)
                elif value is None:
                    self._gauges.pop(series, None)
                else:
                    self._gauges[series] = float(value)
            self._gauges |= {STEP: float(step), LAST_RECORD: time.time()}
        self._set_all()

    def close(self) -> None:
        self._closed.set()

    def _refresh(self) -> None:
        while not self._closed.wait(REFRESH):
            self._set_all()

    def _set_all(self) -> None:
        with self._lock:
            for series, value in self._gauges.items():
                if series.name not in self._told:
                    self._told[series.name] = Gauge(series.name, help_text(series.name), self._keys(series))
                self._told[series.name].set(value, self._labels(series))

    def _count(self, series: Series, value: float) -> None:
        if series.name not in self._counters:
            self._counters[series.name] = Counter(series.name, help_text(series.name), self._keys(series))
        self._counters[series.name]._record(value, self._labels(series))  # ``inc`` takes no 0

    def _keys(self, series: Series) -> tuple[str, ...]:
        return *self._tags, *series.label_names

    def _labels(self, series: Series) -> dict[str, str]:
        return self._tags | {name: plain_label(text) for name, text in series.labels}
