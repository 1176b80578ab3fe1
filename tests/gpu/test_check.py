"""The script for one GPU runs to its end, here on the CPU, and what is exact there is exact."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


def test_the_script_prints_its_table() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "tests" / "gpu" / "check.py"), "--small"],
        env={**os.environ, "PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert {line.split()[0] for line in done.stdout.splitlines()} == {
        "device", "packing", "speed", "lora", "weights", "checkpoint",
    }  # fmt: skip
    found = dict(re.findall(r"^(?:\w+) +(.+?) {2,}([\d.,e+-]+)", done.stdout, re.MULTILINE))
    assert float(found["largest difference of a logprob"]) < 1e-5
    assert float(found["relative difference of the gradient"]) < 1e-5
    assert float(found["difference of the next loss"]) < 1e-6
    assert float(found["a prompt once against once an answer"]) < 1e-5
    assert float(found["borders ignored: logprob, gradient"]) > 0.1
    assert found["tensors that the update changed in the copy"] == "0"
    assert float(found["small, tokens a second of an update"].replace(",", "")) > 0


def test_a_section_that_fails_is_a_row_with_its_reason(capsys: pytest.CaptureFixture[str]) -> None:
    spec = importlib.util.spec_from_file_location("gpu_check", ROOT / "tests" / "gpu" / "check.py")
    assert spec is not None and spec.loader is not None
    check = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(check)

    def section() -> Iterator[tuple[str, str, str]]:
        yield "speed", "tokens", "1"
        raise ValueError("no such kernel\nand more")

    assert not check.printed("speed", section)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split() for line in lines] == [
        ["speed", "tokens", "1"],
        ["speed", "FAILED", "ValueError:", "no", "such", "kernel"],
    ]
