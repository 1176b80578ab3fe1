"""What the run asks of an experiment tracker."""

from __future__ import annotations

from importlib import import_module
from typing import Protocol

from raysgpo.config.overrides import Tree
from raysgpo.config.trackers import TRACKERS
from raysgpo.output.metrics import Metrics
from raysgpo.output.run_folder import RunFolder
from raysgpo.output.whole_file import write_whole

PROJECT = "raysgpo"
"""What runs are kept under where nothing else is said."""


class Tracker(Protocol):
    """One that goes on with the tracker run of the same folder, if it has been there. Whatever a method raises costs
    rows of this tracker alone (:mod:`raysgpo.tracking.trackers`)."""

    def __init__(self, run: RunFolder, step: int, settings: Tree) -> None:
        """Begin. ``step``: optimizer steps done; ``settings``: of the run."""

    @classmethod
    def unready(cls) -> str | None:
        """Why it could not begin, in one line with the fix; None if nothing is known to be missing."""

    @property
    def place(self) -> str | None:
        """Where a person can look; None where it goes without saying."""

    def row(self, row: Metrics) -> None:
        """A step's numbers or an evaluation's. ``step`` is in it; null is no number."""

    def close(self, failed: bool) -> None:
        """The end of the run, or of an attempt at it."""


def tracker_class(name: str) -> type[Tracker]:
    """Of a name of TRACKERS."""
    module, _, attribute = TRACKERS[name].factory.partition(":")
    found: type[Tracker] = getattr(import_module(module), attribute)
    return found


def numbers(row: Metrics) -> dict[str, float]:
    """Those that there are, ``step`` apart."""
    return {name: float(value) for name, value in row.items() if value is not None and name != "step"}


def remembered(run: RunFolder, name: str) -> str | None:
    """The id of the tracker run that the folder's rows went to; None if there is none."""
    file = run.trackers / f"{name}.id"
    return file.read_text(encoding="utf-8").strip() if file.is_file() else None


def remember(run: RunFolder, name: str, identity: str) -> None:
    """Rows go there from now on, after a resumption too."""
    run.trackers.mkdir(exist_ok=True)
    write_whole(run.trackers / f"{name}.id", identity + "\n")
