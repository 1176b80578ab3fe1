"""A real Prometheus scrapes a real run, and is asked what the board and the alerts ask."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from cluster.monitoring.board import queries
from raysgpo.output.json_lines import read_rows
from raysgpo.output.prometheus import series
from raysgpo.output.run_folder import RunFolder
from tests.cluster.promql import MONITORING, alert_rules
from tests.cluster.synthetic_alerts import ILL, promtool_tests
from tests.full.conftest import ROOT, start_command
from tests.full.test_resumed_job import Cluster, free_ports, started_cluster

pytestmark = [
    pytest.mark.scale,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(
        shutil.which("prometheus") is None or shutil.which("promtool") is None,
        reason="Prometheus is not installed: apt-get install prometheus",
    ),
]

DISCOVERY = "/tmp/ray/prom_metrics_service_discovery.json"
"""Where Ray writes its nodes, as prometheus.yml has it."""
WORDS = [
    "steps=12", "prompts_per_step=8", "sampling.group_size=8", "sampling.max_tokens=24", "evaluation.every=4",
    "evaluation.prompts=16", "checkpoint.every=1", "task.prompts=96",
]  # fmt: skip
FORGOTTEN = 60.0
"""Seconds in which a run that is over has no gauges any more."""


@dataclass(slots=True)
class Prometheus:
    """A server that is asked over HTTP."""

    address: str
    since: float

    def _get(self, path: str, **parameters: str) -> Any:
        text = urllib.parse.urlencode(parameters)
        with urllib.request.urlopen(f"{self.address}/api/v1/{path}?{text}", timeout=30) as answer:
            said = json.load(answer)
        assert said["status"] == "success", said
        return said["data"]

    def ready(self) -> bool:
        try:
            return bool(self._get("targets")["activeTargets"])
        except OSError:
            return False

    def now(self, query: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._get("query", query=query)["result"]
        return found

    def ever(self, query: str) -> list[dict[str, Any]]:
        """Every line that the query has had since the run began."""
        times = {"start": f"{self.since}", "end": f"{time.time()}", "step": "5"}
        found: list[dict[str, Any]] = self._get("query_range", query=query, **times)["result"]
        return found

    def rules(self) -> list[dict[str, Any]]:
        [group] = self._get("rules")["groups"]
        return list(group["rules"])


@dataclass(slots=True)
class Watched:
    run: RunFolder
    prometheus: Prometheus
    cluster: Cluster

    def dashboard(self, path: str) -> Any:
        """What the Ray dashboard's pages are made of."""
        token = self.cluster.environment["RAY_AUTH_TOKEN"]
        request = urllib.request.Request(
            f"{self.cluster.dashboard}{path}", headers={"Authorization": f"Bearer {token}"}
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)


def served(folder: Path, discovery: Path) -> tuple[subprocess.Popen[bytes], str]:
    """Prometheus with our files, but Ray's discovery in another place; the process and its address."""
    [port] = free_ports(1)
    text = (MONITORING / "prometheus.yml").read_text()
    assert DISCOVERY in text
    (folder / "prometheus.yml").write_text(text.replace(DISCOVERY, str(discovery)))
    shutil.copy(MONITORING / "alerts.yml", folder)
    command = [
        "prometheus", f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]  # fmt: skip
    with (folder / "prometheus.txt").open("wb") as out:
        return subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT), f"http://127.0.0.1:{port}"


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """A run of twelve steps that is over, and the Prometheus that saw it."""
    folder = tmp_path_factory.mktemp("watched")
    with started_cluster() as cluster:
        process, address = served(folder, cluster.folder / Path(DISCOVERY).name)
        prometheus = Prometheus(address, time.time())
        try:
            environment = cluster.environment | {"RAY_ADDRESS": cluster.address}
            waited(lambda: (cluster.folder / Path(DISCOVERY).name).exists(), "Ray's list of its nodes")
            words = ["arithmetic", f"storage={folder}", *WORDS]
            command = start_command(
                folder / "command", str(ROOT / "jobs" / "train.py"), *words, environment=environment
            )
            try:
                assert command.wait() == 0, command.text
            finally:
                command.end()
            [run] = (folder / "runs").iterdir()
            time.sleep(15)  # the last step is scraped
            yield Watched(RunFolder(run), prometheus, cluster)
        finally:
            process.terminate()
            process.wait(30)


def waited(condition: Any, what: str, seconds: float = 120.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"no {what} within {seconds:g} s"
        time.sleep(1.0)


def test_each_panel_has_data(watched: Watched) -> None:
    empty = [query for query in queries() if not watched.prometheus.ever(query.replace("$run", watched.run.path.name))]
    assert empty == []


def test_each_number_of_the_run_was_exported_under_its_name(watched: Watched) -> None:
    rows = [*read_rows(watched.run.metrics), *read_rows(watched.run.evaluations)]
    numbers = {metric for row in rows for metric, value in row.items() if value is not None}
    asked = {one for metric in numbers if (one := series(metric)) is not None}
    assert len(asked) > 70
    lost = [
        one for one in asked
        if not watched.prometheus.ever(
            f"ray_{one.name}{{" + ",".join(f'{name}="{text}"' for name, text in one.labels) + "}"
        )
    ]  # fmt: skip
    assert lost == []


def test_counters_add_up_to_the_records(watched: Watched) -> None:
    rows = list(read_rows(watched.run.metrics))
    for metric in ("tokens/sampled", "groups/trained", "judge/calls"):
        one = series(metric)
        assert one is not None
        labels = ",".join([f'run="{watched.run.path.name}"', *(f'{name}="{text}"' for name, text in one.labels)])
        [found] = watched.prometheus.now(f"sum(ray_{one.name}{{{labels}}})")
        assert float(found["value"][1]) == pytest.approx(sum(row[metric] for row in rows))


def test_a_run_that_is_over_has_no_gauges_and_keeps_its_counters(watched: Watched) -> None:
    name = watched.run.path.name
    assert watched.prometheus.ever(f'ray_raysgpo_step{{run="{name}"}}')
    waited(lambda: not watched.prometheus.now(f'ray_raysgpo_step{{run="{name}"}}'), "end of the gauges", FORGOTTEN)
    assert watched.prometheus.now(f'ray_raysgpo_sampled_tokens_total{{run="{name}"}}')


def test_each_alert_is_evaluated(watched: Watched) -> None:
    waited(lambda: all(rule["health"] != "unknown" for rule in watched.prometheus.rules()), "evaluation of the rules")
    rules = watched.prometheus.rules()
    assert {rule["name"] for rule in rules} == {rule["alert"] for rule in alert_rules()}
    assert {rule["health"] for rule in rules} == {"ok"}, rules
    firing = [rule["name"] for rule in rules if rule["state"] == "firing"]
    assert set(firing) <= {"RaysgpoDiskFilling"}, "a healthy run of a minute alarms nobody; the disk is this machine's"
    for rule in alert_rules():
        watched.prometheus.now(rule["expr"])


def test_the_ray_dashboard_calls_the_parts_by_the_run_s_name(watched: Watched) -> None:
    name = watched.run.path.name
    actors = watched.dashboard("/api/v0/actors?detail=1&limit=1000")["data"]["result"]["result"]
    assert {actor["repr_name"] for actor in actors} >= {f"conductor of {name}", f"weight store of {name}"}
    assert any(actor["name"].startswith(f"reaper {name}-") for actor in actors)
    [job] = {actor["job_id"] for actor in actors if actor["class_name"] == "Conductor"}
    datasets = watched.dashboard(f"/api/data/datasets/{job}")["datasets"]
    assert any(dataset["dataset"].startswith(f"{name}-groups") for dataset in datasets), datasets
    assert watched.prometheus.ever(f'{{__name__=~"ray_train_.+", ray_train_run_name="{name}"}}')


def test_promtool_accepts_rules_and_configuration() -> None:
    for words in (["check", "rules", "alerts.yml"], ["check", "config", "prometheus.yml"]):
        done = subprocess.run(["promtool", *words], cwd=MONITORING, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr


def test_each_alert_fires_on_what_it_is_for_and_on_nothing_else(tmp_path: Path) -> None:
    """Synthetic series, through promtool's own evaluation."""
    assert ILL.keys() == {rule["alert"] for rule in alert_rules()}
    (tmp_path / "tests.yml").write_text(yaml.safe_dump(promtool_tests(MONITORING / "alerts.yml")))
    done = subprocess.run(["promtool", "test", "rules", "tests.yml"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
