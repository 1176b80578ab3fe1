"""Table 5: which questions a method solves within k attempts and another does not, set by set."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from raysgpo.config.overrides import ConfigError
from raysgpo.studies.papers.tables import PaperTable
from raysgpo.studies.reports.beside import laid_out
from raysgpo.studies.reports.document import Block, Listing, Section, Table
from raysgpo.studies.reports.evaluations import Evaluated
from raysgpo.studies.reports.methods import Methods
from raysgpo.studies.reports.scores import Measured, gathered

SHOWN = 60
"""Questions of a listing that are named."""


@dataclass(frozen=True, slots=True)
class Solved:
    """Of one set: what two models solve of the questions that both were asked."""

    questions: int
    first: frozenset[str]
    second: frozenset[str]

    @property
    def only_first(self) -> list[str]:
        return sorted(self.first - self.second)

    @property
    def only_second(self) -> list[str]:
        return sorted(self.second - self.first)


def solved_by(evaluated: Evaluated, first: str, second: str, name: str, attempts: int) -> Solved | None:
    """Two labels on one set; None where one of them was not asked."""
    one, two = (evaluated.solving.get(label, {}).get(name) for label in (first, second))
    if one is None or two is None:
        return None
    asked = set(one.right) & set(two.right)
    return Solved(len(asked), frozenset(one.within(attempts) & asked), frozenset(two.within(attempts) & asked))


def attempts_of(evaluated: Evaluated, methods: Methods, asked: int | None) -> dict[str, int]:
    """Set to the attempts that count: ``asked``, or as many as every model has.

    Raises:
        ConfigError: more are asked for than any set has.
    """
    labels = [label for members in methods.values() for label in members]
    fewest: dict[str, int] = {}
    for label in labels:
        for name, solving in evaluated.solving.get(label, {}).items():
            fewest[name] = min(fewest.get(name, solving.samples), solving.samples)
    found = {name: samples for name, samples in fewest.items() if asked is None or samples >= asked}
    if asked is not None and not found:
        most = max(fewest.values(), default=0)
        raise ConfigError(f"--attempts {asked}: no set has so many answers to a question; give {most} or fewer")
    return {name: samples if asked is None else asked for name, samples in found.items()}


def solved_section(
    evaluated: Evaluated, methods: Methods, attempts: int | None, paper: PaperTable | None
) -> Section | None:
    """Each other method against the first; None where there is nothing to compare."""
    first, *others = methods
    counts = attempts_of(evaluated, methods, attempts)
    blocks: list[Block] = []
    for second in others:
        pairs = list(zip(methods[first], methods[second], strict=False))
        found = {
            name: [pair for one, two in pairs if (pair := solved_by(evaluated, one, two, name, k)) is not None]
            for name, k in counts.items()
        }
        found = {name: solved for name, solved in found.items() if solved}
        if found:
            blocks += [_table(first, second, found, counts, paper), *_which(first, second, found)]
    return Section("Solved by one and not by the other", tuple(blocks)) if blocks else None


def _table(
    first: str, second: str, found: dict[str, list[Solved]], counts: dict[str, int], paper: PaperTable | None
) -> Table:
    """Four rows, as the paper has them; of several models of a method, paired in their order, the mean."""
    rows: dict[str, Callable[[Solved], int]] = {
        second: lambda solved: len(solved.second),
        first: lambda solved: len(solved.first),
        f"{second} only": lambda solved: len(solved.only_second),
        f"{first} only": lambda solved: len(solved.only_first),
    }
    scores = gathered(
        {
            row: [
                {name: Measured(count(solved[model])) for name, solved in found.items() if model < len(solved)}
                for model in range(max(map(len, found.values())))
            ]
            for row, count in rows.items()
        }
    )
    asked = "; ".join(f"{name} {solved[0].questions} (k = {counts[name]})" for name, solved in found.items())
    return laid_out(
        scores,
        paper,
        "questions solved",
        [f"Questions of each set, and the attempts k that count: {asked}."],
        counts=True,
    )


def _which(first: str, second: str, found: dict[str, list[Solved]]) -> Iterator[Listing]:
    """Of the first pair of models: the questions that one of them alone solves."""
    for name, solved in found.items():
        sides = {second: solved[0].only_second, first: solved[0].only_first}
        lines = tuple(f"only {method}: {_named(only)}" for method, only in sides.items() if only)
        if lines:
            yield Listing(f"{name}: which", lines)


def _named(questions: list[str]) -> str:
    more = f" and {len(questions) - SHOWN} more" if len(questions) > SHOWN else ""
    return "; ".join(questions[:SHOWN]) + more
