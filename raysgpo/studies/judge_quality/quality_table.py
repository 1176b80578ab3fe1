"""The measurement of a judge, or of several side by side, as a table for the console."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from raysgpo.studies.judge_quality.numbering import ROWS


def table(report: dict[str, Any]) -> Iterator[str]:
    """Lines for a person.

    ``report`` is that of :func:`raysgpo.studies.judge_quality.report.make_report`.
    """
    judge = report["judge"]
    votes, rows = f"votes {judge['votes']}", f"{report['rows']} rows of {report['data']}"
    yield f"{report['name']}, {votes}, on {rows} (in brackets: 95 % intervals)"
    for label, cell in cells(report).items():
        yield f"  {label:<25}  {cell}"
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
                shown = f"{_share(row['wrong'], short=True):>16}  {_share(row['right'], short=True):>16}"
                yield f"  {value:<{width}}  {shown}  {_percent(row['f1']):>8}"
    if report["numbering"]["warning"]:
        yield f"\n{report['numbering']['warning']}"


def cells(report: dict[str, Any], brief: bool = False) -> dict[str, str]:
    """What is said of a judge, by what it is called. ``brief``: in a column beside others."""
    outcomes, lost, gradient = report["outcomes_wrong"], report["lost_votes"], report["gradient"]
    misses = [f"{outcomes.get(key, 0)} {key.replace('_', ' ')}" for key in ("early", "late", "none_found", "lost")]
    reasons = ", ".join(f"{count} {key.replace('_', ' ')}" for key, count in lost.items())
    lost_votes = f"{sum(lost.values())} of {report['votes']}"
    return {
        "first error found exactly": _share(report["wrong"]),
        "right responses passed": _share(report["right"]),
        "harmonic mean (F1)": _percent(report["f1"]),
        "within one step": _share(report["within_one"]),
        "misses on wrong responses": ", ".join(misses),
        "numbering of the steps": _numbering(report["numbering"], brief),
        "if it were read so": _recounted(report["numbering"]),
        "useful gradients": _share(gradient["useful"]),
        "of the right sign": _share(gradient["right_sign"]),
        "right less wrong signs": _percent(gradient["net"]),
        "cosine with the labels'": _number(gradient["cosine"], ".2f"),
        "tokens a useful gradient": _number(gradient["tokens_each"], ".0f"),
        "seconds a useful gradient": _number(gradient["seconds_each"], ".3f"),
        "lost votes": lost_votes if brief else f"{lost_votes} ({reasons})",
        "agreement of votes": _percent(report["vote_agreement"]),
        "seconds a verdict": _spread(report["seconds"], ".3f"),
        "tokens a verdict": _spread(report["tokens"], ".0f"),
        "wall time": f"{report['wall_seconds']:.1f} s",
    }


def side_by_side(reports: Sequence[dict[str, Any]]) -> list[list[str]]:
    """The judges of one measurement as rows of a table, the first of which names them."""
    columns = [cells(report, brief=True) for report in reports]
    head = ["", *(report["name"] for report in reports)]
    rows = ["rows", *(f"{report['rows']} of {report['asked']}" for report in reports)]
    return [head, rows, *([label, *(column[label] for column in columns)] for label in columns[0])]


def aligned(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()


def _numbering(found: dict[str, Any], brief: bool) -> str:
    verdict = {None: "not clear", 0: "as told", -1: "from 0, see the warning", 1: "one late, see the warning"}
    if brief:
        return verdict[found["shift"]] if found["enough"] else "too few answers to tell"
    zeros = f"; 0 is said {found['zeros']} times" if found["zeros"] else ""
    near = f"{found['early']} one early, {found['exact']} exact, {found['late']} one late of {found['rows']}{zeros}"
    if not found["enough"]:
        return f"too few answers to tell ({near}; {ROWS} are needed)"
    return f"{verdict[found['shift']]} ({near})"


def _recounted(found: dict[str, Any]) -> str:
    """What the accuracies would be if its numbers were read as it counts."""
    after = found["recounted"]
    if after is None:
        return "-"
    first = _share(after["wrong"], short=True)
    return f"{first} wrong, {_share(after['right'], short=True)} right, F1 {_percent(after['f1'])}"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f} %"


def _share(share: dict[str, Any], short: bool = False) -> str:
    if share["value"] is None:
        return "-"
    text = f"{_percent(share['value'])} of {share['rows']}"
    return text if short else f"{text} [{100 * share['low']:.1f}, {100 * share['high']:.1f}]"


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)


def _spread(spread: dict[str, float | None], form: str) -> str:
    return ", ".join(f"{name} {_number(value, form)}" for name, value in spread.items())
