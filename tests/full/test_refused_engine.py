"""What stops an engine is one line on the console, with the setting that mends it, whatever vLLM wrote about it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.full.conftest import ROOT, run_to_end

pytestmark = [pytest.mark.full, pytest.mark.timeout(900)]


def test_an_engine_that_cannot_start_ends_the_run_with_one_line(tiny: Path, tmp_path: Path) -> None:
    words = [f"model={tiny}", "judge=rule", "task.prompts=4", "task.terms=3", "evaluation.prompts=2", "steps=1"]
    refused = "rollout.engine={quantization: nosuch}"
    status, output = run_to_end(
        tmp_path / "here", str(ROOT / "jobs" / "train.py"), "arithmetic", *words, refused, f"storage={tmp_path}"
    )
    errors = [line for line in output.splitlines() if "error" in line.lower()]
    assert status == 2 and len(errors) == 1, output
    assert errors[0].startswith(f"error: {refused}: vLLM refuses it: Unknown quantization method: nosuch")
    assert "Traceback" not in output
