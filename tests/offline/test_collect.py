"""Sampling and judging into a file: once each, resumable, and complete or not there."""

from __future__ import annotations

import asyncio
import tracemalloc
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from raysgpo.config import Config
from raysgpo.config.overrides import resolve
from raysgpo.groups.prepared import Prepared, Prompt
from raysgpo.groups.retrying_sampler import Answer, RetryingSampler
from raysgpo.judging.panel import Panel
from raysgpo.offline import collect
from raysgpo.offline.collect import Watch, stored_groups
from raysgpo.output.json_lines import JsonLines, read_rows
from raysgpo.output.whole_file import WriteFailed
from raysgpo.records import Completion, Drop, Group, Problem, Rollout, SampleRequest
from raysgpo.tasks.arithmetic import ArithmeticTask
from raysgpo.tasks.task import Task
from tests.judging.scripted import scripted
from tests.output.full_disk import no_file_beyond
from tests.resolved import resolved

WORDS = "sampling.group_size=2 task.prompts=6 task.terms=3 evaluation.prompts=2 algorithm=sgpo offline.passes=2".split()


def settings(*words: str) -> Config:
    return resolve({"mode": "offline"}, overrides=[*WORDS, *words])


@pytest.fixture
def prepared() -> Prepared:
    config = settings()
    task = ArithmeticTask(config.task, config.evaluation.most_prompts)
    train, held_out = ([Prompt(p, list(p.prompt.encode())) for p in part] for part in (task.train, task.held_out))
    return Prepared(resolved(config), task, train, held_out, 0)


class Engine:
    """Gives each prompt one right and one wrong answer, and remembers the requests."""

    def __init__(self) -> None:
        self.requests: list[SampleRequest] = []

    async def __call__(self, request: SampleRequest) -> Answer:
        self.requests.append(request)
        right = str(eval(bytes(request.prompt_ids).decode().partition("=")[0]))
        await asyncio.sleep(0.001 * (len(self.requests) % 3))  # they end in another order than they began
        yield [_completion(f"#### {right}"), _completion("#### 999")]


def _completion(text: str) -> Completion:
    ids_T = np.frombuffer(text.encode(), dtype=np.uint8).astype(np.int32)
    return Completion(ids_T, np.full(len(ids_T), -0.5, np.float32), "stop", text, ((-1, len(ids_T)),))


def stop_after(count: int) -> Callable[[], bool]:
    asked = iter(range(10**6))
    return lambda: next(asked) >= count


def sample(prepared: Prepared, path: Path, watch: Watch) -> Engine:
    engine = Engine()
    asyncio.run(collect.sample(prepared, RetryingSampler(engine, prepared.config.rollout), path, watch))
    return engine


def test_every_prompt_is_sampled_once_a_pass_from_the_starting_weights(prepared: Prepared, tmp_path: Path) -> None:
    said: list[str] = []
    path = tmp_path / "sampled.jsonl"
    engine = sample(prepared, path, Watch(said.append, lambda: False))
    groups = stored_groups(path)
    assert [group.position for group in groups] == list(range(12))
    assert Counter(g.problem.id for g in groups) == {p.problem.id: 2 for p in prepared.train}
    assert {request.min_version for request in engine.requests} == {-1}
    assert len({request.seeds_G for request in engine.requests}) == 12
    assert [r.correct for g in groups for r in g.rollouts_G] == [True, False] * 12
    assert said[-1] == "sampled 12 of 12 groups"


def test_a_run_that_was_stopped_samples_only_what_is_missing(prepared: Prepared, tmp_path: Path) -> None:
    whole, path = tmp_path / "whole.jsonl", tmp_path / "sampled.jsonl"
    sample(prepared, whole, Watch(print, lambda: False))
    first = sample(prepared, path, Watch(print, stop_after(5)))
    assert not path.exists() and len(first.requests) == 5
    partial = path.with_suffix(".partial")
    partial.write_text(partial.read_text() + '{"position": 11, "cut o')
    second = sample(prepared, path, Watch(print, lambda: False))
    assert len(second.requests) == 7 and not partial.exists()
    assert path.read_text() == whole.read_text()


@pytest.fixture
def failures(make_group: Callable[..., Group], make_rollout: Callable[..., Rollout]) -> list[Group]:
    """Groups at positions 0, 3, 6, ... of two wrong answers, right up to their second and third of four lines."""
    texts = ["good\nbad\nbad\n#### 9", "good\ngood\nbad\n#### 9"]
    return [
        make_group(3 * at, [make_rollout(text, reasoning_steps=4) for text in texts], problem=Problem(f"p{at}", "", ""))
        for at in range(4)
    ]


class Judge:
    def __init__(self) -> None:
        self.asked: list[str] = []

    async def __call__(self, problem: Problem, steps: Sequence[str], seed: int) -> int | None:
        self.asked.append(problem.id)
        return steps.index("bad\n")


def judge(groups: list[Group], config: Config, task: Task, path: Path, watch: Watch | None = None) -> Judge:
    judge = Judge()

    async def run() -> None:
        panel = Panel(scripted(judge), config.judge)
        await collect.judge(groups, resolved(config), task, panel, path, watch or Watch(print, lambda: False))

    asyncio.run(run())
    return judge


def test_every_group_is_judged_once_and_compared(failures: list[Group], prepared: Prepared, tmp_path: Path) -> None:
    """RTS 1/4 and 2/4: two rewards under the group std (ddof 1) always give -1/sqrt 2 and 1/sqrt 2."""
    path = tmp_path / "judged.jsonl"
    asked = judge(failures, prepared.config, prepared.task, path).asked
    groups = stored_groups(path)
    assert sorted(asked) == sorted(2 * [group.problem.id for group in failures])
    assert [group.position for group in groups] == [0, 3, 6, 9]
    for group in groups:
        assert group.judged and group.dropped is None
        assert [r.rts for r in group.rollouts_G] == [0.25, 0.5]
        assert [r.advantage for r in group.rollouts_G] == pytest.approx([-(0.5**0.5), 0.5**0.5], rel=1e-4)


def test_what_was_judged_is_not_judged_again(failures: list[Group], prepared: Prepared, tmp_path: Path) -> None:
    """Neither by a run that goes on, nor in a file that says so; its rewards follow the settings of now."""
    path, again = tmp_path / "judged.jsonl", tmp_path / "again.jsonl"
    first = judge(failures, prepared.config, prepared.task, path, Watch(print, stop_after(1)))
    assert len(first.asked) == 2 and not path.exists()
    rest = judge(failures, prepared.config, prepared.task, path)
    assert len(rest.asked) == 6
    other = settings("algorithm.partial_credit=raw")
    assert not judge(stored_groups(path), other, prepared.task, again).asked
    assert [r.reward for g in stored_groups(again) for r in g.rollouts_G] == [0.25, 0.5] * 4
    third, by_tokens = tmp_path / "third.jsonl", ["algorithm.partial_credit=raw", "algorithm.partial_credit.rts=tokens"]
    assert not judge(stored_groups(again), settings(*by_tokens), prepared.task, third).asked
    assert [r.step_tokens for r in stored_groups(third)[0].rollouts_G] == [(0, 1, 1, 1)] * 2
    assert [r.reward for r in stored_groups(third)[0].rollouts_G] == [0.0, 1 / 3]


def test_the_budget_ends_the_judging_and_is_said(failures: list[Group], prepared: Prepared, tmp_path: Path) -> None:
    said: list[str] = []
    path = tmp_path / "judged.jsonl"
    config = settings("judge.max_calls=4", "judge.concurrency=2")
    asked = judge(failures, config, prepared.task, path, Watch(said.append, lambda: False)).asked
    assert len(asked) == 4 and any("judge.max_calls=4" in line for line in said)
    assert [group.dropped for group in stored_groups(path)] == [None, None, Drop.NO_SIGNAL, Drop.NO_SIGNAL]


def test_the_file_is_put_in_order_without_being_in_memory(tmp_path: Path, make_group: Callable[..., Group]) -> None:
    """200 groups of 50 kB that a run before left in another order; the last is made now."""
    path, count = tmp_path / "made.jsonl", 200
    before = JsonLines(path.with_suffix(".partial"))
    for position in reversed(range(count - 1)):
        before.write({"step": 0, "position": position, "text": "x" * 50_000})
    before.close()

    async def work(position: int) -> Group:
        return make_group(position)

    tracemalloc.start()
    asyncio.run(collect._fill(path, range(count), work, 4, "made", Watch(print, lambda: False)))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert [row["position"] for row in read_rows(path)] == list(range(count))
    assert peak < path.stat().st_size / 5
    assert not path.with_suffix(".partial").exists()


def test_on_a_full_disk_the_groups_that_were_made_are_there_to_go_on_with(prepared: Prepared, tmp_path: Path) -> None:
    path = tmp_path / "sampled.jsonl"
    with no_file_beyond(4000), pytest.raises(WriteFailed, match=r"sampled\.partial: [\d,]+ bytes or more"):
        sample(prepared, path, Watch(lambda line: None, lambda: False))
    there = len(list(read_rows(path.with_suffix(".partial"))))
    assert there > 0
    rest = sample(prepared, path, Watch(print, lambda: False))
    assert len(rest.requests) == 12 - there
    assert [group.position for group in stored_groups(path)] == list(range(12))
