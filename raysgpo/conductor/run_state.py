"""What the conductor and its source of groups share: where a run stands, and a signal that it moved."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from raysgpo.conductor.progress import Progress
from raysgpo.conductor.versions import Versions
from raysgpo.config.resolved import ResolvedConfig
from raysgpo.groups.prepared import Prepared
from raysgpo.groups.tickets import Tickets
from raysgpo.groups.window import Window


@dataclass(frozen=True, slots=True)
class RunState:
    """One event loop reads and writes it."""

    prepared: Prepared
    window: Window
    tickets: Tickets
    versions: Versions
    progress: Progress
    say: Callable[[str | None], None]
    """A line for the console, unless it is None or was said before."""
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    @property
    def config(self) -> ResolvedConfig:
        return self.prepared.config

    async def notify(self) -> None:
        """Wake everyone who waits for something to change."""
        async with self.changed:
            self.changed.notify_all()
