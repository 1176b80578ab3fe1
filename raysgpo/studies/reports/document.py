"""A report before it is a page: sections of text, tables, pictures and sampled answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from raysgpo.studies.page.pictures import Picture
from raysgpo.studies.reports.sampled import SampledGroup

Mark = Literal["", "best", "up", "down", "soft"]

UNKNOWN = "–"  # noqa: RUF001


@dataclass(frozen=True, slots=True)
class Entry:
    """What stands in one place of a table."""

    text: str = UNKNOWN
    more: str = ""
    """Beside it and smaller, such as an interval."""
    mark: Mark = ""


@dataclass(frozen=True, slots=True)
class Table:
    head: tuple[str, ...]
    rows: tuple[tuple[Entry, ...], ...]
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        assert all(len(row) == len(self.head) for row in self.rows), "every row has a place for every column"


@dataclass(frozen=True, slots=True)
class Listing:
    """What few want to read: its lines are shown when asked for."""

    title: str
    lines: tuple[str, ...]


Block = str | Table | Listing | Picture | SampledGroup


@dataclass(frozen=True, slots=True)
class Section:
    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class Document:
    title: str
    lead: str
    sections: tuple[Section, ...]

    @property
    def pictures(self) -> list[Picture]:
        return [block for section in self.sections for block in section.blocks if isinstance(block, Picture)]
