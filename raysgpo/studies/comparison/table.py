"""The comparison in a few lines for the console."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TextIO

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from raysgpo.studies.comparison.plan import Plan
from raysgpo.studies.comparison.report import number, points, signed, spread_text
from raysgpo.studies.comparison.runs import finished
from raysgpo.studies.comparison.summary import Json

SHOWN = (
    "held-out accuracy",
    "pass@",
    "steps to target",
    "seconds to target",
    "all-negative share, first",
    "training problems",
    "groups with gradient",
    "sampled tokens",
    "seconds",
    "judge overhead, all",
)
"""Numbers of the report that the console shows, by how their names begin."""
WIDEST = 1000
"""Characters of a line."""


def print_plan(plan: Plan, out: TextIO) -> None:
    """What would run: the variants, what differs, and how much of it is there already."""
    print(f"comparison: {plan.folder}", file=out)
    print(f"seeds: {', '.join(map(str, plan.seeds))}", file=out)
    table = Table("setting", *(escape(variant.name) for variant in plan.variants), box=None)
    for key, values in plan.differing.items():
        table.add_row(key, *(escape(str(value)) for value in values))
    _print(table, out)
    done = sum(finished(plan.run_path(run)) for run in plan.runs)
    ready = f", {done} of them finished" if done else ""
    print(f"{len(plan.variants)} variants x {len(plan.seeds)} seeds = {len(plan.runs)} runs{ready}", file=out)


def print_summary(summary: Json, out: TextIO) -> None:
    """Means over seeds, and the differences to the first variant."""
    table = Table("mean ± std over seeds", *map(escape, summary["variants"]), box=None)
    for name, cells in summary["numbers"].items():
        if name.startswith(SHOWN):
            table.add_row(name, *(spread_text(cells[variant], name) for variant in summary["variants"]))
    _print(table, out)
    for line in differences(summary):
        print(line, file=out)


def _print(table: Table, out: TextIO) -> None:
    """As wide as it is: a column that is cut off says nothing of its variant."""
    Console(file=out, soft_wrap=True, width=WIDEST).print(table)


def differences(summary: Json) -> Iterator[str]:
    """One line for each difference with its interval: of a variant to its own start, then to the first variant."""
    first = summary["variants"][0]
    for name, row in summary["gained"].items():
        if row is not None:
            yield f"{name}, step {row['step']} against its start: {_points(row)}"
    for name, pair in summary["paired"].items():
        if pair["reason"]:
            yield f"{name} against {first}: no interval: {pair['reason']}"
            continue
        for mark in pair["milestones"]:
            row = pair["accuracy"][mark["at"]]
            yield f"{name} against {first}, step {mark['step']}: {_points(row)}"
        if (row := pair["steps_to_target"]) is not None:
            yield (
                f"{name} against {first}, steps to {number(summary['target'], 'held-out accuracy')}: "
                f"{signed(row['difference'])} [{signed(row['low'])}, {signed(row['high'])}]{_star(row)}"
            )


def _points(row: Json) -> str:
    return f"{points(row['difference'])} points [{points(row['low'])}, {points(row['high'])}]{_star(row)}"


def _star(row: Json) -> str:
    return ", excludes zero" if row["excludes_zero"] else ""
