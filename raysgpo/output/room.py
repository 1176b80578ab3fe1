"""Waiting for room on a full disk: the run goes on by itself once there is some."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tenacity import RetryCallState, retry_if_exception_type, stop_after_delay, wait_fixed

from raysgpo.output.whole_file import WriteFailed

RETRY_SECONDS = 10.0
PATIENCE_SECONDS = 1800.0
"""Then the run ends, to be resumed."""


def waiting_for_room(say: Callable[[str], object]) -> dict[str, Any]:
    """What a ``Retrying`` or ``AsyncRetrying`` of tenacity does when a write fails; told once."""

    def tell(state: RetryCallState) -> None:
        if state.attempt_number == 1 and state.outcome is not None:
            say(
                f"{state.outcome.exception()}; the run waits for room, {PATIENCE_SECONDS / 60:.0f} minutes at most, "
                "and goes on by itself"
            )

    return {
        "retry": retry_if_exception_type(WriteFailed),
        "wait": wait_fixed(RETRY_SECONDS),
        "stop": stop_after_delay(PATIENCE_SECONDS),
        "before_sleep": tell,
        "reraise": True,
    }
