"""What a report is of: evaluations, one comparison, or runs; and the report of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from raysgpo.config.overrides import ConfigError
from raysgpo.config.places import user_path
from raysgpo.output.run_folder import RunFolder
from raysgpo.studies.papers.tables import PaperTable, paper_table
from raysgpo.studies.reports.document import Document
from raysgpo.studies.reports.evaluations import read_evaluations
from raysgpo.studies.reports.methods import named_methods
from raysgpo.studies.reports.of_evaluations import evaluation_report
from raysgpo.studies.reports.of_run import run_report
from raysgpo.studies.reports.of_runs import training_report
from raysgpo.studies.reports.trained import read_comparison, read_runs
from raysgpo.studies.reports.written import write_document

Kind = Literal["evaluations", "comparisons", "runs"]
MARKS: dict[Kind, str] = {"evaluations": "evaluation.json", "comparisons": "comparison.json", "runs": "config.yaml"}
"""What lies in a folder of each kind; the kinds are the folders under ``storage``."""
PAGES: dict[Kind, str] = {"evaluations": "report.html", "comparisons": "papers.html", "runs": "report.html"}
"""A comparison's own report is ``report.html``."""


@dataclass(frozen=True, slots=True)
class Places:
    kind: Kind
    folders: tuple[Path, ...]

    @classmethod
    def named(cls, texts: Sequence[str], root: Path) -> Places:
        """Those that the words name: folders, or names under ``root``.

        Raises:
            ConfigError: one of them is none, or they do not go together.
        """
        found = dict(_place(text, root) for text in texts)
        if len(found) < len(texts):
            raise ConfigError(f"{' '.join(texts)}: one of them is named twice; leave one out")
        kinds = list(dict.fromkeys(found.values()))
        if len(kinds) > 1:
            said = "; ".join(f"{folder.name} is of the {kind}" for folder, kind in found.items())
            raise ConfigError(f"{said}: a report is of evaluations, of a comparison, or of runs; make one of each")
        if kinds[0] == "comparisons" and len(found) > 1:
            raise ConfigError(f"{' '.join(texts)}: a report is of one comparison; make one of each")
        if kinds[0] == "runs" and (twice := _same_name(list(found))):
            raise ConfigError(f"two runs are called {twice}: a report tells them apart by their names; rename a folder")
        return cls(kinds[0], tuple(found))


def written_report(
    places: Places, paper: str | None, methods: Sequence[str], attempts: int | None, each: int, out: Path | None
) -> Path:
    """Writes the report and returns its page.

    Raises:
        ConfigError: what is asked for is not there, or not of such a place.
    """
    alone = places.kind == "runs" and len(places.folders) == 1
    if attempts is not None and places.kind != "evaluations":
        raise ConfigError(f"--attempts {attempts}: of evaluations alone; leave it out")
    if methods and (alone or places.kind == "comparisons"):
        what = "one run is one method" if alone else "the methods of a comparison are its variants"
        raise ConfigError(f"--method {methods[0]!r}: {what}; leave it out")
    if paper is not None and alone:
        raise ConfigError(f"--paper {paper}: a paper's table is beside evaluations, comparisons or several runs")
    table = paper_table(paper) if paper is not None else None
    document = _document(places, table, methods, attempts, each)
    page = "runs.html" if places.kind == "runs" and not alone else PAGES[places.kind]
    file = out or places.folders[0] / page
    write_document(document, file)
    return file


def _document(
    places: Places, paper: PaperTable | None, methods: Sequence[str], attempts: int | None, each: int
) -> Document:
    first, *others = places.folders
    if places.kind == "evaluations":
        evaluated = read_evaluations(places.folders)
        title = ", ".join(folder.name for folder in places.folders)
        return evaluation_report(title, evaluated, named_methods(methods, evaluated.labels), paper, attempts)
    if places.kind == "comparisons":
        return training_report(first.name, read_comparison(first), paper)
    if not others:
        return run_report(RunFolder(first), each)
    names = [folder.name for folder in places.folders]
    training = read_runs([RunFolder(folder) for folder in places.folders], named_methods(methods, names))
    return training_report(", ".join(names), training, paper)


def _place(text: str, root: Path) -> tuple[Path, Kind]:
    named = user_path(text).absolute()
    for folder in (named, *(root / kind / text for kind in MARKS)):
        for kind, mark in MARKS.items():
            if (folder / mark).is_file():
                return folder, kind
    known = [f"{kind}: {', '.join(there)}" for kind in MARKS if (there := _there(root / kind, MARKS[kind]))]
    listed = f"under {root} are {'; '.join(known)}" if known else f"{root} holds none"
    raise ConfigError(f"{text}: no evaluation, comparison or run there; {listed}")


def _there(folder: Path, mark: str) -> list[str]:
    """The newest that lie there."""
    return sorted(file.parent.name for file in folder.glob(f"*/{mark}"))[-10:]


def _same_name(folders: Sequence[Path]) -> str | None:
    names = [folder.name for folder in folders]
    return next((name for name in names if names.count(name) > 1), None)
