"""What one conductor carries, on replicas that answer at once: of CPU, a step and a group, and of tokens a second.

python -m tests.bench.conductor [--parts steps,groups,replicas,tokens,stream] [--long STEPSxGROUPS ...]

steps      the same step early and late in a run: the conductor's median step in the second tenth and in the last
groups     from 1 to 4,096 groups a step, of 2 answers of 128 tokens
replicas   from 1 to 256 of them, in this process, weights of no bytes pulled each step
tokens     groups of 8 answers of 1,024 tokens: by part, and tokens for each second of the conductor's CPU
stream     the same groups through Ray: group workers, Ray Data, and the shares to the trainer; by the clock

All but the last run in one process (``tests/conductor/in_process.py``), where the CPU of the conductor can be told from
that of workers and replicas. Milliseconds are of CPU, medians of the steps.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from contextlib import redirect_stdout
from functools import partial
from pathlib import Path
from typing import Any

import ray

from raysgpo.records import Completion, SampleRequest
from raysgpo.session.ray_session import ray_session
from tests.conductor.fake_rollout import FakeHandle
from tests.conductor.fakes import FakeRun
from tests.conductor.in_process import Instant
from tests.scale.fleets import engines
from tests.scale.step_costs import middle, step_costs

ANSWERS, TOKENS = 8, 1024
SHORT = 128
"""Tokens of an answer where groups are counted: a pass of the trainer then holds as many at any size of a step."""
SIZES = ((1, 1000), (32, 200), (256, 30), (1024, 7), (4096, 5))
"""Groups a step, and steps."""
WARM = 2


def steps(runs: list[tuple[int, int]]) -> None:
    print(f"{'steps':>10}{'groups':>8}{'ms a step':>11}{'last/second tenth':>19}{'MiB more':>10}")
    for count, groups in runs:
        costs = step_costs(count, groups=groups)
        row = f"{count:>10,}{groups:>8}{middle(costs.conductor) * 1e3:>11.2f}{costs.rise:>19.3f}"
        print(f"{row}{costs.growth / 2**20:>10.1f}", flush=True)


def groups() -> None:
    print(f"{'groups':>10}{'ms a step':>11}{'us a group':>12}{'workers, us':>13}")
    for size, count in SIZES:
        costs = step_costs(count, groups=size, tokens=SHORT)
        step, made = middle(costs.conductor), middle(costs.made)
        print(f"{size:>10,}{step * 1e3:>11.2f}{step / size * 1e6:>12.0f}{made / size * 1e6:>13.0f}", flush=True)


def replicas() -> None:
    print(f"{'replicas':>10}{'ms a step':>11}{'workers and replicas, ms':>26}")
    for count in (1, 2, 4, 8, 16, 32, 64, 128, 256):
        costs = step_costs(150, groups=32, fleet=partial(engines, count))
        print(f"{count:>10}{middle(costs.conductor) * 1e3:>11.2f}{middle(costs.made) * 1e3:>26.2f}", flush=True)


def tokens() -> None:
    print(f"{'groups':>10}{'hand out, us':>14}{'record, us':>12}{'M tokens a CPU second':>23}{'workers':>9}")
    for size, count in ((32, 60), (256, 12), (1024, 4)):
        costs = step_costs(count, groups=size, size=ANSWERS, tokens=TOKENS)
        out, recorded, made = (middle(part) / size * 1e6 for part in (costs.handed_out, costs.recorded, costs.made))
        carried = ANSWERS * TOKENS / middle(costs.conductor) * size / 1e6
        row = f"{size:>10,}{out:>14.0f}{recorded:>12.0f}{carried:>23.2f}"
        print(f"{row}{ANSWERS * TOKENS / made:>9.2f}", flush=True)


class InstantActor:
    """``Instant`` as an actor, whose handle answers as Serve's does (``FakeHandle``)."""

    def __init__(self) -> None:
        self._instant = Instant(TOKENS)

    async def sample(self, request: SampleRequest, run_id: str) -> list[Completion]:
        [answer] = [said async for said in self._instant.sample(request, run_id)]
        return answer


def stream() -> None:
    print(f"{'groups':>10}{'s a step':>10}{'groups/s':>10}{'M tokens/s':>12}{'conductor, CPU s a s':>22}")
    for size, count in ((64, 12), (256, 8)):
        with tempfile.TemporaryDirectory() as folder:
            seconds, cpu = streamed(Path(folder), size, count)
        row = f"{size:>10}{seconds:>10.2f}{size / seconds:>10.0f}{size * ANSWERS * TOKENS / seconds / 1e6:>12.2f}"
        print(f"{row}{cpu / seconds:>22.2f}", flush=True)


def streamed(folder: Path, size: int, count: int) -> tuple[float, float]:
    """Seconds of a step under S = 1, and the conductor's CPU in them."""
    actor: Any = ray.remote(InstantActor).options(num_cpus=0, max_concurrency=20_000).remote()
    run = FakeRun(
        folder, count, f"prompts_per_step={size}", f"sampling.group_size={ANSWERS}", f"sampling.max_tokens={TOKENS}",
        "task.prompts=1024", "algorithm=grpo", "evaluation.every=0", "checkpoint.every=0", "max_staleness=1",
        rollout=FakeHandle(actor),
    )  # fmt: skip
    clock = run.conductor.__ray_call__
    try:
        run.publish(0)
        for step in range(count):
            if step == WARM:
                begun, cpu = time.monotonic(), ray.get(clock.remote(lambda _: time.process_time()))
            run.step(step)
            run.publish(step + 1)
            run.trained(step)
        steps = count - WARM
        spent = ray.get(clock.remote(lambda _: time.process_time())) - cpu
        return (time.monotonic() - begun) / steps, spent / steps
    finally:
        run.close()
        ray.kill(actor)


PARTS = ("steps", "groups", "replicas", "tokens", "stream")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", default=",".join(PARTS))
    parser.add_argument("--long", nargs="*", default=["20000x1", "1000x32"], metavar="STEPSxGROUPS")
    arguments = parser.parse_args()
    chosen = arguments.parts.split(",")
    if unknown := set(chosen) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}; choose from {', '.join(PARTS)}")
    if "steps" in chosen:
        steps([(int(count), int(size)) for count, _, size in (one.partition("x") for one in arguments.long)])
    for part in (groups, replicas, tokens):
        if part.__name__ in chosen:
            part()
    if "stream" in chosen:
        out = sys.stdout
        with ray_session(), redirect_stdout(out):
            stream()


if __name__ == "__main__":
    main()
