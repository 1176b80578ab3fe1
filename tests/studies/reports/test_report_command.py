"""``jobs/report.py``: what it writes for each kind of place, and every wrong use in one line."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from raysgpo.command import report
from raysgpo.studies.comparison.runs import claim
from tests.studies.comparison.synthetic import plan_in, write_all
from tests.studies.comparison.test_report import parse
from tests.studies.reports.evaluated import Right, write_evaluation
from tests.studies.reports.records import write_groups

Say = Callable[..., tuple[int, str, str]]
ASKED: dict[str, dict[str, Right]] = {
    "old": {"aime24": {"1": [False, True], "2": [False, False]}, "math500": {"a": [True], "b": [False]}},
    "new": {"aime24": {"1": [True, True], "2": [True, False]}, "math500": {"a": [True], "b": [True]}},
}


@pytest.fixture
def say(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Say:
    """``say(*words)``: exit status, standard output and error."""

    def run(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["report.py", *words, "--storage", str(tmp_path)])
        status = report.main()
        return status, *capsys.readouterr()

    return run


@pytest.fixture
def places(tmp_path: Path) -> Path:
    """One of each kind, under one storage."""
    write_evaluation(tmp_path / "evaluations" / "seven-001", ASKED, {"a": "1", "b": "5"})
    (tmp_path / "evaluations" / "cut-off").mkdir()
    (tmp_path / "evaluations" / "cut-off" / "evaluation.json").write_text("{}")
    for name in ("first", "second"):
        folder = tmp_path / "runs" / name
        folder.mkdir(parents=True)
        (folder / "config.yaml").write_text("seed: 0\ntask: {prompts: 16}\n")
    (tmp_path / "comparisons" / "none-yet").mkdir(parents=True)
    (tmp_path / "comparisons" / "none-yet" / "comparison.json").write_text('{"variants": {"a": {}, "b": {}}}')
    return tmp_path


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("nothing",), "nothing: no evaluation, comparison or run there; under "),
        (("seven-001", "seven-001"), "one of them is named twice"),
        (("seven-001", "first"), "seven-001 is of the evaluations; first is of the runs: a report is of"),
        (("cut-off",), "it has no scores.json yet: the same command again ends the evaluation"),
        (("none-yet",), "none of its runs has begun"),
        (("first",), "no step of it is recorded yet"),
        (("seven-001", "--paper", "sgpo_table_9"), "--paper sgpo_table_9: no such table; choose from"),
        (("seven-001", "--paper", "sgpo_table_2:QwQ-32B"), "none of its rows is called old or new"),
        (("seven-001", "--attempts", "5"), "--attempts 5: no set has so many answers to a question; give 2 or fewer"),
        (("seven-001", "--method", "A: x"), "x: no such label; choose from old, new"),
        (("first", "--method", "A: first"), "one run is one method; leave it out"),
        (("none-yet", "--method", "A: a"), "the methods of a comparison are its variants"),
        (("first", "--attempts", "2"), "--attempts 2: of evaluations alone"),
        (("first", "--paper", "sgpo_table_5"), "is beside evaluations, comparisons or several runs"),
        (("seven-001", "--out", "page.pdf"), "--out page.pdf: a page is named FILE.html"),
        (("seven-001", "--out", "/no/such/page.html"), "there is no folder /no/such"),
    ],
)
def test_a_wrong_use_is_one_line_and_leaves_nothing(words: tuple[str, ...], said: str, say: Say, places: Path) -> None:
    before = sorted(places.rglob("*"))
    status, out, err = say(*words)
    assert (status, out) == (2, "") and err.startswith("error: ") and said in err and err.count("\n") == 1
    assert sorted(places.rglob("*")) == before


def test_two_evaluations_with_one_label_are_refused(say: Say, places: Path) -> None:
    write_evaluation(places / "evaluations" / "eight", ASKED)
    status, _, err = say("seven-001", "eight")
    assert status == 2 and "both have a model called 'old'" in err and err.count("\n") == 1


@pytest.mark.parametrize("count", ["0", "x", "-1"])
def test_a_count_is_one_or_more(count: str, say: Say, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        say("a", "--groups", count)
    assert "give 1 or more" in capsys.readouterr().err


@pytest.mark.slow
def test_the_report_of_an_evaluation_as_a_page_and_as_markdown(say: Say, places: Path) -> None:
    words = ("--paper", "sgpo_table_2:QwQ-32B", "--method", "GRPO: old", "--method", "SGPO: new")
    status, out, _ = say("seven-001", *words)
    folder = places / "evaluations" / "seven-001"
    assert (status, out) == (0, f"report: {folder / 'report.html'}\n")
    page = parse(folder / "report.html")
    text = " ".join(page.texts)
    titles = ["Accuracy by set", "Solved by one and not by the other", "math500 by level"]
    assert all(title in page.texts for title in titles) and set(page.images) == {titles[0], titles[2]}
    # SGPO: 3 of 4 answers on aime24, the paper's 78.33.
    assert "75.00" in text and "78.33" in text and "−3.33" in text  # noqa: RUF001
    markdown = (folder / "report.md").read_text(encoding="utf-8")
    assert "| SGPO |" in markdown and "−3.33" in markdown  # noqa: RUF001
    assert "![Accuracy by set](<report_pictures/accuracy-by-set.png>)" in markdown
    assert (folder / "report_pictures" / "accuracy-by-set.png").stat().st_size > 5000


@pytest.mark.slow
def test_the_report_of_a_comparison_and_of_its_runs(say: Say, tmp_path: Path) -> None:
    plan = plan_in(tmp_path, words=("task.prompts=16",), seeds="0,1")
    claim(plan)
    write_all(plan, {"grpo": 0.3, "sgpo": 0.6})
    assert say(plan.folder.name, "--out", str(tmp_path / "page.html"))[0] == 0
    assert {"Accuracy at the end", "Entropy over epochs"} <= set(parse(tmp_path / "page.html").images)
    runs = [str(plan.run_path(run)) for run in plan.runs]
    names = [plan.run_path(run).name for run in plan.runs]
    assert say(*runs, "--method", f"GRPO: {names[0]}, {names[2]}", "--method", f"SGPO: {names[1]}, {names[3]}")[0] == 0
    assert "2 methods, 2 runs each." in parse(Path(runs[0]) / "runs.html").texts


@pytest.mark.slow
def test_the_report_of_a_run_shows_answers_as_they_are(say: Say, tmp_path: Path) -> None:
    plan = plan_in(tmp_path, words=("task.prompts=16",), seeds="0")
    write_all(plan, {"grpo": 0.3, "sgpo": 0.6})
    folder = write_groups(plan)
    assert say(str(folder.path))[0] == 0
    page = parse(folder.path / "report.html")
    for text in ("1+1", "=<b>3</b>\n", "```\n", "| 3", "Step 1, early: all wrong, judged", "1, 1, 2"):
        assert any(text in one for one in page.texts), text
    markdown = (folder.path / "report.md").read_text(encoding="utf-8")
    assert "````\n! 1: «1+1»=<b>3</b>\n. 2: ```\n. 3: | 3\n````" in markdown
    assert "### Step 20, late: right and wrong" in markdown
