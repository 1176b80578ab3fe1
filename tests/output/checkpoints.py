"""Checkpoints by one process, as the tests of what reads them need them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from raysgpo.output import checkpoint


def nothing(place: Path) -> None:
    """A ``save`` that writes no file."""


def write_checkpoint(
    folder: Path,
    step: int,
    save: Callable[[Path], object] = nothing,
    state: dict[str, Any] | None = None,
    keep: int = 2,
    keep_best: bool = False,
) -> Path:
    """If anything raises, the checkpoints are what they were before."""
    try:
        save(checkpoint.begin(folder, step))
        return checkpoint.commit(folder, step, state or {}, keep, keep_best)
    except Exception:
        checkpoint.give_up(folder, step)
        raise
