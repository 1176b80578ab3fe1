"""A judge's measurement as JSON: all numbers, and beside them every verdict."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from raysgpo.config import JudgeConfig
from raysgpo.studies.judge_quality.measurement import Tally
from raysgpo.studies.judge_quality.numbering import warning
from raysgpo.studies.judge_quality.quality import Scored, numbered, quality

Report = dict[str, Any]


def make_report(data: str, seed: int, judge: JudgeConfig, asked: int, tally: Tally) -> Report:
    """What was measured on what. ``asked``: rows that were to be scored."""
    measured = {"data": data, "seed": seed, "judge": judge.model_dump(mode="json")}
    found = numbered(tally.scored)
    told = {"numbering": asdict(found) | {"enough": found.enough, "warning": warning(found, judge, data)}}
    return measured | {"asked": asked, "wall_seconds": tally.seconds, **quality(tally.scored), **told}


def write_report(path: Path, report: Report, scored: Sequence[Scored]) -> None:
    whole = {**report, "verdicts": [_verdict(one) for one in scored]}
    path.write_text(json.dumps(whole, ensure_ascii=False, indent=1) + "\n", "utf-8")


def _verdict(one: Scored) -> dict[str, Any]:
    return {
        "id": one.row.problem.id,
        "kinds": one.row.kinds,
        "steps": len(one.row.steps),
        "first_error": one.row.first_error,
        "position": one.position,
        "votes": list(one.votes),
        "exact": one.exact,
        "seconds": one.seconds,
        "tokens": one.tokens,
    }
