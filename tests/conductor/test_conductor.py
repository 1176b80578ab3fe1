"""The conductor with a real stream of Ray Data; the trainer and the replicas are the test's."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import ray
import torch

from raysgpo.config import RolloutConfig
from raysgpo.groups.prepared import StartState
from raysgpo.output.json_lines import read_rows
from raysgpo.output.run_folder import RunFolder
from raysgpo.policy.sequences import Share
from raysgpo.records import Problem
from raysgpo.serving.application import delete
from raysgpo.tasks.arithmetic import ArithmeticTask
from raysgpo.tasks.task import Grade
from raysgpo.weights.store import start_weight_store
from raysgpo.weights.store_transport import StoreTransport
from tests.conductor.fakes import SETTLE, FakeRun, settings
from tests.patience import PATIENCE
from tests.rollouts import deploy_rollout
from tests.serving.fake_engine import fake_engine
from tests.weights.publishing import written

pytestmark = pytest.mark.ray

Start = Callable[..., FakeRun]


def content(share: Share) -> list[tuple[list[float], ...]]:
    """What a trainer reads of a share, comparable."""
    return [
        (s.token_ids_T.tolist(), s.loss_weight_T.tolist(), s.advantages_T.tolist(), s.logprobs_T.tolist())
        for batch in share.micro_batches
        for s in batch
    ]


def lines(path: Path) -> list[dict[str, Any]]:
    return list(read_rows(path))


@pytest.fixture(scope="module")
def synchronous(start_shared_run: Start) -> FakeRun:
    """Four exactly synchronous steps of two groups; position 3 can never be sampled.

    Whatever must hold while it runs is asserted here.
    """
    run = start_shared_run(4, broken=(3,))
    time.sleep(2 * SETTLE)
    assert run.asked() == {}, "nothing may be sampled before weights are there"
    run.publish(0)
    run.call("evaluate_start")
    decisions = []
    for step in range(4):
        share = run.step(step)
        assert content(run.step(step)) == content(share), "a step that is asked again is the same"
        version = run.publish(step + 1)
        run.asks_for(2 * step + 2)  # new weights alone do not move the window
        decisions.append(run.trained(step))
        expected = {p: 1 + p // 2 for p in range(2 * step + 2)}
        found = {p: request.min_version for p, request in run.asked().items() if p in expected}
        assert found == expected and version == step + 2
    assert [(d.checkpoint, d.stop) for d in decisions] == [(False, False), (True, False), (False, False), (True, True)]
    assert [run.call("decision", step) for step in range(4)] == decisions, "a rank that is behind is told the same"
    run.call("close")
    return run


def test_every_group_is_recorded_once_in_order_with_its_fate(synchronous: FakeRun) -> None:
    rows = lines(synchronous.folder.groups)
    assert [(row["position"], row["step"], row["epoch"]) for row in rows] == [(p, p // 2, p // 5) for p in range(8)]
    for row in rows:
        even = int(row["answer"]) % 2 == 0
        fate = "failed" if row["position"] == 3 else "no_signal" if even else None
        assert row["dropped"] == fate
        seeds = () if fate == "failed" else synchronous.seeds(row["position"])
        assert tuple(rollout["seed"] for rollout in row["rollouts"]) == seeds
        assert row["age"] == 0
    assert {row["dropped"] for row in rows} == {"failed", "no_signal", None}, "the problems must show every fate"


def test_a_group_that_cannot_be_sampled_is_told_and_counted(synchronous: FakeRun) -> None:
    [row] = [row for row in lines(synchronous.folder.groups) if row["dropped"] == "failed"]
    assert "the engine cannot read this prompt" in row["error"] and row["rollouts"] == []
    messages = synchronous.call("status", 0).messages
    assert messages == [f"position 3: {row['error']}; the group is dropped"]
    assert [row["groups/failed"] for row in lines(synchronous.folder.metrics)] == [0, 1, 0, 0]


def test_every_step_has_one_line_of_metrics(synchronous: FakeRun) -> None:
    rows, groups = lines(synchronous.folder.metrics), lines(synchronous.folder.groups)
    assert [row["step"] for row in rows] == [0, 1, 2, 3]
    solved: set[str] = set()
    for row in rows:
        mine = [group for group in groups if group["step"] == row["step"]]
        answers = [rollout["correct"] for group in mine for rollout in group["rollouts"]]
        solved |= {group["prompt_id"] for group in mine if any(r["correct"] for r in group["rollouts"])}
        assert row["accuracy/mean"] == pytest.approx(np.mean(answers))
        assert row["groups/trained"] == sum(group["dropped"] is None for group in mine)
        assert row["train/problems_solved_ever"] == len(solved)
        assert (row["policy/loss"], row["staleness/max"]) == (0.5, 0)


def test_the_console_gets_every_line_once_in_the_order_of_writing(synchronous: FakeRun) -> None:
    shown = synchronous.call("status", 0).rows
    assert [row for row in shown if "groups/trained" in row] == lines(synchronous.folder.metrics)
    assert [row for row in shown if "groups/trained" not in row] == lines(synchronous.folder.evaluations)
    assert synchronous.call("status", 3).rows == shown[3:]


def test_the_share_of_a_step_is_what_was_not_dropped(synchronous: FakeRun) -> None:
    for step in range(4):
        trained = [g for g in lines(synchronous.folder.groups) if g["step"] == step and g["dropped"] is None]
        share = synchronous.shares[step]
        assert share.num_tokens == sum(r["num_tokens"] for g in trained for r in g["rollouts"])
        advantages = sorted({max(s[2], key=abs) for s in content(share)})
        assert advantages == pytest.approx(sorted({r["advantage"] for g in trained for r in g["rollouts"]}))


def test_held_out_prompts_are_evaluated_before_between_and_at_the_end(synchronous: FakeRun) -> None:
    rows = lines(synchronous.folder.evaluations)
    # The fake's first answer is always right; version 1 made no step.
    assert [(row["step"], row["eval/weight_version"], row["eval/accuracy"]) for row in rows] == [
        (0, 1, 1.0),
        (2, 3, 1.0),
        (4, 5, 1.0),
    ]
    assert [row.get("eval/accuracy") for row in lines(synchronous.folder.metrics)] == [None, 1.0, None, 1.0]


def test_a_resumed_run_sees_what_an_uninterrupted_one_saw(
    synchronous: FakeRun, start_run: Start, tmp_path_factory: pytest.TempPathFactory
) -> None:
    copy = RunFolder(tmp_path_factory.mktemp("runs") / "copy")
    shutil.copytree(synchronous.folder.path, copy.path)
    run = start_run(4, folder=copy.path, start=StartState(step=2, position=4, version=9, solved=("old",)))
    assert [row["position"] for row in lines(copy.groups)] == [0, 1, 2, 3]
    assert [row["step"] for row in lines(copy.evaluations)] == [0, 2]
    run.publish(2)
    run.call("evaluate_start")
    for step in (2, 3):
        run.whole_step(step)
    before, after = lines(synchronous.folder.groups), lines(copy.groups)
    assert {v for row in after[4:] for r in row["rollouts"] for v, _ in r["weight_versions"]} == {10, 11}
    for row in [*before, *after]:
        for rollout in row["rollouts"]:
            del rollout["weight_versions"]
    assert after == before
    assert [row["step"] for row in lines(copy.metrics)] == [0, 1, 2, 3]
    assert [row["step"] for row in lines(copy.evaluations)] == [0, 2, 4]
    state = run.call("checkpoint_state", 4)
    assert (state["step"], state["position"], state["version"], "old" in state["solved"]) == (4, 8, 12, True)


def test_a_slow_row_stops_nobody_and_age_stays_within_the_window(start_run: Start) -> None:
    run = start_run(6, "max_staleness=2", "evaluation.every=0", held=(2,))
    run.publish(0)
    run.step(0)
    run.asks_for(6)  # three steps may start, the held position among them
    run.publish(1)
    run.trained(0)
    run.asks_for(8)
    run.release()
    for step in range(1, 6):
        run.whole_step(step)
    rows = lines(run.folder.groups)
    assert [row["position"] for row in rows] == list(range(12))
    for row in rows:
        # Version v has v - 1 steps.
        oldest = min(version - 1 for r in row["rollouts"] for version, _ in r["weight_versions"])
        assert row["age"] == row["step"] - oldest <= 2
    assert max(row["age"] for row in rows) == 2 and "too_old" not in {row["dropped"] for row in rows}


def test_a_trainer_that_starts_again_gets_the_same_steps_and_records_nothing_twice(start_run: Start) -> None:
    run = start_run(5)
    run.publish(0)
    run.call("evaluate_start")
    for step in (0, 1):
        run.whole_step(step)
    run.call("checkpointed", 1)
    first = {step: content(run.step(step)) for step in (1, 2)}
    # The worker dies after step 2 is trained and published, before it says so; it goes on from step 1.
    late = run.publish(3)
    # Another dies between bringing its weights to the replicas and saying so: that number is lost.
    lost = run.call("next_version", 1)
    run.publish(1)
    run.call("evaluate_start")
    assert run.version == lost + 1 == late + 2
    # What the dead worker said arrives late: the step counts, but the weights are not its any more.
    run.trained(2, version=late)
    run.asks_for(6)  # the window is closed until the replayed steps have caught up
    assert run.call("checkpoint_state", 1)["version"] == run.version
    assert content(run.step(1)) == first[1]
    run.publish(2)
    run.trained(1)
    run.asks_for(6)  # the window is closed until the replayed steps have caught up
    assert content(run.step(2)) == first[2]
    run.publish(3)
    run.trained(2)
    with pytest.raises(RuntimeError, match="step 0 was asked for again, but the groups before step 1 are gone"):
        run.step(0)
    run.step(3)
    assert {run.asked()[position].min_version for position in (6, 7)} == {run.version} and run.version > late
    run.publish(4)
    run.trained(3)
    assert [row["step"] for row in lines(run.folder.metrics)] == [0, 1, 2, 3]
    assert [row["position"] for row in lines(run.folder.groups)] == list(range(8))
    assert {row["age"] for row in lines(run.folder.groups)} == {0}
    assert [row["step"] for row in lines(run.folder.evaluations)] == [0, 2, 4]


def test_a_replica_that_gets_its_weights_late_answers_with_the_weights_asked_for(start_run: Start) -> None:
    transport = StoreTransport(start_weight_store())
    rollout = RolloutConfig(cpus=0.1, kv_cache_gib=0.1, start_deadline=60)
    handle = deploy_rollout("model", rollout, transport, engine=fake_engine, name="late")
    try:
        run = start_run(2, "evaluation.every=0", rollout=handle)
        run.publish(0)
        assert transport.sender(handle).publish(run.version, [("w", torch.zeros(3))], deadline=20).complete
        run.step(0)
        # Said to be published and not yet in the store, and nobody will tell the replica.
        run.publish(1)
        run.trained(0)
        time.sleep(2 * SETTLE)
        file, manifest = written([("w", torch.ones(3))])
        with file:
            ray.get(transport.store.publish.remote(run.version, manifest), timeout=PATIENCE)
        run.step(1)
        run.publish(2)
        run.trained(1)
    finally:
        delete("late", deadline=5)
    rows = lines(run.folder.groups)
    assert [row["position"] for row in rows] == [0, 1, 2, 3]
    for row in rows:
        assert {v for r in row["rollouts"] for v, _ in r["weight_versions"]} == {row["step"] + 1}
        assert row["age"] == 0 and [r["attempt"] for r in row["rollouts"]] == [0, 0]


def test_a_record_under_way_when_the_workers_start_again_is_given_up(start_run: Start) -> None:
    """Its evaluation would be answered by the weights that they publish; the step is recorded once, by its replay."""
    run = start_run(2, "evaluation.every=1", hold_evaluation=True)
    run.publish(0)
    run.step(0)
    run.publish(1)
    given_up = run.begin_trained(0)
    run.evaluating()
    assert lines(run.folder.metrics) == []
    run.publish(0)
    with pytest.raises(RuntimeError, match="started again while step 0 was being recorded"):
        ray.get(given_up, timeout=PATIENCE)
    run.release()
    run.whole_step(0)
    assert [row["step"] for row in lines(run.folder.metrics)] == [0]
    assert [(row["step"], row["eval/weight_version"]) for row in lines(run.folder.evaluations)] == [(1, run.version)]
    assert [row["position"] for row in lines(run.folder.groups)] == [0, 1]


class Bug:
    """What looks like a pair of rewards until it is looked at."""

    def __getitem__(self, index: int) -> float:
        raise LookupError("the task has a bug")


class Confused(ArithmeticTask):
    """A task whose grading fails, and which has a bug where no answer's text is looked at."""

    reward_range: Any = Bug()

    def grade(self, problem: Problem, text: str) -> Grade:
        raise ValueError("unreadable")


def test_a_stream_that_fails_is_told_to_the_trainer_that_waits(start_run: Start) -> None:
    config = settings()
    run = start_run(2, "evaluation.every=0", task=Confused(config.task, config.evaluation.most_prompts))
    run.publish(0)
    with pytest.raises(RuntimeError, match=r"the stream of groups failed(.|\n)*the task has a bug"):
        run.step(0)


def test_no_problem_is_left_out_of_an_epoch(synchronous: FakeRun) -> None:
    rows = lines(synchronous.folder.groups)
    problems: Sequence[Problem] = synchronous.prepared.task.train
    assert {row["prompt_id"] for row in rows[:5]} == {problem.id for problem in problems}
