"""Records are written once, and under names that Prometheus takes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from raysgpo.conductor import reporter as reporter_file
from raysgpo.conductor.reporter import Reporter, prometheus_name
from raysgpo.output.metrics import StepTimes, evaluation_metrics, group_metrics, time_metrics
from raysgpo.output.run_folder import RunFolder, read_rows
from raysgpo.records import Group


class FakeGauge:
    """Keeps what it was set to, under its name. As Ray's, it raises over letters outside of ASCII."""

    values: dict[str, float]

    def __init__(self, name: str, description: str, tag_keys: tuple[str, ...]) -> None:
        assert name not in self.values, "a gauge is made once"
        f"{name} {description}".encode("ascii")
        self._name = name

    def set_default_tags(self, tags: dict[str, str]) -> None:
        " ".join([*tags, *tags.values()]).encode("ascii")
        self.tags = tags

    def set(self, value: float) -> None:
        self.values[self._name] = value


@pytest.fixture
def gauges(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, float]]:
    FakeGauge.values = {}
    monkeypatch.setattr(reporter_file, "Gauge", FakeGauge)
    yield FakeGauge.values


def test_every_metric_has_a_prometheus_name_of_its_own() -> None:
    times = StepTimes(0.0, 1.0, (0.0, 0.0), (0.0, 0.0), (0.0, 0.0))
    metrics = {
        **group_metrics([]),
        **time_metrics([], times),
        **evaluation_metrics([["Höher 2"], ["4"]], [True, False]),
    }
    names = [prometheus_name(name) for name in metrics]
    assert len(set(names)) == len(names) > 30
    for name in names:
        assert re.fullmatch(r"[a-zA-Z_][a-zA-Z0-9_]*", name, re.ASCII), name
    assert prometheus_name("accuracy/mean") == "raysgpo_accuracy_mean"


def test_a_step_goes_to_every_place(gauges: dict[str, float], tmp_path: Path, make_group: Callable[..., Group]) -> None:
    run = RunFolder(tmp_path)
    reporter = Reporter(run, 0, tokens=False)
    for step in range(2):
        groups = [make_group(2 * step + i, step=step) for i in range(2)]
        reporter.record({"step": step, "accuracy/mean": step + 0.5, "judge/rts_mean": None}, groups)
    answers: list[dict[str, object]] = [{"prompt_id": "a", "correct": True}, {"prompt_id": "b", "correct": None}]
    reporter.record_evaluation({"step": 2, "eval/accuracy": 1.0}, answers)
    reporter.close()
    assert [row["accuracy/mean"] for row in read_rows(run.metrics)] == [0.5, 1.5]
    assert [row["position"] for row in read_rows(run.groups)] == [0, 1, 2, 3]
    assert list(read_rows(run.evaluations)) == [{"step": 2, "eval/accuracy": 1.0}]
    assert list(read_rows(run.answers)) == [{"step": 2, **answer} for answer in answers]
    assert gauges == {"raysgpo_accuracy_mean": 1.5, "raysgpo_eval_accuracy": 1.0}
    assert len(reporter.rows) == 3


def test_letters_of_every_script_in_a_runs_name_and_in_its_labels_are_recorded_as_they_are(
    gauges: dict[str, float], tmp_path: Path
) -> None:
    (tmp_path / "größe-001").mkdir()
    run = RunFolder(tmp_path / "größe-001")
    reporter = Reporter(run, 0, tokens=False)
    reporter.record_evaluation({"step": 2, "eval/accuracy/算术": 1.0}, [])
    reporter.close()
    assert list(read_rows(run.evaluations)) == [{"step": 2, "eval/accuracy/算术": 1.0}]
    assert list(gauges.values()) == [1.0]


def test_a_resumed_run_takes_back_what_it_will_write_again(gauges: dict[str, float], tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    before = Reporter(run, 0, tokens=False)
    for step in range(4):
        before.record({"step": step, "x": 1.0}, [])
        before.record_evaluation({"step": step + 1, "y": 1.0}, [{"prompt_id": "a"}])
    before.close()
    gauges.clear()
    after = Reporter(run, 2, tokens=False)
    assert [row["step"] for row in read_rows(run.metrics)] == [0, 1]
    # The policy with two steps is the one that is gone on from, and its evaluation stands.
    assert [row["step"] for row in read_rows(run.evaluations)] == [1, 2]
    assert [row["step"] for row in read_rows(run.answers)] == [1, 2]
    after.close()


def test_the_same_words_are_said_once(gauges: dict[str, float], tmp_path: Path) -> None:
    reporter = Reporter(RunFolder(tmp_path), 0, tokens=False)
    for message in ("a", "b", "a"):
        reporter.say(message)
    assert reporter.take_messages() == ["a", "b"]
    reporter.say("a")
    assert reporter.take_messages() == []
    reporter.say("step 1: c", "kind")
    reporter.say("step 2: c", "kind")
    assert reporter.take_messages() == ["step 1: c"]
    reporter.close()
