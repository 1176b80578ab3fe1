"""What was read, and what became of each row that is not trained on.

``reading()`` collects it while a task reads its rows: who reads need not hand it on, a task of a user's own included.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any

from raysgpo.config.data_source import is_hub_name

Row = dict[str, Any]
HELD_OUT, SAME_QUESTION = "held out", "its question is held out"
SHOWN = 5
"""How many rows the console names of each reason."""


@dataclass(slots=True)
class Source:
    """A file, a folder or a data set, as one setting names it."""

    setting: str
    """``task.path`` or ``task.eval_path``."""
    path: str
    weight: float = 1.0
    """How often each of its rows stands in an epoch."""
    rows: int = 0
    digest: Any = field(default_factory=hashlib.sha256)
    """Of all its rows, as they were read."""

    @property
    def name(self) -> str:
        return f"{self.setting}={self.path}"

    @property
    def short(self) -> str:
        """Files by their names, without the folders around."""
        return self.path if is_hub_name(self.path) else PurePath(self.path).name

    def read(self, row: Row) -> None:
        self.rows += 1
        self.digest.update(json.dumps(row, sort_keys=True).encode() + b"\n")


@dataclass(slots=True)
class LeftOut:
    """A row that no one trains on."""

    where: str
    """Source and row in words."""
    id: str | None
    why: str
    said: str = ""
    """What the console says of the first of its kind, such as the value that is wrong."""


@dataclass(slots=True)
class DataReport:
    """Of one run. Empty where problems are generated."""

    sources: list[Source] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    train: int = 0
    held_out: int = 0
    places: dict[str, tuple[Source, str]] = field(default_factory=dict)
    """Rows of ``task.path`` that were handed on: id to source and place."""

    def drop(self, ids: Iterable[str], why: str) -> None:
        """Problems that were read, by their ids."""
        for one in ids:
            self.left_out.append(LeftOut(self.places[one][1] if one in self.places else "", one, why))

    def divided(self, train: Collection[str], held_out: Collection[str]) -> None:
        """Notes, by their ids, which problems are trained on and which are held out."""
        self.train, self.held_out = len(train), len(held_out)
        gone = {row.id for row in self.left_out} | set(train)
        if any(source.setting == "task.eval_path" for source in self.sources):
            held_out = ()  # rows of another source, whatever their ids are
        for one, (_, where) in self.places.items():
            if one not in gone:
                self.left_out.append(LeftOut(where, one, HELD_OUT if one in held_out else SAME_QUESTION))

    def line(self) -> str:
        """What the console says."""
        read = " and ".join(f"{source.rows:,} rows of {source.short}" for source in self.sources)
        reasons = Counter(row.why for row in self.left_out if row.why != HELD_OUT)
        gone = "; ".join(self._reason(why, count) for why, count in reasons.items())
        used = f"{self.train:,} to train on, {self.held_out:,} held out"
        return f"data: {read}; {used}{f'; left out: {gone}' if gone else ''}"

    def _reason(self, why: str, count: int) -> str:
        rows = [row for row in self.left_out if row.why == why]
        named = ", ".join(row.where.rpartition(", row ")[2] or str(row.id) for row in rows[:SHOWN])
        more = f" and {count - SHOWN:,} more" if count > SHOWN else ""
        said = f", such as {rows[0].said}" if rows[0].said else ""
        return f"{count:,} ({why}: {'row' if count == 1 else 'rows'} {named}{more}{said})"

    def changed(self, file: Path) -> list[str]:
        """The sources whose rows are not those of an earlier report, if there is one."""
        try:
            before = json.loads(file.read_text())["sources"]
            known = {f"{one['setting']}={one['path']}": one["sha256"] for one in before}
        except (OSError, ValueError, KeyError, TypeError):
            return []
        found = {source.name: source.digest.hexdigest() for source in self.sources}
        return [name for name, digest in found.items() if known.get(name, digest) != digest]

    def text(self) -> str:
        """The whole of it as JSON, a row a line."""
        sources = [
            {"setting": s.setting, "path": s.path, "weight": s.weight, "rows": s.rows, "sha256": s.digest.hexdigest()}
            for s in self.sources
        ]
        counts = {"train": self.train, "held_out": self.held_out, **Counter(row.why for row in self.left_out)}
        rows = [json.dumps({"where": r.where, "id": r.id, "why": r.why}, ensure_ascii=False) for r in self.left_out]
        parts = [
            '"sources": [\n  ' + ",\n  ".join(json.dumps(one, ensure_ascii=False) for one in sources) + "\n ]",
            '"counts": ' + json.dumps(counts, ensure_ascii=False),
            '"rows": [\n  ' + ",\n  ".join(rows) + "\n ]",
        ]
        return "{\n " + ",\n ".join(parts) + "\n}\n"


_open: ContextVar[DataReport | None] = ContextVar("report", default=None)


@contextmanager
def reading() -> Iterator[DataReport]:
    """Within the block what is read is noted in the report."""
    report = DataReport()
    token = _open.set(report)
    try:
        yield report
    finally:
        _open.reset(token)


def current() -> DataReport:
    """The report of the block around, or one that nobody reads."""
    return _open.get() or DataReport()


def leave_out(where: str, identity: str | None, why: str, said: str = "") -> None:
    """Note that a row is not used, and why: ``leave_out(where, row["id"], "its answer is no single value")``."""
    current().left_out.append(LeftOut(where, identity, why, said))
