"""What is read from run folders and said of it, recomputed from the files another way."""

from __future__ import annotations

import json
import re
import statistics
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from raysgpo.output.json_lines import read_rows
from raysgpo.output.metrics import StepTimes, group_metrics, guidance_metrics, time_metrics
from raysgpo.output.pass_at_k import pass_at_k
from raysgpo.output.run_folder import RunFolder
from raysgpo.output.update_metrics import NO_UPDATE
from raysgpo.studies.comparison import figures, results
from raysgpo.studies.comparison.plan import Plan
from raysgpo.studies.comparison.report import write_report
from raysgpo.studies.comparison.results import RunRecords, read_results
from raysgpo.studies.comparison.summary import considered, milestones, paired, solved_sets, summarize
from raysgpo.studies.comparison.table import differences
from tests.studies.comparison.synthetic import JUDGED, PROMPTS, SAMPLES, STEPS, plan_in, write_all, write_run

GRPO, SGPO = "algorithm=grpo", "algorithm=sgpo"


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    plan = plan_in(tmp_path_factory.mktemp("comparison"))
    write_all(plan, {"grpo": 0.3, "sgpo": 0.6})
    return plan


@pytest.fixture(scope="module")
def runs(plan: Plan) -> list[RunRecords]:
    return read_results(plan)


def rows(plan: Plan, run: RunRecords, name: str) -> list[dict[str, Any]]:
    return list(read_rows(plan.folder / "runs" / run.name / name))


def test_every_metric_that_is_read_is_one_that_a_run_writes() -> None:
    times = StepTimes(0.0, 1.0, (0.0, 0.0), (0.0, 0.0), (0.0, 0.0))
    written = {*group_metrics([]), *guidance_metrics([]), *time_metrics([], times), *NO_UPDATE}
    written |= {"train/problems_solved_ever", "eval/accuracy"}
    sources = "".join(Path(module.__file__ or "").read_text() for module in (results, figures))
    read = set(re.findall(r'"([a-z]+/[a-z_]+)"', sources))
    assert len(read) > 12 and read <= written


def test_runs_come_in_the_order_of_the_variants(runs: list[RunRecords]) -> None:
    assert [(run.variant, run.seed) for run in runs] == [(name, seed) for name in (GRPO, SGPO) for seed in range(3)]


def test_the_numbers_of_a_run_are_those_of_its_files(plan: Plan, runs: list[RunRecords]) -> None:
    run = runs[-1]
    steps, answers = rows(plan, run, "metrics.jsonl"), rows(plan, run, "evaluation_answers.jsonl")
    numbers = run.numbers(target=0.5)
    last = [row for row in answers if row["step"] == STEPS]
    assert numbers["held-out accuracy"] == statistics.mean(row["correct"] for row in last)
    assert numbers["pass@2"] == pytest.approx(
        statistics.mean(pass_at_k(SAMPLES, sum(row["samples_correct"]), 2) for row in last)
    )
    trained = sum(row["groups/trained"] for row in steps)
    assert numbers["sampled tokens"] == sum(row["tokens/sampled"] for row in steps) == STEPS * 4 * 4 * 10
    assert numbers["groups with gradient per 1,000 tokens"] == pytest.approx(1000 * trained / (STEPS * 160))
    assert numbers["seconds"] == pytest.approx(JUDGED * 2.5 + (STEPS - JUDGED) * 2.0)
    assert numbers["training problems ever solved"] == steps[-1]["train/problems_solved_ever"]
    wrong = [row["failures/truncated_share"] + row["failures/finished_share"] for row in steps]
    assert wrong == pytest.approx([1 - row["accuracy/mean"] for row in steps])
    # Half a second of judging alone in each judged step that had an all-negative group, of 2.5 in all.
    busy = sum(row["judge/groups"] > 0 for row in steps[:JUDGED])
    expected = 0.5 * busy / (2.5 * JUDGED - 0.5 * busy)
    assert numbers["judge overhead, judged steps"] == pytest.approx(expected)
    assert numbers["judge calls"] == sum(row["judge/calls"] for row in steps) > 0


def test_steps_and_seconds_to_a_target_agree(runs: list[RunRecords]) -> None:
    run = runs[-1]
    numbers = run.numbers(target=0.5)
    steps, seconds = numbers["steps to target"], numbers["seconds to target"]
    assert steps is not None and seconds is not None and 10 < steps < STEPS
    below = max(step for step, accuracy in run.evaluated.items() if accuracy < 0.5)
    assert run.seconds_at(below) < seconds <= run.seconds_at(STEPS)
    assert runs[0].numbers(target=0.99)["steps to target"] is None


def test_seconds_leave_evaluations_out() -> None:
    steps = [
        {"step": step, "time/step": 5.0, "time/eval": evaluation} for step, evaluation in enumerate((2.0, None, 1))
    ]
    run = RunRecords("v", 0, "v-seed0", True, steps, [], {})
    assert run.train_seconds.tolist() == [3.0, 8.0, 12.0]
    assert (run.seconds_at(0), run.seconds_at(2)) == (0.0, 8.0)


def test_the_end_of_judging_is_where_no_group_may_be_judged_any_more(runs: list[RunRecords]) -> None:
    assert [run.judging_ends for run in runs] == [None] * 3 + [JUDGED] * 3


def test_the_table_has_mean_and_spread_over_seeds(plan: Plan, runs: list[RunRecords]) -> None:
    cell = summarize(plan, runs, None)["numbers"]["held-out accuracy"][GRPO]
    ends = [rows(plan, run, "evaluations.jsonl")[-1]["eval/accuracy"] for run in runs[:3]]
    assert cell == {"mean": pytest.approx(np.mean(ends)), "std": pytest.approx(statistics.stdev(ends)), "count": 3}


def test_the_target_is_what_the_first_variant_ends_with_unless_one_is_given(plan: Plan, runs: list[RunRecords]) -> None:
    summary = summarize(plan, runs, None)
    assert summary["target"] == pytest.approx(summary["numbers"]["held-out accuracy"][GRPO]["mean"])
    assert summarize(plan, runs, 0.25)["target"] == 0.25


def test_differences_are_reported_at_the_quarters_and_pair_the_same_prompts(runs: list[RunRecords]) -> None:
    found = paired(GRPO, SGPO, runs, 0.3)
    assert (found["seeds"], found["prompts"], found["steps"]) == ([0, 1, 2], PROMPTS, [0, 5, 10, 15, 20])
    assert [(mark["step"], mark["share"]) for mark in found["milestones"]] == [
        (5, 0.25),
        (10, 0.5),
        (15, 0.75),
        (20, 1),
    ]
    first, last = found["accuracy"][0], found["accuracy"][-1]
    # The same policy before the first step, and no answer differs: no difference, and no doubt about it.
    assert (first["difference"], first["low"], first["high"], first["excludes_zero"]) == (0, 0, 0, False)
    ends = [[run.evaluated[STEPS] for run in runs if run.variant == name] for name in (GRPO, SGPO)]
    assert last["difference"] == pytest.approx(np.mean(ends[1]) - np.mean(ends[0]))
    assert last["low"] < last["difference"] < last["high"] and last["excludes_zero"]
    assert found["steps_to_target"]["difference"] < 0
    reached = [[run.numbers(0.5)["pass@4"] for run in runs if run.variant == name] for name in (GRPO, SGPO)]
    passes = np.array(reached, dtype=np.float64)
    assert list(found["coverage"]) == [2, 4]
    assert found["coverage"][4]["difference"] == pytest.approx(np.mean(passes[1]) - np.mean(passes[0]))


def test_what_a_variant_gained_is_its_end_less_its_own_start(plan: Plan, runs: list[RunRecords]) -> None:
    found = summarize(plan, runs, None)["gained"][SGPO]
    own = [run.evaluated for run in runs if run.variant == SGPO]
    assert found["difference"] == pytest.approx(np.mean([one[STEPS] - one[0] for one in own]))
    assert found["low"] < found["difference"] < found["high"]
    assert (found["seeds"], found["prompts"], found["step"]) == ([0, 1, 2], PROMPTS, STEPS)
    assert any("against its start: +" in line for line in differences(summarize(plan, runs, None)))
    only_end = [replace(run, answers={STEPS: run.answers[STEPS]}) for run in runs]
    assert summarize(plan, only_end, None)["gained"] == {GRPO: None, SGPO: None}


@pytest.mark.parametrize(
    ("steps", "total", "expected"),
    [
        ([0, 20, 40, 60, 80], 80, [20, 40, 60, 80]),
        ([0, 30, 60, 80], 80, [30, 60, 80]),
        ([0, 4], 4, [4]),
        ([0], 80, []),
        ([], 80, []),
    ],
)
def test_milestones_are_the_evaluations_nearest_to_the_quarters(
    steps: list[int], total: int, expected: list[int]
) -> None:
    assert list(milestones(steps, total)) == expected


def test_sets_solved_by_one_and_not_by_the_other_add_up(plan: Plan, runs: list[RunRecords]) -> None:
    found = solved_sets(GRPO, SGPO, runs)
    assert [row["seed"] for row in found] == [0, 1, 2]
    for row, one, two in zip(found, runs[:3], runs[3:], strict=True):
        solved = []
        for run in (one, two):
            last = [line for line in rows(plan, run, "evaluation_answers.jsonl") if line["step"] == STEPS]
            solved.append({line["prompt_id"] for line in last if any(line["samples_correct"])})
        assert row["only_first"] == sorted(solved[0] - solved[1])
        assert row["only_second"] == sorted(solved[1] - solved[0])
        assert row["both"] + len(row["only_first"]) + len(row["only_second"]) + row["neither"] == PROMPTS
        assert row["by_any_of"] == SAMPLES


def test_without_drawn_answers_the_sets_are_those_of_the_last_evaluation(runs: list[RunRecords]) -> None:
    bare = [
        RunRecords(
            run.variant,
            run.seed,
            run.name,
            run.finished,
            run.steps,
            run.evaluations,
            {
                step: {name: {**row, "samples_correct": None} for name, row in answers.items()}
                for step, answers in run.answers.items()
            },
        )
        for run in runs
    ]
    assert "pass@1" not in bare[0].numbers(0.5) and bare[0].coverage() == {}
    assert len(bare[0].solved) == round(bare[0].evaluated[STEPS] * PROMPTS)
    assert {row["by_any_of"] for row in solved_sets(GRPO, SGPO, bare)} == {1}


def test_runs_of_other_held_out_prompts_are_not_paired_and_say_why(tmp_path: Path) -> None:
    plan = plan_in(tmp_path, "task.terms=[3],[4]", seeds="0")
    for run, prompts in zip(plan.runs, (32, 48), strict=True):
        write_run(plan.run_path(run), run, 0.4, prompts=prompts)
    runs = read_results(plan)
    summary = summarize(plan, runs, None)
    assert "held-out prompts differ" in summary["paired"]["task.terms=[4]"]["reason"]
    assert summary["sets"]["task.terms=[4]"] == []


def test_models_that_are_only_evaluated_are_compared_by_their_one_evaluation(tmp_path: Path) -> None:
    plan = plan_in(tmp_path, "model=a/b,c/d", words=("steps=0",), seeds="0,1")
    for run in plan.runs:
        write_run(plan.run_path(run), run, 0.4, steps=0)
        (plan.run_path(run) / "finished").touch()
    summary = summarize(plan, read_results(plan), None)
    [mark] = summary["paired"]["model=c/d"]["milestones"]
    assert mark == {"step": 0, "share": 1.0, "at": 0}
    assert summary["numbers"]["held-out accuracy"]["model=a/b"]["count"] == 2
    write_report(plan)


def test_unfinished_runs_are_left_out_once_every_variant_has_a_finished_one(tmp_path: Path) -> None:
    plan = plan_in(tmp_path, seeds="0,1")
    for run, steps in zip(plan.runs, (STEPS, 12, 7, 7), strict=True):
        write_run(plan.run_path(run), run, 0.4, steps=steps)
    runs = read_results(plan)
    assert considered(plan, runs) == runs, "no variant of sgpo has ended"
    summary = summarize(plan, runs, None)
    assert summary["missing"] == ["algorithm-sgpo-seed0", "algorithm-grpo-seed1", "algorithm-sgpo-seed1"]
    assert summary["paired"][SGPO]["steps"] == [0, 5]
    (plan.run_path(plan.runs[1]) / "finished").touch()
    assert [run.name for run in considered(plan, read_results(plan))] == [
        "algorithm-grpo-seed0",
        "algorithm-sgpo-seed0",
    ]


def test_an_evaluation_that_was_cut_off_is_left_out(tmp_path: Path) -> None:
    plan = plan_in(tmp_path, seeds="0")
    for run in plan.runs:
        write_run(plan.run_path(run), run, 0.4)
    folder = RunFolder(plan.run_path(plan.runs[0]))
    folder.evaluations.write_text("".join(folder.evaluations.read_text().splitlines(keepends=True)[:-1]))
    assert list(read_results(plan)[0].answers) == [0, 5, 10, 15]


def numbers_within(value: Any) -> Iterator[float]:
    if isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from numbers_within(inner)
    elif isinstance(value, float):
        yield value


def test_what_is_said_is_plain_json(plan: Plan, runs: list[RunRecords]) -> None:
    summary = summarize(plan, runs, None)
    assert all(np.isfinite(value) for value in numbers_within(summary))
    assert json.loads(json.dumps(summary, allow_nan=False))["variants"] == [GRPO, SGPO]
