"""What ``max_staleness`` gains where answers are as long as R1's.

The real conductor, window, stream, Ray Serve and weight store; engines and trainer sleep as long as theirs would take.

python -m tests.bench.staleness [--steps 14] [--update 2.2] [--staleness 0,1,2]

An engine works at a bounded number of answers, begins the next when one ends, and makes the tokens of each at one
speed. Lengths are lognormal (median 3k, 99th of a hundred 25k, 32k at most); 32 tokens are one here. All settings
sample the same answers, for their seeds are the same. Of each:

s/step       by the clock, without the first WARM steps
x            times as fast as the first setting
bound        what the two sides' times alone give: see ``bound``
ideal        the same, where an answer also waits for a slot: see ``ideal``
of bound     the bound over the first
longest      seconds of a step's longest answer
update       seconds from having a step to having published its weights
wait         seconds in which the trainer waited for a step
slots        share of the engines' slots that had an answer
"""

from __future__ import annotations

import argparse
import heapq
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist, mean
from typing import Any

import torch

from raysgpo.config import RolloutConfig
from raysgpo.groups.prepared import StartState
from raysgpo.output.json_lines import read_rows
from raysgpo.serving.application import delete
from raysgpo.session.ray_session import ray_session
from raysgpo.weights.store import start_weight_store
from raysgpo.weights.store_transport import StoreTransport
from tests.conductor.fakes import FakeRun
from tests.rollouts import deploy_rollout
from tests.serving.fake_engine import fake_engine

NAME = "staleness"
P, G = 32, 8
REPLICAS, SLOTS = 2, 64
SCALE = 32
"""Tokens that are one here."""
MEDIAN, HIGH, LONGEST = 3_000, 25_000, 32_768
"""Tokens: the middle answer, the longest of a hundred, and where an answer is cut."""
SECONDS = 1e-4 * SCALE
"""Of a token here: an answer of 32k takes 3.3 s."""
TOGETHER = 16
LOADING = 0.05
"""Seconds in which a replica loads weights and makes no token."""
WARM = 2


def lengths(count: int = 1024) -> list[int]:
    """Tokens here, at evenly spaced quantiles."""
    normal = NormalDist()
    spread = NormalDist().inv_cdf(0.99)
    sigma = torch.tensor(HIGH / MEDIAN).log().item() / spread
    quantiles = [normal.inv_cdf((index + 0.5) / count) for index in range(count)]
    return [round(min(MEDIAN * 2.718281828 ** (sigma * z), LONGEST) / SCALE) for z in quantiles]


@dataclass(frozen=True)
class Measured:
    """Of a run, from its records and the clock."""

    ends: list[float]
    """When each step was over, seconds since the first began."""
    sampled: list[list[int]]
    """Tokens here of each answer, step by step."""
    update_seconds: float
    wait_seconds: float


def bound(sampled: Sequence[Sequence[int]], update: float, staleness: int) -> list[float]:
    """When each step ends at the earliest: step k's answers begin once step k - S - 1 has been trained and published;
    the longest takes its time, all of them share the slots, and the trainer takes one step after the other."""
    ends: list[float] = []
    opened: list[float] = []
    for step, answers in enumerate(sampled):
        before = step - staleness - 1
        opened.append(ends[before] if before >= 0 else 0.0)
        works = [sum(map(sum, sampled[first : step + 1])) * SECONDS / (REPLICAS * SLOTS) for first in range(step + 1)]
        there = max([opened[-1] + max(answers) * SECONDS, *(o + w for o, w in zip(opened, works, strict=True))])
        ends.append(max(there, ends[-1] if ends else 0.0) + update)
    return ends


def ideal(sampled: Sequence[Sequence[int]], update: float, staleness: int) -> list[float]:
    """When each step ends if all slots are one engine's, which takes the answers in their order and never pauses."""
    free = [0.0] * (REPLICAS * SLOTS)
    ends: list[float] = []
    for step, answers in enumerate(sampled):
        before = step - staleness - 1
        opened, there = (ends[before] if before >= 0 else 0.0), 0.0
        for length in answers:
            there = max(there, done := max(heapq.heappop(free), opened) + length * SECONDS)
            heapq.heappush(free, done)
        ends.append(max(there, ends[-1] if ends else 0.0) + update)
    return ends


def per_step(ends: Sequence[float]) -> float:
    return (ends[-1] - ends[WARM - 1]) / (len(ends) - WARM)


class Setting:
    """Replicas that all runs share, one run after the other."""

    def __init__(self) -> None:
        engine = {
            "answers": ["x" * (length - 1) for length in lengths()], "token_seconds": SECONDS, "together": TOGETHER,
            "at_once": SLOTS, "update_seconds": LOADING, "max_model_len": 2 * LONGEST,
        }  # fmt: skip
        rollout = RolloutConfig(replicas=REPLICAS, cpus=0.1, kv_cache_gib=0.1, start_deadline=60, engine=engine)
        self.transport = StoreTransport(start_weight_store())
        self.handle = deploy_rollout("model", rollout, self.transport, engine=fake_engine, name=NAME, groups=3 * P)
        self.sender = self.transport.sender(self.handle)
        self._version = 0

    def run(self, folder: Path, steps: int, update: float, staleness: int) -> Measured:
        run = FakeRun(
            folder, steps, f"prompts_per_step={P}", f"sampling.group_size={G}", f"max_staleness={staleness}",
            f"sampling.max_tokens={LONGEST}", "task.prompts=500", "algorithm=grpo", "evaluation.every=0",
            "checkpoint.every=0", "rollout.token_deadline=60", rollout=self.handle,
            start=StartState(version=self._version),
        )  # fmt: skip
        try:
            self._publish(run, 0)
            begun, ends, updates, waits = time.monotonic(), [], [], []
            for step in range(steps):
                asked = time.monotonic()
                run.step(step)
                there = time.monotonic()
                time.sleep(update)
                self._publish(run, step + 1)
                updates.append(time.monotonic() - there)
                run.trained(step)
                ends.append(time.monotonic() - begun)
                waits.append(there - asked)
            groups = list(read_rows(run.folder.groups))
        finally:
            run.close()
        sampled: list[list[int]] = [[] for _ in range(steps)]
        for group in groups:
            assert len(group["rollouts"]) == G and group["age"] <= staleness
            sampled[group["step"]] += [rollout["num_tokens"] for rollout in group["rollouts"]]
        return Measured(ends, sampled, mean(updates[WARM:]), mean(waits[WARM:]))

    def _publish(self, run: FakeRun, step: int) -> None:
        self._version = run.version = run.call("next_version", step)
        report = self.sender.publish(self._version, [("w", torch.zeros(3))], deadline=20)
        assert report.complete, report.failures
        run.call("published", self._version, step, 1)

    def close(self) -> None:
        delete(NAME, deadline=5)


def row(staleness: int, found: Measured, first: Measured) -> dict[str, Any]:
    step, given = per_step(found.ends), (found.sampled, found.update_seconds, staleness)
    least = per_step(bound(*given))
    work = sum(map(sum, found.sampled[WARM:])) * SECONDS / (REPLICAS * SLOTS) / (len(found.ends) - WARM)
    longest = mean(max(answers) for answers in found.sampled[WARM:]) * SECONDS
    return {
        "S": staleness, "s/step": step, "x": per_step(first.ends) / step, "bound": least,
        "ideal": per_step(ideal(*given)), "of bound": least / step, "longest": longest,
        "update": found.update_seconds, "wait": found.wait_seconds, "slots": work / step,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=14)
    parser.add_argument("--update", type=float, default=2.2, help="seconds of the trainer in a step")
    parser.add_argument("--staleness", default="0,1,2")
    arguments = parser.parse_args()
    out, first = sys.stdout, None
    with tempfile.TemporaryDirectory() as folder, ray_session(), redirect_stdout(out):
        setting = Setting()
        try:
            for staleness in map(int, arguments.staleness.split(",")):
                (place := Path(folder) / str(staleness)).mkdir()
                found = setting.run(place, arguments.steps, arguments.update, staleness)
                first = first or found
                said = row(staleness, found, first)
                if found is first:
                    print("".join(f"{name:>10}" for name in said))
                print("".join(f"{value:>10.2f}" if name != "S" else f"{value:>10}" for name, value in said.items()))
                sys.stdout.flush()
        finally:
            setting.close()


if __name__ == "__main__":
    main()
