"""Table 2's layout: methods by sets, under each method the paper's own row and the difference."""

from __future__ import annotations

from collections.abc import Sequence

from raysgpo.config.overrides import ConfigError
from raysgpo.studies.papers.tables import PaperRow, PaperTable, same_set
from raysgpo.studies.reports.document import Entry, Table
from raysgpo.studies.reports.scores import OVERALL, Score, Scores

PAPER, DIFFERENCE = "the paper", "difference"


def laid_out(
    scores: Scores, paper: PaperTable | None, first: str = "method", notes: Sequence[str] = (), *, counts: bool = False
) -> Table:
    """Shares as percentages, the best of several methods marked; or ``counts`` as they are.

    Columns are the paper's, in its order, and then those that it does not have. The paper's Overall is that of its
    own columns, so no difference is taken to one of other columns.
    """
    columns, scale = columns_of(scores, paper), 1.0 if counts else 100.0
    lines: list[tuple[Entry, ...]] = []
    for name in scores.methods:
        found = {title: scores.of(name, own) if own is not None else None for title, own in columns.items()}
        best = {title: not counts and _is_best(scores, own, found[title]) for title, own in columns.items()}
        lines.append((Entry(name), *(_entry(found[title], scale, best[title]) for title in columns)))
        row = paper.row(name) if paper is not None else None
        if row is None or paper is None:
            continue
        lines.append((Entry(PAPER, mark="soft"), *(_printed(row, title) for title in columns)))
        comparable = [title for title in columns if title != OVERALL or _same_columns(scores, paper, name)]
        differences = [_difference(found[title], row, title, scale, title in comparable) for title in columns]
        lines.append((Entry(DIFFERENCE, mark="soft"), *differences))
    return Table((first, *columns), tuple(lines), (*notes, *(_notes(paper) if paper else ())))


def check_paper(paper: PaperTable, methods: Sequence[str]) -> None:
    """The paper has a row of one of the methods at least.

    Raises:
        ConfigError: it has none.
    """
    if not any(paper.row(name) for name in methods):
        rows = "; ".join(dict.fromkeys(row.label for row in paper.rows))
        raise ConfigError(
            f"--paper {paper.name}: none of its rows is called {' or '.join(methods)}: name a method as one of them, "
            f"--method 'ROW: LABEL' (its rows: {rows})"
        )


def columns_of(scores: Scores, paper: PaperTable | None) -> dict[str, str | None]:
    """Title of each column to the name that its scores have, None where there are none."""
    own = {same_set(name): name for name in scores.columns}
    printed = {title: own.get(same_set(title)) for title in paper.columns} if paper else {}
    others = {name: name for name in scores.columns if name not in printed.values()}
    found: dict[str, str | None] = {**printed, **others}
    last = {OVERALL: found.pop(OVERALL)} if OVERALL in found else {}
    return found | last


def _same_columns(scores: Scores, paper: PaperTable, method: str) -> bool:
    """Whether the method's Overall is over the sets of the paper's."""
    ours = {same_set(name) for name in scores.methods[method] if name != OVERALL}
    return ours == {same_set(name) for name in paper.columns if name != OVERALL}


def _is_best(scores: Scores, column: str | None, score: Score | None) -> bool:
    if column is None or score is None or len(scores.methods) < 2:
        return False
    return all(other is None or other.value <= score.value for other in (scores.of(m, column) for m in scores.methods))


def _entry(score: Score | None, scale: float, best: bool) -> Entry:
    if score is None:
        return Entry()
    return Entry(_number(scale * score.value, scale), _spread(score, scale), "best" if best else "")


def _spread(score: Score, scale: float) -> str:
    if score.std is not None:
        return f"± {_number(scale * score.std, scale)}"
    if score.low is None or score.high is None:
        return ""
    low, high = (f"{scale * bound:.1f}" for bound in (score.low, score.high))
    return f"{low} to {high}"


def _printed(row: PaperRow, title: str) -> Entry:
    value, std = row.values.get(title), row.std.get(title)
    if value is None:
        return Entry(mark="soft")
    return Entry(f"{value:.2f}" if isinstance(value, float) else str(value), f"± {std:.2f}" if std else "", "soft")


def _difference(score: Score | None, row: PaperRow, title: str, scale: float, comparable: bool) -> Entry:
    value = row.values.get(title)
    if score is None or value is None or not comparable:
        return Entry(mark="soft")
    less = scale * score.value - value
    return Entry(signed(less, scale), mark="up" if less > 0 else "down" if less < 0 else "soft")


def signed(value: float, scale: float = 100.0) -> str:
    return f"+{_number(value, scale)}" if value > 0 and float(_number(value, scale)) else _number(value, scale)


def _number(value: float, scale: float) -> str:
    """Percentages have two decimals, as the papers print them; counts none, unless they are means."""
    whole = scale == 1.0 and value == round(value)
    text = f"{value:.0f}" if whole else f"{value:.2f}"
    return text.removeprefix("-") if not float(text) else text.replace("-", "−")  # noqa: RUF001


def _notes(paper: PaperTable) -> list[str]:
    return [f"The paper: {paper.title}, table {paper.number}. {paper.caption}.", *paper.doubts]
