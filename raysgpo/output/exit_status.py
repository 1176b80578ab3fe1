"""Exit statuses of the commands."""

from __future__ import annotations

DONE, FAILED, WRONG_SETTING, STOPPED = 0, 1, 2, 130
