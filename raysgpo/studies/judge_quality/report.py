"""The measurement of judges as files: all numbers and every verdict as JSON, and beside it a page to read."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from raysgpo.output.whole_file import write_whole
from raysgpo.studies.judge_quality.judges import NamedJudge
from raysgpo.studies.judge_quality.measurement import Tally
from raysgpo.studies.judge_quality.numbering import warning
from raysgpo.studies.judge_quality.quality import Scored, accuracies, numbered, quality, zeros
from raysgpo.studies.judge_quality.quality_table import aligned, side_by_side, table
from raysgpo.studies.judge_quality.useful import useful

Report = dict[str, Any]


def make_report(data: str, seed: int, judge: NamedJudge, asked: int, tally: Tally) -> Report:
    """What was measured of one judge on what. ``asked``: rows that were to be scored."""
    settings = judge.config.judge
    measured = {"name": judge.name, "data": data, "seed": seed, "judge": settings.model_dump(mode="json")}
    numbers = quality(tally.scored) | {"gradient": useful(tally.scored)}
    found = numbered(tally.scored)
    after = accuracies([one.recounted(1 + found.shift) for one in tally.scored]) if found.shift else None
    told = asdict(found) | {"enough": found.enough, "zeros": zeros(tally.scored), "recounted": after}
    told["warning"] = warning(found, settings, data)
    return measured | {"asked": asked, "wall_seconds": tally.seconds, **numbers, "numbering": told}


def shown(reports: Sequence[Report]) -> Iterator[str]:
    """Lines for the console: of one judge everything, of several their numbers side by side."""
    if len(reports) == 1:
        yield from table(reports[0])
        return
    first = reports[0]
    yield f"{first['asked']} rows of {first['data']} (in brackets: 95 % intervals)"
    yield from aligned(side_by_side(reports))
    for report in reports:
        if report["numbering"]["warning"]:
            yield f"{report['name']}: {report['numbering']['warning']}"


def write_reports(path: Path, reports: Sequence[Report], tallies: Sequence[Tally]) -> None:
    """``path`` as JSON, of one judge its report and of several ``judges`` by name, and the page beside it.

    Raises:
        WriteFailed: there is no room for them.
    """
    whole = [
        {**report, "verdicts": [_verdict(one) for one in tally.scored]}
        for report, tally in zip(reports, tallies, strict=True)
    ]
    tree = whole[0] if len(whole) == 1 else {"judges": {report["name"]: report for report in whole}}
    write_whole(path, json.dumps(tree, ensure_ascii=False, indent=1) + "\n")
    write_whole(path.with_suffix(".md"), "\n".join(_page(reports)) + "\n")


def _page(reports: Sequence[Report]) -> Iterator[str]:
    """Markdown: the judges side by side, then each by itself."""
    head, *rows = side_by_side(reports)
    yield f"# Judges on {reports[0]['data']}\n"
    yield from (f"| {' | '.join(row)} |" for row in [head, ["---"] * len(head), *rows])
    for report in reports:
        yield "\n".join([f"\n## {report['name']}\n", "```", *table(report), "```"])


def _verdict(one: Scored) -> dict[str, Any]:
    return {
        "id": one.row.problem.id,
        "kinds": one.row.kinds,
        "steps": len(one.row.steps),
        "first_error": one.row.first_error,
        "position": one.position,
        "votes": list(one.votes),
        "numbers": list(one.numbers),
        "said": list(one.said),
        "exact": one.exact,
        "seconds": one.seconds,
        "tokens": one.tokens,
    }
