"""The scripted judge's server, as the tests of ``judging`` have it."""

from __future__ import annotations

from tests.judging.conftest import judge_server, short_pauses

__all__ = ["judge_server", "short_pauses"]
