"""Three sets at once on a real language model: killed in the middle and gone on with, the answers are the same."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from raysgpo.config import Config
from raysgpo.output.json_lines import read_rows
from raysgpo.tiny.smollm2 import ensure_smollm2

ROOT = Path(__file__).parents[2]
pytestmark = [pytest.mark.real, pytest.mark.timeout(900)]
ANSWERS = 2 * 4 + 8 + 8


def start(storage: Path) -> subprocess.Popen[str]:
    """Few questions of three sets; in float32, where what is sampled beside an answer is least likely to turn it."""
    words = [
        *("smollm2", "--sets", "gsm8k,math500,aime24", f"storage={storage}", "max_tokens=48", "rollout.dtype=float32"),
        *("limit=8", "aime24.limit=4", "aime24.samples=2"),
    ]
    return popen(*words)


def popen(*words: str) -> subprocess.Popen[str]:
    line = [sys.executable, str(ROOT / "jobs" / "evaluate.py"), *words]
    return subprocess.Popen(line, cwd="/", stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def ended(job: subprocess.Popen[str]) -> str:
    out, err = job.communicate(timeout=400)
    assert job.returncode == 0, err
    return out


def answers(storage: Path) -> dict[tuple[str, str, int], dict[str, Any]]:
    rows = read_rows(storage / "evaluations" / "evaluation-001" / "answers.jsonl")
    return {(row["set"], row["id"], row["sample"]): row for row in rows}


def test_killed_and_gone_on_with_it_has_the_same_answers(tmp_path: Path) -> None:
    ensure_smollm2(Config().model_cache_root, print)
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    out = ended(start(whole))
    assert all(f" {name} " in out for name in ("gsm8k", "math500", "aime24", "Overall"))
    job = start(cut)
    while job.poll() is None and len(answers(cut)) < 6:
        time.sleep(0.02)
    job.kill()
    job.wait()
    job.communicate()
    before = answers(cut)
    assert 6 <= len(before) < ANSWERS, "it was killed in the middle"
    ended(popen("--resume", "evaluation-001", f"storage={cut}"))
    assert answers(cut).items() >= before.items(), "what was answered is not asked again"
    assert answers(cut) == answers(whole) and len(answers(cut)) == ANSWERS
    scores = [json.loads((one / "evaluations/evaluation-001/scores.json").read_text()) for one in (whole, cut)]
    assert scores[0] == scores[1]
