"""What a PromQL expression asks for, and the files of ``cluster/monitoring``."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

MONITORING = Path(__file__).parents[2] / "cluster" / "monitoring"
BOARD = MONITORING / "grafana" / "run.json"


@dataclass(frozen=True, slots=True)
class Selector:
    """``name{label="value", other=~"..."}``."""

    name: str
    labels: tuple[tuple[str, str, str], ...]
    """Label, operator, value."""


def selectors(expression: str) -> Iterator[Selector]:
    """Every series of Ray's that the expression reads, and ``up``."""
    for name, inside in re.findall(r"\b(ray_\w+|up)\b(?:\{(.*?)\})?", expression):
        yield Selector(name, tuple(re.findall(r'(\w+)\s*(=~|!~|!=|=)\s*"(.*?)"', inside)))


def alert_rules() -> list[dict[str, Any]]:
    [group] = yaml.safe_load((MONITORING / "alerts.yml").read_text())["groups"]
    return list(group["rules"])
