"""One line on why a run failed, whatever the machinery wrapped around it."""

from __future__ import annotations

import os

import pytest
import ray
from ray.exceptions import ActorDiedError

from raysgpo.training.thread import root_cause


def test_the_innermost_reason_by_the_rank_that_had_it() -> None:
    wrapped = RuntimeError("Training failed")
    wrapped.worker_failures = {1: ValueError("late"), 0: OSError("frames\n  more frames\nno room")}  # type: ignore[attr-defined]
    assert root_cause(wrapped) == "train worker 0: OSError: no room"
    empty = RuntimeError()
    empty.__cause__ = KeyError("name")
    assert root_cause(empty) == "KeyError: 'name'"
    assert root_cause(ActorDiedError()) == "ActorDiedError: The actor died unexpectedly before finishing this task."


@pytest.mark.ray
def test_a_killed_process_is_named_without_advice(ray_session: None) -> None:
    class Mortal:
        def end(self) -> None:
            os._exit(1)

    mortal = ray.remote(Mortal).options(num_cpus=0).remote()
    with pytest.raises(ActorDiedError) as caught:
        ray.get(mortal.end.remote())
    said = root_cause(caught.value)
    assert said.startswith("the process of ") and "Mortal died: " in said, said
    assert len(said) < 160 and "common causes" not in said and "\n" not in said, said
