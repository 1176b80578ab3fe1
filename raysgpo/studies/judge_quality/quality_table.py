"""The measurement of a judge as a table for the console."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from raysgpo.studies.judge_quality.numbering import ROWS


def table(report: dict[str, Any]) -> Iterator[str]:
    """Lines for a person.

    ``report`` is that of :func:`raysgpo.studies.judge_quality.report.make_report`.
    """
    judge, outcomes, lost = report["judge"], report["outcomes_wrong"], report["lost_votes"]
    name = f"judge={judge['kind']}" + (f" {judge['model']}" if judge["model"] and judge["kind"] != "rule" else "")
    yield f"{name}, votes {judge['votes']}, on {report['rows']} rows of {report['data']} (in brackets: 95 % intervals)"
    yield f"  first error found exactly  {_share(report['wrong'])}"
    yield f"  right responses passed     {_share(report['right'])}"
    yield f"  harmonic mean (F1)         {_percent(report['f1'])}"
    yield f"  within one step            {_share(report['within_one'])}"
    misses = ", ".join(
        f"{outcomes.get(key, 0)} {key.replace('_', ' ')}" for key in ("early", "late", "none_found", "lost")
    )
    yield f"  misses on wrong responses  {misses}"
    yield f"  numbering of the steps     {_numbering(report['numbering'])}"
    reasons = ", ".join(f"{count} {key.replace('_', ' ')}" for key, count in lost.items())
    yield f"  lost votes                 {sum(lost.values())} of {report['votes']} ({reasons})"
    yield f"  agreement of votes         {_percent(report['vote_agreement'])}"
    yield f"  seconds a verdict          {_spread(report['seconds'], '.3f')}"
    yield f"  tokens a verdict           {_spread(report['tokens'], '.0f')}"
    yield f"  wall time                  {report['wall_seconds']:.1f} s"
    always = report["baselines"]
    yield (
        f"  baselines on wrong ones    always index 1 {_percent(always['index_1'])}, "
        f"last step {_percent(always['last_step'])}, uniform guess {_percent(always['uniform'])}"
    )
    for kind, values in report["breakdown"].items():
        if len(values) > 1:
            width = max(map(len, [kind, *values]))
            yield f"\n  {kind:<{width}}  {'wrong':>16}  {'right':>16}  {'F1':>8}"
            for value, row in values.items():
                cells = f"{_share(row['wrong'], short=True):>16}  {_share(row['right'], short=True):>16}"
                yield f"  {value:<{width}}  {cells}  {_percent(row['f1']):>8}"
    if report["numbering"]["warning"]:
        yield f"\n{report['numbering']['warning']}"


def _numbering(found: dict[str, Any]) -> str:
    verdict = {None: "not clear", 0: "as told", -1: "off by one, see the warning", 1: "off by one, see the warning"}
    near = f"{found['early']} one early, {found['exact']} exact, {found['late']} one late of {found['rows']}"
    if not found["enough"]:
        return f"too few answers to tell ({near}; {ROWS} are needed)"
    return f"{verdict[found['shift']]} ({near})"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f} %"


def _share(share: dict[str, Any], short: bool = False) -> str:
    if share["value"] is None:
        return "-"
    text = f"{_percent(share['value'])} of {share['rows']}"
    return text if short else f"{text} [{100 * share['low']:.1f}, {100 * share['high']:.1f}]"


def _spread(spread: dict[str, float | None], form: str) -> str:
    return ", ".join(f"{name} {'-' if value is None else format(value, form)}" for name, value in spread.items())
