"""A step of ten thousand prompts goes through the whole stream, and the next one waits its turn."""

from __future__ import annotations

import time

import pytest

from raysgpo.output.json_lines import read_rows
from tests.conductor.conftest import Start

pytestmark = [pytest.mark.scale, pytest.mark.timeout(3600)]

P = 10_000


def test_two_steps_of_ten_thousand_prompts(start_run: Start, capsys: pytest.CaptureFixture[str]) -> None:
    run = start_run(2, f"prompts_per_step={P}", "evaluation.every=0", "checkpoint.every=0", "max_staleness=1")
    seconds = []
    run.publish(0)
    for step in range(2):
        begun = time.monotonic()
        assert run.step(step).num_tokens > 0
        seconds.append(round(time.monotonic() - begun, 1))
        run.publish(step + 1)
        run.trained(step)
    assert [row["position"] for row in read_rows(run.folder.groups)] == list(range(2 * P))
    with capsys.disabled():
        print(f"\nseconds from asking for a step of {P:,} prompts to having it: {seconds}")
