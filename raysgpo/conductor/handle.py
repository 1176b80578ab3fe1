"""The conductor's handle, as mypy sees it."""

from __future__ import annotations

from typing import Any, Protocol

from raysgpo.conductor.messages import Admission, Decision, Status, TrainReport
from raysgpo.output.whole_file import WriteFailed
from raysgpo.policy.sequences import Share
from raysgpo.policy.shares import Logprobs
from raysgpo.remote import Call, Pending


class SayCall(Protocol):
    """``Conductor.say``: a line, and of a kind only the first."""

    def remote(self, message: str | None, kind: str | None = None) -> Pending[None]: ...


class ConductorHandle(Protocol):
    """The handle of a :class:`raysgpo.conductor.conductor.Conductor`, by who calls."""

    # --- the run ---

    @property
    def start(self) -> Call[[Any], None]: ...

    @property
    def open_publishing(self) -> Call[[], None]: ...

    @property
    def status(self) -> Call[[int], Status]: ...

    @property
    def stop_after_step(self) -> Call[[], None]: ...

    @property
    def close(self) -> Call[[], None]: ...

    # --- group workers ---

    @property
    def admit(self) -> Call[[list[int], int | None], Admission]: ...

    @property
    def dropped(self) -> Call[[int], None]: ...

    @property
    def beat(self) -> Call[[str, Any, float], None]: ...

    # --- train workers ---

    @property
    def publishing_open(self) -> Call[[], None]: ...

    @property
    def next_version(self) -> Call[[int], int]: ...

    @property
    def published(self) -> Call[[int, int, int], None]: ...

    @property
    def unscored(self) -> Call[[int, int, int], Share | None]: ...

    @property
    def scored(self) -> Call[[int, int, int, Logprobs], None]: ...

    @property
    def evaluate_start(self) -> Call[[], None]: ...

    @property
    def step(self) -> Call[[int, int, int], list[Share]]: ...

    @property
    def trained(self) -> Call[[int, TrainReport], Decision]: ...

    @property
    def decision(self) -> Call[[int], Decision]: ...

    @property
    def checkpoint_state(self) -> Call[[int], dict[str, Any]]: ...

    @property
    def trained_steps(self) -> Call[[], int]: ...

    @property
    def checkpointed(self) -> Call[[int], None]: ...

    @property
    def unwritten(self) -> Call[[WriteFailed], None]: ...

    @property
    def say(self) -> SayCall: ...
