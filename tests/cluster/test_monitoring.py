"""Board, alerts and scraping ask for what raysgpo and Ray export, and say what to do.

``tests/scale/test_watched_run.py`` asks a real Prometheus.
"""

from __future__ import annotations

import json
import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

from cluster.monitoring.board import page, queries
from raysgpo.output.prometheus import OF_THE_RUN, Series, series
from tests.cluster.promql import BOARD, MONITORING, Selector, alert_rules, selectors
from tests.metrics_page import defined

DOCS = Path(__file__).parents[2] / "docs"
LABELS = {"run", "folder"}


def known() -> dict[str, list[Series]]:
    """Every series of raysgpo by its name in Prometheus."""
    found: dict[str, list[Series]] = {}
    for one in [*OF_THE_RUN, *(each for metric in defined() if (each := series(metric)) is not None)]:
        found.setdefault(f"ray_{one.name}", []).append(one)
    return found


def ray_gauges() -> str:
    """The source of what Ray exports of a node."""
    spec = find_spec("ray")
    assert spec is not None and spec.origin is not None
    return (Path(spec.origin).parent / "dashboard/modules/reporter/reporter_agent.py").read_text()


def wrong(selector: Selector, ours: dict[str, list[Series]], rays: str) -> str | None:
    """Why a selector finds nothing, whatever a run does; None if it may."""
    if selector.name == "up":
        return None
    if not selector.name.startswith("ray_raysgpo_"):
        gauge = selector.name.removeprefix("ray_")
        return None if f'"{gauge}": Gauge(' in rays else f"Ray exports no {gauge}"
    if selector.name not in ours:
        return f"raysgpo exports no {selector.name}"
    for label, operator, value in selector.labels:
        values = [dict(one.labels).get(label) for one in ours[selector.name]]
        if label not in LABELS and all(found is None for found in values):
            return f"{selector.name} has no label {label}"
        free = "" in values or selector.name == "ray_raysgpo_run_info"
        if label not in LABELS and operator == "=" and value not in values and not free:
            return f"{selector.name} has no {label}={value}"
    return None


@pytest.fixture(scope="module")
def exported() -> tuple[dict[str, list[Series]], str]:
    return known(), ray_gauges()


def test_each_panel_asks_for_what_is_exported(exported: tuple[dict[str, list[Series]], str]) -> None:
    asked = [selector for query in queries() for selector in selectors(query)]
    assert len(asked) > 40
    assert [reason for one in asked if (reason := wrong(one, *exported)) is not None] == []


def test_each_alert_asks_for_what_is_exported(exported: tuple[dict[str, list[Series]], str]) -> None:
    asked = [selector for rule in alert_rules() for selector in selectors(rule["expr"])]
    assert len(asked) > 25
    assert [reason for one in asked if (reason := wrong(one, *exported)) is not None] == []


@pytest.mark.parametrize(
    "expression",
    [
        "ray_raysgpo_nothing",
        "ray_node_nothing > 1",
        'ray_raysgpo_step{phase="sync"}',
        'ray_raysgpo_phase_seconds{phase="nap"}',
    ],
)
def test_what_is_not_exported_is_seen(exported: tuple[dict[str, list[Series]], str], expression: str) -> None:
    [selector] = selectors(expression)
    assert wrong(selector, *exported) is not None


def test_the_board_is_what_the_code_builds_and_the_sdk_reads_it_back() -> None:
    """``python -m cluster.monitoring.board > cluster/monitoring/grafana/run.json`` writes it."""
    text = BOARD.read_text(encoding="utf-8")
    assert text == page()
    register_default_plugins()
    read = Dashboard.from_json(json.loads(text))
    assert json.dumps(read, cls=JSONEncoder, indent=2, sort_keys=True) + "\n" == text
    assert read.templating.list_val is not None
    assert [variable.name for variable in read.templating.list_val] == ["datasource", "run"]


def panels() -> list[dict[str, Any]]:
    return [panel for panel in json.loads(BOARD.read_text())["panels"] if panel["type"] != "row"]


def test_each_panel_lies_in_a_place_of_its_own_and_says_what_it_is() -> None:
    cells: set[tuple[int, int]] = set()
    for panel in panels():
        place = panel["gridPos"]
        own = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not own & cells and place["x"] + place["w"] <= 24, panel["title"]
        cells |= own
        assert panel["description"].endswith(".") and panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert [target["refId"] for target in panel["targets"]] == list("ABCD"[: len(panel["targets"])])


def test_the_board_shows_what_a_run_is_judged_by() -> None:
    titles = {panel["title"] for panel in panels()}
    assert titles >= {
        "Accuracy", "All-negative groups", "Judged groups", "Reasoning Trajectory Score", "Wrong and reinforced",
        "Staleness", "Tokens a second", "Weight sync", "Replicas and ranks", "Idle",
    }  # fmt: skip


def headings(page: Path) -> set[str]:
    """Anchors of a page's headings, as Markdown renderers make them."""
    found = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in found}


def test_each_alert_says_how_bad_it_is_and_what_to_do() -> None:
    anchors = headings(DOCS / "monitoring.md")
    rules = alert_rules()
    assert len({rule["alert"] for rule in rules}) == len(rules)
    for rule in rules:
        assert rule["labels"]["severity"] in ("critical", "warning", "info"), rule["alert"]
        assert re.fullmatch(r"\d+[mh]", rule["for"]), rule["alert"]
        notes = rule["annotations"]
        assert notes.keys() == {"summary", "description", "docs"} and notes["description"].endswith("."), rule["alert"]
        page, _, anchor = notes["docs"].partition("#")
        assert page == "docs/monitoring.md" and anchor in anchors, rule["alert"]


def test_what_prometheus_and_grafana_are_given_is_there() -> None:
    config = yaml.safe_load((MONITORING / "prometheus.yml").read_text())
    assert all((MONITORING / name).is_file() for name in config["rule_files"])
    [job] = config["scrape_configs"]
    assert job["job_name"] == "ray", 'alerts.yml says up{job="ray"}'
    monitor = yaml.safe_load((MONITORING / "podmonitor.yaml").read_text())
    [endpoint] = monitor["spec"]["podMetricsEndpoints"]
    assert {"targetLabel": "job", "replacement": "ray"} in endpoint["relabelings"]
    provisioning = MONITORING / "grafana" / "provisioning"
    assert yaml.safe_load((provisioning / "dashboards" / "raysgpo.yml").read_text())["providers"]
    [source] = yaml.safe_load((provisioning / "datasources" / "prometheus.yml").read_text())["datasources"]
    assert source["jsonData"]["timeInterval"] == config["global"]["scrape_interval"]
