"""The papers' tables as data: whole, and found by the names that people give to methods and sets."""

from __future__ import annotations

import pytest

from raysgpo.config.overrides import ConfigError
from raysgpo.studies.papers.tables import paper_table, paper_tables, same_set


def test_all_tables_are_there_and_every_row_has_a_value_for_every_column() -> None:
    tables = paper_tables()
    assert [name.partition("_table_")[0] for name in tables] == ["sgpo"] * 5 + ["g2rpo_a"] * 11 + ["corpo"]
    for table in tables.values():
        assert table.rows and table.unit in ("percent", "questions solved (count)")
        for row in table.rows:
            assert tuple(row.values) == table.columns and (not row.std or tuple(row.std) == table.columns)
            assert all(value is None or 0 <= value <= 100 for value in row.values.values())


def test_a_few_numbers_as_the_papers_print_them() -> None:
    grpo = paper_table("sgpo_table_2:QwQ-32B").row("grpo")
    assert grpo is not None and grpo.values["Kaoyan"] == 71.36 and grpo.values["Overall"] == 79.15
    voting = paper_table("sgpo_table_4").row("+QwQ-32B with voting")
    assert voting is not None and voting.std["Overall"] == 0.18
    best = paper_table("g2rpo_a_table_1").row("l=500, alpha=1/6")
    assert best is not None and best.values == {"MATH500": 68.2}
    assert paper_table("sgpo_table_5").questions["Gaokao"] == 79


def test_a_method_that_several_rows_have_is_named_by_its_label_alone() -> None:
    table = paper_table("sgpo_table_2:DeepSeek-R1-Distill-Qwen-7B")
    assert table.row("SGPO") is None and table.row("nothing") is None
    judged = table.row("sgpo+qwq-32b")
    assert judged is not None and judged.values["AIME25"] == 35.21
    llama = paper_table("sgpo_table_2:DeepSeek-R1-Distill-Llama-8B").row("SGPO")
    assert llama is not None and llama.label == "SGPO+CLAUDE-3.7"


def test_sets_are_one_under_all_their_names() -> None:
    assert same_set("MATH500") == same_set("math-500") == same_set("Math_500")
    assert same_set("LCB") == same_set("livecodebench") and same_set("Olympiads") == same_set("olympiadbench")
    assert same_set("GradeMath") == same_set("gradeschool") and same_set("AIME24") != same_set("AIME25")
    columns = [same_set(column) for column in paper_table("corpo_table_1").columns]
    kinds = ("first_correct", "second_correct", "both_incorrect", "both_correct")
    names = [
        *(f"pass@16, code/{kind}" for kind in kinds),
        "pass@16, math/first_correct",
        "pass@16, math/second_correct",
    ]
    assert columns == [same_set(name.replace("_", " ")) for name in names]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("sgpo_table_6", "--paper sgpo_table_6: no such table; choose from sgpo_table_1, "),
        ("sgpo_table_2", "it has several models: write sgpo_table_2:MODEL, DeepSeek-R1-Distill-Qwen-7B or "),
        ("sgpo_table_2:QwQ-32", "no such model; choose from DeepSeek-R1-Distill-Qwen-7B, "),
    ],
)
def test_what_is_named_wrong_is_one_line_with_the_names_there_are(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        paper_table(text)
    assert "\n" not in str(caught.value)
