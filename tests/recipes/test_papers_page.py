"""docs/papers.md: a line for each table of the papers, and words that are settings."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from raysgpo.command.configure import Mode, configure
from raysgpo.command.evaluate import parser
from raysgpo.command.evaluation_words import EvaluationWords, divided
from raysgpo.command.words import Words
from raysgpo.recipes import RECIPES
from raysgpo.studies.papers.tables import paper_tables
from raysgpo.studies.sweeps.named import SWEEPS

PAGE = (Path(__file__).parents[2] / "docs" / "papers.md").read_text(encoding="utf-8")
TABLES = {"SGPO": 5, "G2RPO-A": 11, "CoRPO": 1}
MODES: dict[str, Mode] = {"train": "online", "offline": "offline"}


def part(paper: str) -> str:
    return PAGE.partition(f"\n## {paper} (")[2].partition("\n## ")[0]


def rows(paper: str) -> list[tuple[str, str]]:
    """(table, command) of each line."""
    return re.findall(r"^\| (\d+) \| [^|]+ \| ([^|]+) \|", part(paper), re.MULTILINE)


def spans(command: str) -> list[list[str]]:
    """What stands in code, word by word, with something in the place of FILE, URL and NAME."""
    given = command.replace("FILE", "rows.jsonl").replace("URL", "http://localhost/v1").replace("=NAME", "=judge")
    return [span.split() for span in re.findall(r"`([^`]+)`", given)]


@pytest.mark.parametrize("paper", TABLES)
def test_each_table_has_a_line(paper: str) -> None:
    assert [int(table) for table, _ in rows(paper)] == list(range(1, TABLES[paper] + 1))


@pytest.mark.parametrize(("paper", "table", "command"), [(p, t, c) for p in TABLES for t, c in rows(p)])
def test_the_words_of_a_line_are_settings(paper: str, table: str, command: str) -> None:
    recipe, own, mode, tried = "sgpo_7b", list[str](), "train", 0
    if "the same with" in command:
        command = next(c for t, c in rows(paper) if int(t) == int(table) - 1).partition(";")[0] + command
    for span in spans(command):
        more: list[str] = []
        if span[0] in MODES:
            mode, recipe, own = span[0], span[1], span[2:]
        elif span[0] in RECIPES.names():
            recipe, own = span[0], span[1:]
        elif all("=" in word for word in span):
            more = span
        else:
            continue
        configure(Words(recipe, None, [*own, *more]), RECIPES, MODES[mode])
        tried += 1
    assert tried or (paper, table) == ("SGPO", "5")


def test_each_table_names_its_sweep_or_its_report() -> None:
    for paper, key in (("SGPO", "sgpo"), ("G2RPO-A", "g2rpo_a"), ("CoRPO", "corpo")):
        for line in re.findall(r"^\| \d+ \|.*$", part(paper), re.MULTILINE):
            assert f"{key}_table_{line.split()[1]}" in line
    assert set(re.findall(r"--sweep (\w+_table_\w+)", PAGE)) <= set(SWEEPS)
    assert set(re.findall(r"--paper (\w+_table_\w+)", PAGE)) <= set(paper_tables())
    tables = {re.sub(r"(_table_\d+).*", r"\1", name) for name in SWEEPS}
    assert tables <= set(re.findall(r"--sweep (\w+_table_\d+)", PAGE)), "every sweep is on the page"


EVALUATIONS = re.findall(r"`python jobs/evaluate.py ([^`]+)`", PAGE)


@pytest.mark.parametrize("command", EVALUATIONS)
def test_the_words_of_an_evaluation_are_models_sets_and_settings(command: str) -> None:
    words = command.replace("FILE", "rows.jsonl").replace("URL", "http://localhost/v1").split()
    arguments = parser().parse_intermixed_args(words)
    models, settings = divided(arguments.words)
    asked = EvaluationWords(arguments.sets.split(","), settings)
    assert models and not set(models) - {"BASE", "GRPO", "SGPO", "G2RPO_A"}
    assert len(asked.sets()) == len(arguments.sets.split(",")) and asked.config().rollout.gpus > 0


def test_the_overall_is_of_the_nine_sets_of_the_paper() -> None:
    [nine] = [command for command in EVALUATIONS if "kaoyan" in command]
    assert nine.partition("--sets ")[2].split()[0].count(",") == 8


def test_the_twins_of_the_page_are_those_of_the_recipes() -> None:
    found = re.findall(r"^\| `(\w+)\*?` \| `(\S+)` \|", PAGE, re.MULTILINE)
    assert found == [("sgpo_", "algorithm=grpo"), ("g2rpo_a_", "guidance=none"), ("corpo_qwen3_8b", "algorithm=grpo")]
