"""Where the groups of a step come from: sampled as the run goes (``live_source``), or recorded before (``offline``)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from raysgpo.conductor.evaluation import Evaluation
from raysgpo.conductor.handle import ConductorHandle
from raysgpo.conductor.messages import Admission
from raysgpo.conductor.run_state import RunState
from raysgpo.policy.sequences import Share
from raysgpo.policy.shares import Logprobs
from raysgpo.records import Group


class GroupSource(Protocol):
    """The conductor asks it; so do, through the conductor, those who make the groups."""

    async def start(self, conductor: ConductorHandle) -> None:
        """Begin. ``conductor``: for those who make the groups elsewhere."""

    async def admit(self, positions: list[int], seen: int | None) -> Admission:
        """Which of these positions may start.

        ``seen``: the limit of the answer before; waits until one of them may start or the limit is another one.
        None does not wait.
        """

    async def dropped(self, position: int) -> None:
        """The group of this position will not be trained on; it arrives once those before it have."""

    def beat(self, name: str, worker: Any, ago: float) -> None:
        """Who makes groups elsewhere lives; one that falls silent is started again. ``ago``: seconds since any group of
        its own got on."""

    async def groups(self, step: int) -> list[Group]:
        """All groups of a step, in order of position; waits until they are here. Asked again it gives the same.

        Raises:
            RuntimeError: they will never come.
        """

    @property
    def failure(self) -> BaseException | None:
        """Why no further groups will ever come; None while they may."""

    def forget_before(self, step: int) -> None:
        """A checkpoint covers the steps before ``step``: their groups may go."""

    def unscored(self, batch: int, rank: int, world: int) -> Share | None:
        """A rank's share of a batch of groups whose logprobs nobody knows yet; None past the last."""

    def scored(self, batch: int, rank: int, world: int, logprobs: Logprobs) -> None:
        """The logprobs of that share, under the policy that the run starts from."""

    async def evaluate(self, min_version: int, last: bool) -> Evaluation:
        """Held-out answers of weights of ``min_version`` or newer."""

    def close(self) -> None:
        """End what was begun."""


SourceFactory = Callable[[RunState], GroupSource]
"""Called in the conductor's process."""
