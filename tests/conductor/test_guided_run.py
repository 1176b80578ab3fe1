"""A guided run with a real stream: lengths are stamped with the slots, and a resume in the middle sees the same."""

from __future__ import annotations

import shutil
import statistics
from pathlib import Path
from typing import Any

import pytest

from raysgpo.groups.prepared import StartState
from raysgpo.output.json_lines import read_rows
from raysgpo.output.run_folder import RunFolder
from tests.conductor.conftest import Start
from tests.conductor.fakes import FakeRun

pytestmark = pytest.mark.ray

STEPS, STOP = 6, 3
WORDS = """seed=1 max_staleness=1 sampling.group_size=4 evaluation.every=0 checkpoint.every=0 records.tokens=true
guidance=g2rpo_a guidance.ratio=0.5 guidance.length=5 guidance.max_length=9 curriculum=success""".split()


@pytest.fixture(scope="module")
def guided(start_shared_run: Start) -> FakeRun:
    """Six steps of two groups of four under S = 1."""
    run: FakeRun = start_shared_run(STEPS, *WORDS)
    run.publish(0)
    for step in range(STEPS):
        run.whole_step(step)
    return run


def groups(run: RunFolder) -> list[dict[str, Any]]:
    return list(read_rows(run.groups))


def expected_lengths(rows: list[dict[str, Any]]) -> list[float]:
    """Eq. 5 worked out from the records: l after 0, 1, ... trained steps."""
    means = [
        statistics.fmean(r["reward"] for row in rows if row["step"] == step for r in row["rollouts"])
        for step in range(STEPS)
    ]
    lengths = [5.0]
    for step, now in enumerate(means):
        earlier = means[max(step - 2, 0) : step]
        quotient = statistics.fmean(earlier) / now if earlier else 1.0
        lengths.append(min(max(lengths[-1] * min(max(quotient, 0.5), 2.0), 1.0), 9.0))
    return lengths


def test_every_group_has_the_length_that_was_known_when_its_slot_opened(guided: FakeRun) -> None:
    rows = groups(guided.folder)
    lengths = expected_lengths(rows)
    assert len(set(lengths)) > 2, "the rewards must move the length: choose other problems"
    for row in rows:
        assert row["guidance_length"] == pytest.approx(lengths[max(row["step"] - 1, 0)])


def test_the_first_half_of_a_group_starts_with_the_reference_and_records_it(guided: FakeRun) -> None:
    for row in groups(guided.folder):
        tokens = int(row["guidance_length"] + 0.5)
        for index, rollout in enumerate(row["rollouts"]):
            roles = [segment["role"] for segment in rollout["segments"]]
            if index >= 2:
                assert (rollout["guidance_tokens"], roles) == (0, ["prompt", "completion"])
                continue
            given = rollout["text"][: rollout["guidance_characters"]]
            assert given == row["reference"][: rollout["guidance_tokens"]] and 1 <= len(given) <= tokens
            assert roles == ["prompt", "guidance", "completion"]
            assert bytes(rollout["segments"][1]["token_ids"]).decode() == given
            assert set(rollout["segments"][1]["loss_weight"]) == {0}


def test_the_metrics_tell_guided_and_unguided_apart(guided: FakeRun) -> None:
    for row in read_rows(guided.folder.metrics):
        mine = [group for group in groups(guided.folder) if group["step"] == row["step"]]
        for name, halves in (("guided", slice(0, 2)), ("unguided", slice(2, 4))):
            right = [rollout["correct"] for group in mine for rollout in group["rollouts"][halves]]
            assert row[f"accuracy/{name}"] == pytest.approx(statistics.fmean(right))
        assert row["guidance/share"] == 0.5
        assert row["guidance/length"] == pytest.approx(statistics.fmean(g["guidance_length"] for g in mine))


def test_the_second_epoch_goes_by_the_success_of_the_steps_trained_when_it_opened(guided: FakeRun) -> None:
    """Its first position, 5, belongs to step 2: with S = 1 it opens when step 0 is trained."""
    rows = groups(guided.folder)
    rate = {problem.id: 0.5 for problem in guided.prepared.task.train}
    for row in rows[:2]:
        rate[row["prompt_id"]] = statistics.fmean(rollout["correct"] for rollout in row["rollouts"][2:])
    visited = [rate[row["prompt_id"]] for row in rows[5:10]]
    assert visited == sorted(visited, reverse=True) and len({row["prompt_id"] for row in rows[5:10]}) == 5
    assert len(set(visited)) > 1, "the problems must differ in success: choose others"


def test_a_resume_in_the_middle_sees_the_same_lengths_and_problems(
    guided: FakeRun, start_run: Start, tmp_path_factory: pytest.TempPathFactory
) -> None:
    copy = RunFolder(Path(shutil.copytree(guided.folder.path, tmp_path_factory.mktemp("runs") / "copy")))
    controllers = guided.call("checkpoint_state", STOP)["controllers"]
    run = start_run(STEPS, *WORDS, folder=copy.path, start=StartState(STOP, 2 * STOP, 40, controllers=controllers))
    run.publish(STOP)
    for step in range(STOP, STEPS):
        run.whole_step(step)
    before, after = groups(guided.folder), groups(copy)
    for row in [*before, *after]:
        del row["age"]
        for rollout in row["rollouts"]:
            del rollout["weight_versions"]
    assert after == before
    assert run.call("checkpoint_state", STEPS)["controllers"] == guided.call("checkpoint_state", STEPS)["controllers"]


def test_refilled_steps_are_guided_ranked_and_resumed_as_the_window_says(
    start_run: Start, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Groups without a signal are replaced, and count for the controllers as all others do."""
    words = [*WORDS, "max_staleness=0", "algorithm.refill=true", "algorithm.refill_limit=3"]
    words += ["curriculum.success_window=[0.3,0.9]"]
    whole: FakeRun = start_run(STEPS, *words)
    whole.publish(0)
    for step in range(STEPS):
        whole.whole_step(step)
    rows = groups(whole.folder)
    lengths = expected_lengths(rows)
    assert [row["position"] for row in rows] == list(range(len(rows))) and len(rows) > 2 * STEPS
    for row in rows:
        assert row["guidance_length"] == pytest.approx(lengths[row["step"]])
    rate: dict[str, list[bool]] = {problem.id: [] for problem in whole.prepared.task.train}
    for row in rows[:5]:
        if row["step"] < rows[5]["step"]:
            rate[row["prompt_id"]] += [rollout["correct"] for rollout in row["rollouts"][2:]]
    visited = [statistics.fmean(rate[row["prompt_id"]] or [0.5]) for row in rows[5:10]]
    assert visited == sorted(visited, reverse=True) and len(set(visited)) > 1

    copy = RunFolder(Path(shutil.copytree(whole.folder.path, tmp_path_factory.mktemp("runs") / "copy")))
    state = whole.call("checkpoint_state", STOP)
    assert state["position"] == sum(row["step"] < STOP for row in rows)
    start = StartState(STOP, state["position"], 40, controllers=state["controllers"])
    run = start_run(STEPS, *words, folder=copy.path, start=start)
    run.publish(STOP)
    for step in range(STOP, STEPS):
        run.whole_step(step)
    before, after = groups(whole.folder), groups(copy)
    for row in [*before, *after]:
        for rollout in row["rollouts"]:
            del rollout["weight_versions"]
    assert after == before
