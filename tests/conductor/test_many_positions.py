"""More positions than Ray lets calls wait at an actor: the trainer is heard all the same."""

from __future__ import annotations

import time

import pytest

from raysgpo.output.json_lines import read_rows
from tests.conductor.conftest import Start

pytestmark = pytest.mark.ray

P = 1024
"""An actor of Ray's has a thousand calls under way."""
WAITING = 3.0
"""Seconds in which the positions of the next step come to wait; a faster test would prove less and not fail."""


def test_the_trainer_is_heard_while_more_than_a_thousand_positions_wait(start_run: Start) -> None:
    run = start_run(2, f"prompts_per_step={P}", "evaluation.every=0", "checkpoint.every=0")
    run.publish(0)
    assert run.step(0).num_tokens > 0
    time.sleep(WAITING)
    run.publish(1)
    run.trained(0)
    assert run.step(1).num_tokens > 0
    run.publish(2)
    run.trained(1)
    assert [row["position"] for row in read_rows(run.folder.groups)] == list(range(2 * P))
