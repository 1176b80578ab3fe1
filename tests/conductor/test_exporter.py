"""What Ray is told of a run's numbers, and for how long."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from raysgpo.conductor import exporter as exporter_file
from raysgpo.conductor.exporter import Exporter
from raysgpo.output.prometheus import LAST_RECORD, REPLICAS_WANTED
from raysgpo.output.run_folder import RunFolder

Line = tuple[str, frozenset[tuple[str, str]]]


class FakeMetric:
    """Keeps what it was told, under its name and labels. As Ray's, it takes ASCII alone, and every label it knows."""

    told: ClassVar[list[tuple[Line, float]]] = []
    names: ClassVar[set[str]] = set()

    def __init__(self, name: str, description: str, tag_keys: tuple[str, ...]) -> None:
        assert name not in self.names, "a metric is made once"
        self.names.add(name)
        f"{name} {description}".encode("ascii")
        self._name, self._keys = name, tag_keys

    def _record(self, value: float, tags: dict[str, str]) -> None:
        assert sorted(tags) == sorted(self._keys)
        " ".join(tags.values()).encode("ascii")
        labels = frozenset((key, text) for key, text in tags.items() if key not in ("run", "folder"))
        self.told.append(((self._name, labels), value))


class FakeGauge(FakeMetric):
    def set(self, value: float, tags: dict[str, str]) -> None:
        self._record(value, tags)


class FakeCounter(FakeMetric): ...


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[Line, float]]]:
    FakeMetric.told.clear()
    FakeMetric.names.clear()
    monkeypatch.setattr(exporter_file, "Gauge", FakeGauge)
    monkeypatch.setattr(exporter_file, "Counter", FakeCounter)
    monkeypatch.setattr(exporter_file, "REFRESH", 0.02)
    yield FakeMetric.told


def line(name: str, **labels: str) -> Line:
    return f"raysgpo_{name}", frozenset(labels.items())


def total(told: list[tuple[Line, float]], of: Line) -> list[float]:
    return [value for one, value in told if one == of]


def test_a_counter_begins_at_zero_and_adds_a_step_s_amount_once(told: list[tuple[Line, float]], tmp_path: Path) -> None:
    exporter = Exporter(RunFolder(tmp_path), 0, {})
    for step in (1, 2):
        exporter.show({"step": step - 1, "tokens/sampled": 10 * step, "groups/trained": 3, "groups/failed": 0}, step)
    time.sleep(0.1)
    exporter.close()
    assert total(told, line("sampled_tokens_total")) == [0, 10, 20]
    assert total(told, line("groups_total", fate="trained")) == [0, 3, 3]
    assert total(told, line("groups_total", fate="failed")) == [0, 0, 0]


def test_gauges_are_told_again_until_the_run_ends(told: list[tuple[Line, float]], tmp_path: Path) -> None:
    """Ray forgets a gauge within seconds, and a step may take an hour."""
    exporter = Exporter(RunFolder(tmp_path), 3, {REPLICAS_WANTED: 2.0})
    assert total(told, line("step"))[0] == 3 and total(told, line("rollout_replicas_wanted"))[0] == 2
    exporter.show({"step": 3, "accuracy/mean": 0.5}, 4)
    time.sleep(0.2)
    assert len(total(told, line("accuracy_ratio"))) > 2
    assert set(total(told, line("accuracy_ratio"))) == {0.5} and total(told, line("step"))[-1] == 4
    assert total(told, (LAST_RECORD.name, frozenset()))[-1] == pytest.approx(time.time(), abs=60)
    exporter.close()
    time.sleep(0.05)
    told.clear()
    time.sleep(0.1)
    assert not told


def test_a_rate_over_nothing_ends_its_gauge_and_another_row_s_number_stays(
    told: list[tuple[Line, float]], tmp_path: Path
) -> None:
    exporter = Exporter(RunFolder(tmp_path), 0, {})
    exporter.show({"step": 0, "judge/rts_mean": 0.5, "eval/accuracy": 0.25}, 1)
    exporter.show({"step": 1, "judge/rts_mean": None}, 2)
    told.clear()
    time.sleep(0.1)
    exporter.close()
    assert not total(told, line("judge_rts_ratio"))
    assert set(total(told, line("eval_accuracy_ratio"))) == {0.25}


def test_letters_of_every_script_come_out_as_ascii(
    told: list[tuple[Line, float]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tags: list[dict[str, str]] = []
    record: Any = FakeMetric._record

    def kept(self: FakeMetric, value: float, of: dict[str, str]) -> None:
        tags.append(of)
        record(self, value, of)

    monkeypatch.setattr(FakeMetric, "_record", kept)
    exporter = Exporter(RunFolder(tmp_path / "größe-001"), 0, {})
    exporter.show({"step": 2, "eval/accuracy/算术": 1.0, "eval/accuracy/é": 0.5}, 2)
    exporter.close()
    assert len({one["run"] for one in tags}) == 1 and tags[0]["run"].startswith("gr-e-001-")
    assert len({one["label"] for one in tags if "label" in one}) == 2, "two labels stay two"
