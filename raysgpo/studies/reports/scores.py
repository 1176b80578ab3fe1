"""What methods score on sets: one number a place, with its spread."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

OVERALL = "Overall"


@dataclass(frozen=True, slots=True)
class Measured:
    """A share, or a count, of one model or one run, with the interval that it came with."""

    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Score:
    """Of a method: one model's number, or the mean over several, such as the seeds of one training."""

    value: float
    low: float | None
    high: float | None
    """The interval of a single model's number; of several there is ``std``."""
    std: float | None
    """Sample standard deviation over models (ddof 1)."""
    models: int

    @classmethod
    def of(cls, found: Sequence[Measured]) -> Score:
        assert found, "a score is of something"
        if len(found) == 1:
            return cls(found[0].value, found[0].low, found[0].high, None, 1)
        values = [one.value for one in found]
        return cls(statistics.fmean(values), None, None, statistics.stdev(values), len(found))

    @property
    def reach(self) -> tuple[float, float]:
        """How far its bar's whisker goes below and above."""
        if self.std is not None:
            return self.std, self.std
        if self.low is None or self.high is None:
            return 0.0, 0.0
        return max(self.value - self.low, 0.0), max(self.high - self.value, 0.0)


@dataclass(frozen=True, slots=True)
class Scores:
    columns: tuple[str, ...]
    methods: Mapping[str, Mapping[str, Score]]
    """Method to column to score; a column that was not measured is not there."""

    def of(self, method: str, column: str) -> Score | None:
        return self.methods[method].get(column)


def gathered(methods: Mapping[str, Sequence[Mapping[str, Measured]]]) -> Scores:
    """The scores of methods, each of one or more models' numbers by column. A number that only some of a method's
    models have is the mean of those."""
    columns = dict.fromkeys(column for models in methods.values() for one in models for column in one)
    if OVERALL in columns:
        columns = {**{name: None for name in columns if name != OVERALL}, OVERALL: None}
    return Scores(
        tuple(columns),
        {
            name: {
                column: Score.of(found)
                for column in columns
                if (found := [one[column] for one in models if column in one])
            }
            for name, models in methods.items()
        },
    )
