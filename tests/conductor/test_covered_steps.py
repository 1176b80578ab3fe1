"""What the conductor keeps of a step goes when a checkpoint covers it. No Ray session: a run in one event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from raysgpo.output.json_lines import read_rows
from tests.conductor.fakes import settings
from tests.conductor.in_process import Fleet, Instant, LocalRun

pytestmark = pytest.mark.ray

STEPS, EVERY = 30, 5
P = 2


def kept(of: object, seen: set[int]) -> Iterator[tuple[str, int]]:
    """Each container of ours in an object of ours, with its length."""
    if id(of) in seen:
        return
    seen.add(id(of))
    names = [*getattr(of, "__dict__", {}), *getattr(type(of), "__slots__", ())]
    for name in names:
        value: Any = getattr(of, name, None)
        if isinstance(value, dict | list | set):
            yield f"{type(of).__name__}.{name}", len(value)
        elif type(value).__module__.startswith(("raysgpo", "tests")):
            yield from kept(value, seen)


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("max_staleness=1", "algorithm.refill=true"),
        ("curriculum=target", "max_staleness=1"),
        ("curriculum=success",),
        ("guidance=g2rpo_a", "guidance.max_length=8"),
    ],
)
def test_nothing_that_the_conductor_holds_grows_with_the_steps(words: tuple[str, ...], tmp_path: Path) -> None:
    config = settings(
        f"prompts_per_step={P}", "sampling.group_size=2", "task.prompts=4", "evaluation.every=0",
        f"checkpoint.every={EVERY}", "algorithm=grpo", *words,
    )  # fmt: skip
    held: list[dict[str, int]] = []

    async def go() -> LocalRun:
        run = LocalRun(config, STEPS, tmp_path, Fleet([Instant(8, easy=True)]))
        await run.start()
        for step in range(STEPS):
            await run.train(step)
            if (step + 1) % EVERY == 0:
                held.append(dict(kept(run.conductor, set())))
        run.close()
        return run

    run = asyncio.run(go())
    assert [row["step"] for row in read_rows(run.run.metrics)] == list(range(STEPS))
    first, last = held[1], held[-2]  # behind the last there is nothing to sample
    grown = {name: (first.get(name, 0), size) for name, size in last.items() if size > first.get(name, 0) + 3 * P}
    assert not grown, grown
