"""The Protocols of handles say what the classes behind them take and give, call by call."""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator
from typing import Any, get_args, get_origin, get_type_hints

import pytest

from raysgpo.conductor.conductor import Conductor
from raysgpo.conductor.handle import ConductorHandle
from raysgpo.serving.handle import RolloutHandle, SamplingHandle
from raysgpo.serving.replica import RolloutReplica
from raysgpo.weights.store import StoreHandle, WeightStore

pytestmark = pytest.mark.ray

PAIRS: list[tuple[type, type]] = [
    (ConductorHandle, Conductor),
    (RolloutHandle, RolloutReplica),
    (StoreHandle, WeightStore),
]
LOOSER = {"start": [Any], "get": [int, float], "state": []}
"""Calls whose Protocol takes less than the method: another type than its own handle, or no optional argument."""


def calls(handle: type) -> dict[str, tuple[list[Any], Any]]:
    """Method to the types of its arguments and of its answer."""
    found = {}
    for name, member in vars(handle).items():
        if isinstance(member, property) and not name.startswith("_"):
            call = get_type_hints(member.fget)["return"]
            if not get_args(call):  # a Protocol of its own, for a call with optional arguments
                hints = get_type_hints(call.remote)
                found[name] = (list(hints.values())[:-1], get_args(hints["return"])[0])
                continue
            parameters, answer = get_args(call)
            found[name] = (list(parameters), answer)
    return found


@pytest.mark.parametrize(("handle", "behind"), [*PAIRS, (SamplingHandle, RolloutReplica)])
def test_a_handle_takes_and_gives_what_the_class_does(handle: type, behind: type) -> None:
    assert calls(handle), "a handle without calls would prove nothing"
    for name, (parameters, answer) in calls(handle).items():
        hints = get_type_hints(getattr(behind, name))
        gives = hints.pop("return")
        gives = get_args(gives)[0] if get_origin(gives) is AsyncGenerator else gives
        if name in LOOSER:
            assert parameters == LOOSER[name]
            continue
        assert parameters == list(hints.values()), f"{behind.__name__}.{name}"
        assert answer == gives, f"{behind.__name__}.{name}"


@pytest.mark.parametrize(("handle", "behind"), PAIRS, ids=[behind.__name__ for _, behind in PAIRS])
def test_every_public_method_can_be_called_by_the_handle(handle: type, behind: type) -> None:
    public = {name for name, _ in inspect.getmembers(behind, inspect.isfunction) if not name.startswith("_")}
    served = {"check_health"}  # Serve calls it
    streamed = set(calls(SamplingHandle)) if handle is RolloutHandle else set()
    assert public - served == set(calls(handle)) | streamed
