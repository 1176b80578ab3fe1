"""The report of evaluations: tables 2, 5 and 7 of the papers for any models, and bars."""

from __future__ import annotations

from collections.abc import Iterator

from raysgpo.studies.papers.tables import PaperTable, same_set
from raysgpo.studies.reports.bars import draw_bars
from raysgpo.studies.reports.beside import check_paper, laid_out
from raysgpo.studies.reports.document import Document, Section
from raysgpo.studies.reports.evaluations import Evaluated
from raysgpo.studies.reports.methods import Methods
from raysgpo.studies.reports.scores import Scores, gathered
from raysgpo.studies.reports.solved import solved_section

MOST_VALUES = 12
"""Of a field: one with more is no level and no subject, and its table would be too wide."""
SPREAD = (
    "Below a number: the 95 % bootstrap interval over questions; of a method with several models, their mean and "
    "± one standard deviation."
)


def evaluation_report(
    title: str, evaluated: Evaluated, methods: Methods, paper: PaperTable | None, attempts: int | None
) -> Document:
    """Everything that is said of the models that are methods.

    Raises:
        ConfigError: the paper's table has no row of any of them, or there are not so many attempts.
    """
    counts = paper if paper is not None and paper.unit != "percent" else None
    shares = paper if counts is None else None
    if paper is not None:
        check_paper(paper, list(methods))
    scores = gathered({name: [evaluated.columns(label) for label in labels] for name, labels in methods.items()})
    solved = solved_section(evaluated, methods, attempts, counts)
    sections = [
        _accuracy(scores, shares, _asked(evaluated, methods)),
        *([solved] if solved is not None else []),
        *_levels(evaluated, methods, shares),
    ]
    several = [f"{name}: {len(labels)} models" for name, labels in methods.items() if len(labels) > 1]
    sets = len({name for labels in methods.values() for label in labels for name in evaluated.sets(label)})
    lead = f"{len(methods)} methods on {sets} sets." + (f" {'; '.join(several)}." if several else "")
    return Document(title, lead, tuple(sections))


def _accuracy(scores: Scores, paper: PaperTable | None, asked: str) -> Section:
    covered = paper if paper is not None and _shares_a_column(scores, paper) else None
    picture = draw_bars(scores, "Accuracy by set", covered)
    table = laid_out(scores, covered, notes=[asked, SPREAD])
    return Section("Accuracy by set", (table, *([picture] if picture else [])))


def _shares_a_column(scores: Scores, paper: PaperTable) -> bool:
    """Not one of levels, where the scores are of sets."""
    return bool({same_set(name) for name in scores.columns} & {same_set(name) for name in paper.columns})


def _asked(evaluated: Evaluated, methods: Methods) -> str:
    """How many questions each set has, and how many answers were drawn to each."""
    said: dict[str, str] = {}
    for label in (label for labels in methods.values() for label in labels):
        for name in evaluated.sets(label):
            score = evaluated.scores[label][name]
            said[name] = f"{name}: {score['questions']} questions, avg@{score['samples']}"
    return f"Percent of the answers that are right. {'; '.join(said.values())}."


def _levels(evaluated: Evaluated, methods: Methods, paper: PaperTable | None) -> Iterator[Section]:
    """Table 7: accuracy by the values of each field."""
    for name, fields in evaluated.fields().items():
        for field in fields:
            found = {
                method: [evaluated.of_labels(label, name, field) for label in labels]
                for method, labels in methods.items()
            }
            scores = gathered(found)
            if not 2 <= len(scores.columns) <= MOST_VALUES:
                continue
            covered = paper if paper is not None and _shares_a_column(scores, paper) else None
            picture = draw_bars(scores, f"{name} by {field}", covered)
            yield Section(f"{name} by {field}", (laid_out(scores, covered), *([picture] if picture else [])))
