"""What judging adds to a step: the embedded default with the rule judge and with a model, one after the other.

``python -m tests.bench.judging [--steps 24] [--rounds 2]``. All steps are judged. Under S = 0 with the replica of the
tiny judge; under S = 1 with a server that waits 2 s before each answer and then says what is right.
The models are made first if they are not there.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from raysgpo.config import Config
from raysgpo.output.json_lines import read_rows
from raysgpo.output.run_folder import RunFolder
from raysgpo.tiny.tiny_judge import ensure_tiny_judge, verdicts_so_far
from tests.judging.judge_server import JudgeServer

ROOT = Path(__file__).parents[2]
LATENCY = 2.0
WARM_UP = 2
"""Steps at the start that are not counted."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=24)
    parser.add_argument("--rounds", type=int, default=2, help="each setting runs so often, in turns")
    options = parser.parse_args()
    cache = Config().model_cache_root
    ensure_tiny_judge(cache)
    with JudgeServer(continue_prompt=verdict, latency=LATENCY) as server:
        late = ["judge=endpoint", "judge.model=judge", "judge.prompt=compact", f"judge.base_url={server.base_url}"]
        late += ["judge.api_key_env=null", "judge.concurrency=256"]
        pairs = [
            ("S = 0, tiny judge", ["max_staleness=0"], ["judge=tiny"]),
            (f"S = 1, {LATENCY:g} s late", ["max_staleness=1"], late),
        ]
        for name, common, judged in pairs:
            seconds: dict[str, list[dict[str, float]]] = {"rule": [], "model": []}
            for _ in range(options.rounds):
                seconds["rule"].append(measure(options.steps, [*common, "judge=rule"]))
                seconds["model"].append(measure(options.steps, [*common, *judged]))
            show(name, seconds)


def verdict(prompt: str) -> str:
    """What the table shows, as the tiny judge is taught to say it."""
    return verdicts_so_far(prompt.removeprefix("<|user|>").removesuffix("<|end|><|assistant|>"))[-1][1]


def measure(steps: int, words: list[str]) -> dict[str, float]:
    """Means over the steps of one run."""
    with tempfile.TemporaryDirectory() as folder:
        fixed = [f"storage={folder}", f"steps={steps}", f"judge.steps={steps}", "evaluation.every=0"]
        line = [sys.executable, str(ROOT / "jobs" / "train.py"), "arithmetic", *words, *fixed]
        subprocess.run(line, check=True, stdout=subprocess.DEVNULL)
        [run] = (Path(folder) / "runs").iterdir()
        rows: list[dict[str, Any]] = list(read_rows(RunFolder(run).metrics))[WARM_UP:]
    names = ("time/step", "time/sample", "time/judge", "time/train", "judge/calls", "judge/lost")
    return {name: statistics.mean(row[name] for row in rows) for name in names}


def show(name: str, found: dict[str, list[dict[str, float]]]) -> None:
    print(name)
    for judge, rounds in found.items():
        for means in rounds:
            print(f"  {judge:6s}" + "".join(f"  {key} {value:.2f}" for key, value in means.items()))
    rule, model = (statistics.mean(means["time/step"] for means in found[judge]) for judge in ("rule", "model"))
    print(f"  judging adds {model / rule - 1:+.1%} to a step", flush=True)


if __name__ == "__main__":
    main()
