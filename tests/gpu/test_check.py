"""The script for one GPU runs to its end, here on the CPU, and what is exact there is exact."""

from __future__ import annotations

import os
import re
import subprocess
import sys
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
    assert len(re.findall(r"^lora ", done.stdout, re.MULTILINE)) == 1
    found = dict(re.findall(r"^(?:\w+) +(.+?) {2,}([\d.,e+-]+)", done.stdout, re.MULTILINE))
    assert float(found["largest difference of a logprob"]) < 1e-5
    assert float(found["relative difference of the gradient"]) < 1e-5
    assert float(found["difference of the next loss"]) < 1e-6
    assert float(found["small, tokens a second of an update"].replace(",", "")) > 0
