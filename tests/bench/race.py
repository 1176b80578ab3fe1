"""A step here against a step of TRL: one model, the same prompts, lengths and optimizer, runs that take turns.

    python tests/bench/race.py [RECIPE] [key=value ...] [--steps 12] [--rounds 2] [--evaluate]

GRPO on either side, as the settings say; a round is a run of ours and one of TRL's (``race_trl.py``) with a seed of its
own. Seconds are those between the ends of two steps; the first step of a run is left out, since TRL's has its
start in it. ``--evaluate`` asks both trained policies the same held-out problems. TRL is the extra ``race``.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from raysgpo.output.json_lines import read_rows
from raysgpo.recipes import RECIPES

ROOT = Path(__file__).resolve().parents[2]
PHASES = ("sample", "judge_alone", "train", "sync", "other")
LOOK = 15.0
"""Seconds between two looks at the memory of all processes of a side; a look costs a side of many processes most."""
PLAIN = ["algorithm=grpo", "judge=none", "guidance=none", "evaluation.every=0"]

__all__ = ["RECIPES"]


@dataclass(slots=True)
class Step:
    seconds: float
    tokens: float
    accuracy: float
    phases: dict[str, float]


@dataclass(slots=True)
class Side:
    """What one side's runs came to."""

    name: str
    steps: list[list[Step]]
    peaks: list[float]
    """GiB of all its processes together, shared pages counted once."""
    starts: list[float]
    """Seconds from the command to the end of the first step."""
    held_out: list[float]

    @property
    def counted(self) -> list[Step]:
        return [step for run in self.steps for step in run[1:]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*", metavar="RECIPE key=value", default=["arithmetic"])
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--evaluate", action="store_true")
    arguments = parser.parse_intermixed_args()
    recipe, *overrides = arguments.words
    sides = [Side(name, [], [], [], []) for name in ("raysgpo", "TRL")]
    with tempfile.TemporaryDirectory(prefix="race-") as folder:
        for seed in range(arguments.rounds):
            words = [recipe, *PLAIN, *overrides, f"steps={arguments.steps}", f"seed={seed}"]
            for side, run in zip(sides, (ours, trl), strict=True):
                model = run(side, words, Path(folder) / f"{side.name}-{seed}")
                if arguments.evaluate:
                    side.held_out.append(
                        held_out([recipe, *overrides], model, Path(folder) / f"asked-{side.name}-{seed}")
                    )
    print(table(sides))


def ours(side: Side, words: Sequence[str], folder: Path) -> Path:
    began = time.time()
    with watched(side, [sys.executable, "jobs/train.py", *words, f"storage={folder}", "name=race"]) as process:
        for line in process.stdout or ():
            if line.startswith("step 1/"):
                side.starts.append(time.time() - began)
    run = folder / "runs/race-001"
    rows = list(read_rows(run / "metrics.jsonl"))
    side.steps.append(
        [
            Step(
                row["time/step"],
                row["tokens/sampled"],
                row["accuracy/mean"],
                {phase: row[f"time/{phase}"] for phase in PHASES},
            )
            for row in rows
        ]
    )
    return next(iter((run / "exports").iterdir()))


def trl(side: Side, words: Sequence[str], folder: Path) -> Path:
    began = time.time()
    steps = []
    with watched(side, [sys.executable, "tests/bench/race_trl.py", str(folder), *words]) as process:
        for line in process.stdout or ():
            row = json.loads(line) if line.startswith('{"step"') else {}
            if row:
                steps.append(Step(row["seconds"], row["tokens"], row["reward"], {}))
            if row.get("step") == 1:
                side.starts.append(time.time() - began)
    side.steps.append(steps)
    return folder


def held_out(words: Sequence[str], model: Path, folder: Path) -> float:
    """Greedy accuracy of a policy on the task's held-out problems."""
    words = [*words, "algorithm=grpo", "judge=none", "guidance=none", "steps=0", "evaluation.every=1"]
    with watched(
        None, [sys.executable, "jobs/train.py", *words, f"model={model}", f"storage={folder}", "name=asked"]
    ) as process:
        process.communicate()
    return float(list(read_rows(folder / "runs/asked-001/evaluations.jsonl"))[-1]["eval/accuracy"])


@contextmanager
def watched(side: Side | None, command: Sequence[str]) -> Iterator[subprocess.Popen[str]]:
    """The command's process; the peak of the memory of it and of all that it starts goes to ``side``.

    Raises:
        SystemExit: it failed; its last words are told.
    """
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths), "PYTHONUNBUFFERED": "1"}
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=errors, text=True)
        ended, peak = threading.Event(), [0.0]
        watcher = threading.Thread(target=_watch, args=(process.pid, ended, peak), daemon=True)
        watcher.start()
        try:
            yield process
            process.wait()
        finally:
            ended.set()
            process.kill()
            watcher.join()
        if process.returncode:
            errors.seek(0)
            raise SystemExit(f"{' '.join(command)}\n{errors.read()[-3000:]}")
    if side is not None:
        side.peaks.append(peak[0])


def _watch(pid: int, ended: threading.Event, peak: list[float]) -> None:
    """Proportional set sizes: a page of several processes counts once."""
    while not ended.wait(LOOK):
        total = 0
        with suppress(psutil.Error):
            processes = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
            for process in processes:
                with suppress(psutil.Error):
                    total += process.memory_full_info().pss
        peak[0] = max(peak[0], total / 2**30)


def table(sides: Sequence[Side]) -> str:
    lines = [f"{'':22}{'raysgpo':>10}{'TRL':>10}{'ratio':>8}"]

    def row(what: str, values: Sequence[float | None], more: bool = False, ratio: bool = True) -> None:
        shown = "".join(f"{'-' if value is None else format(value, '.3g'):>10}" for value in values)
        mine, theirs = values
        told = f"{(mine / theirs if more else theirs / mine):8.2f}" if ratio and mine and theirs else ""
        lines.append(f"{what:22}{shown}{told}")

    seconds = [statistics.median(step.seconds for step in side.counted) for side in sides]
    row("seconds a step", seconds)
    for phase in PHASES:
        found = [[step.phases[phase] for step in side.counted if phase in step.phases] for side in sides]
        row(f"  {phase}", [statistics.median(times) if times else None for times in found], ratio=False)
    rates = [statistics.median(step.tokens / step.seconds for step in side.counted) for side in sides]
    row("tokens/s", rates, more=True)
    row("tokens a step", [statistics.mean(step.tokens for step in side.counted) for side in sides], ratio=False)
    row("to the first step, s", [statistics.median(side.starts) for side in sides])
    row("GiB at most", [max(side.peaks) for side in sides])
    row("accuracy, all steps", [_last_quarter([run for run in side.steps], None) for side in sides], ratio=False)
    shortest = min(sum(step.seconds for step in run[1:]) for side in sides for run in side.steps)
    row("accuracy, equal time", [_last_quarter(side.steps, shortest) for side in sides], ratio=False)
    if all(side.held_out for side in sides):
        row("held-out accuracy", [statistics.mean(side.held_out) for side in sides], ratio=False)
    return "\n".join(lines)


def _last_quarter(runs: Sequence[Sequence[Step]], seconds: float | None) -> float | None:
    """Training accuracy of the last quarter of the steps, or of those made within so many seconds; None if none was."""
    found = []
    for run in runs:
        made, spent = [], 0.0
        for step in run[1:]:
            spent += step.seconds
            if seconds is None or spent <= seconds * 1.001:
                made.append(step.accuracy)
        found += made[-max(1, len(made) // 4) :]
    return statistics.mean(found) if found else None


if __name__ == "__main__":
    main()
