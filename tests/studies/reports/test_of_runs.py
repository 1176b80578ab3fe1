"""Trainings over epochs, the map of alpha and length, and the numbers at the end, from records of the real writers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from raysgpo.config.overrides import ConfigError
from raysgpo.output.run_folder import RunFolder
from raysgpo.studies.comparison.results import RunRecords
from raysgpo.studies.comparison.runs import claim
from raysgpo.studies.page.pictures import Picture
from raysgpo.studies.papers.tables import paper_table
from raysgpo.studies.reports.document import UNKNOWN, Table
from raysgpo.studies.reports.guidance_map import guided_places, map_section, shown_ratio
from raysgpo.studies.reports.of_runs import held_out_name, over_epochs, training_report
from raysgpo.studies.reports.trained import Trained, Training, read_comparison, read_runs, read_trained
from tests.studies.comparison.synthetic import JUDGED, STEPS, plan_in, write_all, write_run

GROUPS = 4
"""Of a step of the written runs."""


def test_epochs_are_the_groups_sampled_over_the_prompts(tmp_path: Path) -> None:
    plan = plan_in(tmp_path, words=("task.prompts=16",), seeds="0")
    write_all(plan, {"grpo": 0.3, "sgpo": 0.6})
    run = read_trained(RunFolder(plan.run_path(plan.runs[1])), "SGPO")
    assert run.prompts == 16 and run.records.judging_ends == JUDGED
    assert run.epoch_at(0) == 0 and run.epoch_at(STEPS) == STEPS * GROUPS / 16
    assert run.epoch_at(JUDGED) == JUDGED * GROUPS / 16
    read = run.folder.data
    read.write_text(json.dumps({"counts": {"train": 8}}))
    assert read_trained(run.folder, "SGPO").epoch_at(2) == 1, "of a file's rows, those that are trained on"


def test_a_comparison_is_read_by_its_folder_alone(tmp_path: Path) -> None:
    plan = plan_in(tmp_path, "algorithm=grpo,sgpo", seeds="0,3")
    claim(plan)
    with pytest.raises(ConfigError, match="none of its runs has begun"):
        read_comparison(plan.folder)
    write_run(plan.run_path(plan.runs[0]), plan.runs[0], 0.3, steps=3)
    assert [len(runs) for runs in read_comparison(plan.folder).methods.values()] == [1, 0]
    assert map_section(read_comparison(plan.folder), None) is None, "not of a variant that has not begun"
    for run in plan.runs[1:]:
        write_run(plan.run_path(run), run, 0.3)
    methods = read_comparison(plan.folder).methods
    assert {name: [run.records.seed for run in runs] for name, runs in methods.items()} == {
        "algorithm=grpo": [3],
        "algorithm=sgpo": [0, 3],
    }, "once every variant has a finished run, the others are left out"


def test_several_runs_are_methods_as_they_are_named(tmp_path: Path) -> None:
    plan = plan_in(tmp_path, seeds="0,1")
    write_all(plan, {"grpo": 0.3, "sgpo": 0.6})
    folders = [RunFolder(plan.run_path(run)) for run in plan.runs]
    names = {"both": ["algorithm-grpo-seed0", "algorithm-grpo-seed1"], "one": ["algorithm-sgpo-seed1"]}
    training = read_runs(folders, names)
    assert [(run.records.variant, run.records.seed) for run in training.runs] == [("both", 0), ("both", 1), ("one", 1)]


def test_the_numbers_at_the_end_are_means_over_seeds(tmp_path: Path) -> None:
    plan = plan_in(tmp_path, words=("task.prompts=16",), seeds="0,1")
    claim(plan)
    write_all(plan, {"grpo": 0.3, "sgpo": 0.6})
    document = training_report("a comparison", read_comparison(plan.folder), None)
    assert [section.title for section in document.sections] == ["At the end", "Over epochs"]
    table = document.sections[0].blocks[0]
    assert isinstance(table, Table) and table.head == ("method", "held-out accuracy")
    ends = [
        [json.loads(line)["eval/accuracy"] for line in RunFolder(plan.run_path(run)).evaluations.open()][-1]
        for run in plan.runs
        if "sgpo" in run.slug
    ]
    entry = table.rows[1][1]
    assert (entry.text, entry.more) == (f"{100 * np.mean(ends):.2f}", f"± {100 * np.std(ends, ddof=1):.2f}")
    assert entry.mark == "best"


@pytest.mark.slow
def test_curves_stand_over_epochs_or_over_steps_where_no_one_knows_them(tmp_path: Path) -> None:
    plan = plan_in(tmp_path, words=("task.prompts=16",), seeds="0")
    claim(plan)
    write_all(plan, {"grpo": 0.3, "sgpo": 0.6})
    training = read_comparison(plan.folder)
    titles = [picture.title for picture in over_epochs(training)]
    assert titles[:2] == ["Held-out accuracy over epochs", "Entropy over epochs"]
    assert "Reasoning Trajectory Score over epochs" in titles and "Guidance over epochs" not in titles
    (RunFolder(plan.run_path(plan.runs[0])).data).write_text(json.dumps({"counts": {"train": 0}}))
    assert over_epochs(read_comparison(plan.folder))[0].title == "Held-out accuracy over steps"


def guided(name: str, schedule: str, length: int | None, ratio: float, *accuracies: float) -> tuple[str, list[Trained]]:
    """A method of one run for each accuracy."""
    settings = {"guidance": {"schedule": schedule, "length": length, "ratio": ratio}}
    return name, [
        Trained(
            RunRecords(name, seed, name, True, [], [{"step": 9, "eval/accuracy": one}], {}),
            settings,
            RunFolder(Path(name)),
        )
        for seed, one in enumerate(accuracies)
    ]


def test_the_map_has_a_place_for_every_length_and_alpha_with_the_papers_number() -> None:
    training = Training(
        dict(
            [
                guided("GRPO", "none", None, 0.25, 0.5),
                guided("l=50, alpha=1/6", "fixed", 50, 0.1667, 0.5, 0.7),
                guided("l=50, alpha=5/6", "fixed", 50, 0.8333, 0.25),
                guided("l=100, alpha=5/6", "fixed", 100, 0.8333, 0.75),
            ]
        )
    )
    section = map_section(training, paper_table("g2rpo_a_table_1"))
    assert section is not None
    table, picture = section.blocks
    assert isinstance(table, Table) and isinstance(picture, Picture)
    assert table.head == ("guidance length", "alpha = 1/6", "alpha = 5/6")
    assert [[(entry.text, entry.more, entry.mark) for entry in row[1:]] for row in table.rows] == [
        [("60.0", "the paper 67.2", ""), ("25.0", "the paper 66.8", "")],
        [(UNKNOWN, "", ""), ("75.0", "the paper 65.2", "best")],
    ]
    assert table.notes[1] == "Without guidance: 50.0."
    assert picture.caption.endswith("without guidance.")


def test_there_is_no_map_of_a_line_or_where_something_else_differs() -> None:
    line = [guided(str(ratio), "fixed", 50, ratio, 0.5) for ratio in (0.25, 0.5)]
    assert map_section(Training(dict(line)), None) is None
    both = [guided(f"{length} {ratio}", "fixed", length, ratio, 0.5) for length in (1, 2) for ratio in (0.25, 0.5)]
    assert map_section(Training(dict(both)), None) is not None
    twice = guided("again", "linear", 2, 0.5, 0.4)
    assert guided_places(Training(dict([*both, twice]))) == {}


def test_a_share_is_written_as_the_paper_does() -> None:
    assert [shown_ratio(ratio) for ratio in (0.1667, 5 / 6, 0.25, 1, 0.14, 0.123)] == [
        *("1/6", "5/6", "1/4", "1", "1/7", "1/8"),
    ]


def test_the_held_out_prompts_are_called_as_their_file() -> None:
    def named(path: object) -> str:
        records = RunRecords("a", 0, "a", True, [], [], {})
        return held_out_name(Trained(records, {"task": {"eval_path": path}}, RunFolder(Path("a"))))

    assert [named(path) for path in ("data/math500.jsonl", "owner/AIME24", None, {"a.jsonl": 1})] == [
        *("math500", "AIME24", "held-out accuracy", "held-out accuracy"),
    ]
