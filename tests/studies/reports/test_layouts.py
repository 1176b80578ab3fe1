"""The layouts of tables 2, 5 and 7, against numbers worked by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from raysgpo.config.overrides import ConfigError
from raysgpo.studies.papers.tables import paper_table
from raysgpo.studies.reports.beside import check_paper, laid_out, signed
from raysgpo.studies.reports.document import UNKNOWN, Block, Listing, Section, Table
from raysgpo.studies.reports.evaluations import read_evaluations
from raysgpo.studies.reports.methods import named_methods
from raysgpo.studies.reports.scores import Measured, Scores, gathered
from raysgpo.studies.reports.solved import solved_section
from tests.studies.reports.evaluated import Right, write_evaluation

YES, NO = True, False


def cells(table: Table) -> dict[tuple[str, ...], list[str]]:
    """Its rows by their place and name."""
    return {(str(n), row[0].text): [entry.text for entry in row[1:]] for n, row in enumerate(table.rows)}


def blocks(section: Section | None) -> list[Block]:
    assert section is not None
    return list(section.blocks)


def scores(**methods: dict[str, float]) -> Scores:
    return gathered({name: [{key: Measured(value) for key, value in row.items()}] for name, row in methods.items()})


def test_the_papers_row_stands_under_the_method_with_the_difference() -> None:
    ours = scores(
        GRPO={"aime24": 0.75, "math500": 0.9, "minerva": 0.25}, SGPO={"aime24": 0.8, "math500": 0.9, "minerva": 0.5}
    )
    table = laid_out(ours, paper_table("sgpo_table_2:QwQ-32B"))
    assert table.head == (
        *("method", "Kaoyan", "GradeMath", "MATH500", "Olympiads", "CHMath24", "AIME25", "AIME24", "GaoKao", "AMC23"),
        *("minerva", "Overall"),
    )
    rows = cells(table)
    assert [name for _, name in rows] == ["GRPO", "the paper", "difference", "SGPO", "the paper", "difference"]
    aime, math, minerva = (table.head.index(name) - 1 for name in ("AIME24", "MATH500", "minerva"))
    assert [row[aime] for row in rows.values()] == ["75.00", "75.83", "−0.83", "80.00", "78.33", "+1.67"]  # noqa: RUF001
    assert [row[math] for row in rows.values()] == ["90.00", "94.60", "−4.60", "90.00", "95.00", "−5.00"]  # noqa: RUF001
    assert [row[minerva] for row in rows.values()] == ["25.00", UNKNOWN, UNKNOWN, "50.00", UNKNOWN, UNKNOWN]
    marks = [[entry.mark for entry in row] for row in table.rows]
    assert (marks[0][aime + 1], marks[3][aime + 1], marks[2][aime + 1], marks[5][aime + 1]) == (
        "",
        "best",
        "down",
        "up",
    )
    assert marks[0][math + 1] == marks[3][math + 1] == "best", "of equal ones both"


def test_an_overall_of_other_sets_is_not_compared_with_the_papers() -> None:
    columns = {name: 0.5 for name in "kaoyan gradeschool math500 olympiadbench chmath24 aime25 aime24 gaokao".split()}
    paper = paper_table("sgpo_table_2:QwQ-32B")
    few = cells(laid_out(scores(GRPO={**columns, "Overall": 0.5}), paper))
    assert [row[-1] for row in few.values()] == ["50.00", "79.15", UNKNOWN]
    whole = cells(laid_out(scores(GRPO={**columns, "amc23": 0.5, "Overall": 0.5}), paper))
    assert [row[-1] for row in whole.values()] == ["50.00", "79.15", "−29.15"]  # noqa: RUF001


def test_several_models_are_a_mean_with_their_standard_deviation() -> None:
    found = gathered({"SGPO": [{"a": Measured(0.5, 0.4, 0.6)}, {"a": Measured(0.7, 0.6, 0.8), "b": Measured(0.1)}]})
    one = found.of("SGPO", "a")
    assert one is not None and one.value == pytest.approx(0.6) and one.std == pytest.approx(0.02**0.5)
    assert one.reach == (one.std, one.std) and one.low is None
    entry = laid_out(found, None).rows[0][1]
    assert (entry.text, entry.more, entry.mark) == ("60.00", "± 14.14", "")
    alone = laid_out(gathered({"SGPO": [{"a": Measured(0.5, 0.4, 0.65)}]}), None).rows[0][1]
    assert (alone.text, alone.more) == ("50.00", "40.0 to 65.0")


def test_signs_are_those_of_what_is_shown() -> None:
    assert [signed(value) for value in (1.234, -0.5, 0.001, -0.001)] == ["+1.23", "−0.50", "0.00", "0.00"]  # noqa: RUF001


def test_a_paper_without_any_of_the_methods_is_named_with_its_rows() -> None:
    with pytest.raises(ConfigError, match=r"none of its rows is called a or b: .*'ROW: LABEL' \(its rows: BASELINE; "):
        check_paper(paper_table("sgpo_table_2:QwQ-32B"), ["a", "b"])
    check_paper(paper_table("sgpo_table_2:QwQ-32B"), ["a", "grpo"])


ASKED: dict[str, dict[str, Right]] = {
    "old": {"aime24": {"1": [NO, YES], "2": [NO, NO], "3": [NO, NO], "4": [YES, YES]}},
    "new": {"aime24": {"1": [NO, NO], "2": [NO, YES], "3": [YES, None], "4": [YES, YES]}},
}


def test_what_one_solves_and_the_other_does_not(tmp_path: Path) -> None:
    evaluated = read_evaluations([write_evaluation(tmp_path / "one", ASKED)])
    methods = named_methods(["GRPO: old", "SGPO: new"], evaluated.labels)
    table, *listings = blocks(solved_section(evaluated, methods, None, paper_table("sgpo_table_5")))
    assert isinstance(table, Table)
    column = table.head.index("AIME24") - 1
    assert [(name, row[column]) for (_, name), row in cells(table).items()] == [
        *(("SGPO", "3"), ("the paper", "23"), ("difference", "−20")),  # noqa: RUF001
        *(("GRPO", "2"), ("the paper", "19"), ("difference", "−17")),  # noqa: RUF001
        *(("SGPO only", "2"), ("the paper", "4"), ("difference", "−2")),  # noqa: RUF001
        *(("GRPO only", "1"), ("the paper", "0"), ("difference", "+1")),
    ]
    assert table.notes[0] == "Questions of each set, and the attempts k that count: aime24 4 (k = 2)."
    assert listings == [Listing("aime24: which", ("only SGPO: 2; 3", "only GRPO: 1"))]


def test_fewer_attempts_are_the_first_ones(tmp_path: Path) -> None:
    evaluated = read_evaluations([write_evaluation(tmp_path / "one", ASKED)])
    methods = named_methods([], evaluated.labels)
    table, *_ = blocks(solved_section(evaluated, methods, 1, None))
    assert isinstance(table, Table)
    assert [(name, row) for (_, name), row in cells(table).items()] == [
        ("new", ["2"]), ("old", ["1"]), ("new only", ["1"]), ("old only", ["0"])
    ]  # fmt: skip
    with pytest.raises(ConfigError, match="--attempts 3: no set has so many answers to a question; give 2 or fewer"):
        solved_section(evaluated, methods, 3, None)


def test_levels_are_columns_beside_the_papers(tmp_path: Path) -> None:
    questions = {str(n): [n % 2 == 0] for n in range(1, 7)}
    levels = {"1": "1", "2": "1", "3": "2", "4": "10", "5": "10", "6": "10"}
    folder = write_evaluation(tmp_path / "one", {"Original": {"math500": questions}}, levels)
    evaluated = read_evaluations([folder])
    found = gathered({"Original": [evaluated.of_labels("Original", "math500", "level")]})
    assert found.columns == ("level 1", "level 2", "level 10")
    table = laid_out(found, paper_table("g2rpo_a_table_7"))
    assert table.head[1:] == ("Level 1", "Level 2", "Level 3", "Level 4", "Level 5", "level 10")
    assert [row[:2] for row in cells(table).values()] == [["50.00", "0.00"], ["86.05", "77.77"], ["−36.05", "−77.77"]]  # noqa: RUF001
    assert evaluated.fields() == {"math500": ["level"]}


@pytest.mark.parametrize(
    ("methods", "said"),
    [
        (["SGPO: new, nwe"], "nwe: no such label; choose from old, new; did you mean new?"),
        (["A: new", "B: old, new"], "new is of 'A' already; leave one out"),
        (["A: new", "A: old"], "there is a method 'A' already; give all its labels in one"),
        (["A: "], "expected a name and labels, such as --method 'SGPO: sgpo-0, sgpo-1'"),
        ([": new"], "expected a name and labels"),
    ],
)
def test_a_method_that_cannot_be_is_one_line(methods: list[str], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        named_methods(methods, ["old", "new"])
    assert said in str(caught.value) and "\n" not in str(caught.value)


def test_a_label_alone_is_a_method_and_names_may_have_colons() -> None:
    assert named_methods(["new", "l=0:1: old"], ["old", "new"]) == {"new": ["new"], "l=0:1": ["old"]}
    assert named_methods([], ["old", "new"]) == {"old": ["old"], "new": ["new"]}
