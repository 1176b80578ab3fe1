"""Steps that take further prompts in the place of groups without a signal: which positions, when, and until when."""

from __future__ import annotations

import shutil
from typing import Any

import pytest

from raysgpo.groups.order import Order
from raysgpo.groups.prepared import StartState
from raysgpo.output.json_lines import read_rows
from raysgpo.output.run_folder import RunFolder
from tests.conductor.conftest import Start
from tests.conductor.fakes import FakeRun

pytestmark = pytest.mark.ray

REFILL = ["algorithm.refill=true", "algorithm.refill_limit=3", "task.prompts=24", "evaluation.every=0"]
BROKEN = 4
"""A position that can never be sampled."""


def kept(run: FakeRun, position: int) -> bool:
    """The fake gives a group a signal where the problem's answer is odd."""
    _, index = Order(len(run.prepared.train), run.config.seed).at(position)
    return position != BROKEN and int(run.prepared.train[index].problem.answer) % 2 == 1


def expected(run: FakeRun, steps: int) -> list[range]:
    """The shortest runs of positions with two kept groups, of six positions at most."""
    found, first = [], 0
    for _ in range(steps):
        end = next((e for e in range(first, first + 6) if sum(kept(run, p) for p in range(first, e)) == 2), first + 6)
        found.append(range(first, end))
        first = end
    return found


def positions(run: FakeRun, groups: list[dict[str, Any]], steps: int) -> list[list[int]]:
    return [[row["position"] for row in groups if row["step"] == step] for step in range(steps)]


@pytest.fixture(scope="module")
def refilled(start_shared_run: Start) -> FakeRun:
    """Four exactly synchronous steps."""
    run: FakeRun = start_shared_run(4, *REFILL, broken=(BROKEN,))
    run.publish(0)
    for step, positions in enumerate(expected(run, 4)):
        run.step(step)
        run.publish(step + 1)
        run.asks_for(positions.stop)  # not one prompt more than it takes, new weights or not
        state = run.call("checkpoint_state", step + 1)
        assert (state["step"], state["position"]) == (step + 1, positions.stop)
        run.trained(step)
    run.call("close")
    return run


def test_a_step_takes_the_next_prompts_until_it_has_its_groups(refilled: FakeRun) -> None:
    rows = list(read_rows(refilled.folder.groups))
    wanted = expected(refilled, 4)
    assert positions(refilled, rows, 4) == [list(step) for step in wanted]
    assert max(len(step) for step in wanted) > 2, "the problems must make a step refill"
    for row in rows:
        assert (row["dropped"] is None) == kept(refilled, row["position"])
        assert row["age"] == 0 and row["epoch"] == row["position"] // 24
        versions = {version for r in row["rollouts"] for version, _ in r["weight_versions"]}
        assert versions == (set() if row["dropped"] == "failed" else {row["step"] + 1})
    assert {row["dropped"] for row in rows} == {None, "no_signal", "failed"}
    prompts = [row["prompt_id"] for row in rows[:24]]
    assert len(set(prompts)) == len(prompts), "an epoch shows each prompt once"


def test_its_metrics_count_what_was_sampled_and_what_is_trained_on(refilled: FakeRun) -> None:
    rows = list(read_rows(refilled.folder.metrics))
    assert [row["groups/sampled"] for row in rows] == [len(step) for step in expected(refilled, 4)]
    assert [row["groups/trained"] for row in rows] == [
        sum(kept(refilled, p) for p in step) for step in expected(refilled, 4)
    ]


def test_a_resumed_run_goes_on_at_the_next_prompt(
    refilled: FakeRun, start_run: Start, tmp_path_factory: pytest.TempPathFactory
) -> None:
    copy = RunFolder(tmp_path_factory.mktemp("runs") / "copy")
    shutil.copytree(refilled.folder.path, copy.path)
    begin = expected(refilled, 2)[-1].stop
    start = StartState(step=2, position=begin, version=9)
    run = start_run(4, *REFILL, folder=copy.path, start=start, broken=(BROKEN,))
    run.publish(2)
    for step in (2, 3):
        run.whole_step(step)
    before, after = list(read_rows(refilled.folder.groups)), list(read_rows(copy.groups))
    for row in [*before, *after]:
        for rollout in row["rollouts"]:
            del rollout["weight_versions"]
    assert after == before


def test_with_staleness_a_drop_lets_one_more_start_and_nobody_is_too_old(start_run: Start) -> None:
    run = start_run(6, *REFILL, "max_staleness=1", held=(0,), broken=(BROKEN,))
    steps = expected(run, 6)
    run.publish(0)
    run.asks_for(steps[1].stop)  # two steps and what takes the place of their drops, while position 0 hangs
    run.release()
    for step in range(6):
        run.whole_step(step)
    rows = list(read_rows(run.folder.groups))
    assert positions(run, rows, 6) == [list(step) for step in steps]
    assert max(row["age"] for row in rows) == 1 and "too_old" not in {row["dropped"] for row in rows}


def test_prompts_without_any_signal_make_smaller_steps_and_one_warning(start_run: Start) -> None:
    run = start_run(3, *REFILL, "algorithm=grpo", "algorithm.refill=true", hopeless=True)
    run.publish(0)
    for step in range(3):
        assert run.step(step).num_tokens == 0
        run.asks_for(6 * (step + 1))
        run.publish(step + 1)
        run.trained(step)
    assert [row["groups/sampled"] for row in read_rows(run.folder.metrics)] == [6, 6, 6]
    [warning] = [line for line in run.call("status", 0).messages if "the step is smaller" in line]
    assert warning.startswith("step 1: of 6 prompts only 0 gave a group to train on, instead of 2")


def test_a_trainer_that_starts_again_gets_the_same_refilled_steps(start_run: Start) -> None:
    run = start_run(3, *REFILL, broken=(BROKEN,))
    run.publish(0)
    shares = []
    for step in range(2):
        shares.append(run.step(step))
        run.publish(step + 1)
        run.trained(step)
    run.publish(0)  # a new trainer, from the start
    for step in range(2):
        assert run.step(step).num_tokens == shares[step].num_tokens
        run.publish(step + 1)
        run.trained(step)
    run.whole_step(2)
    assert positions(run, list(read_rows(run.folder.groups)), 3) == [list(step) for step in expected(run, 3)]
