"""The runs of the conductor's own tests, at size."""

from __future__ import annotations

from tests.conductor.conftest import start_run

__all__ = ["start_run"]
