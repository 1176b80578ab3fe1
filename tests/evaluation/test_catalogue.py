"""The sets that come along, and those that a user brings: rows, golds, options, and every wrong description."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from raysgpo.config.overrides import ConfigError
from raysgpo.config.question_set import QuestionSetConfig, whole_word
from raysgpo.evaluation.catalogue import FOLDER, chosen_sets, known_sets
from raysgpo.evaluation.questions import load_set
from raysgpo.sandbox import SandboxRefused, check_sandbox
from raysgpo.tasks.math_grading import MathGrading

COME_ALONG = {
    "aime24": 30,
    "amc23": 40,
    "math500": 500,
    "gradeschool": 210,
    "olympiadbench": 674,
    "minerva": 272,
    "gsm8k": 1319,
    "humaneval": 164,
    "mbpp": 397,
}
BROUGHT = {"aime25", "chmath24", "gaokao", "kaoyan", "gpqa", "livecodebench"}
LEFT_OUT = {"olympiadbench": ("olympiadbench-1965",)}
"""Rows whose answer is a sentence with several values."""


def rows(path: Path, *some: dict[str, Any]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in some))
    return str(path)


def test_the_descriptions_and_no_others() -> None:
    assert set(known_sets()) == COME_ALONG.keys() | BROUGHT
    assert {file.name.partition(".")[0] for file in (FOLDER / "rows").iterdir()} == COME_ALONG.keys()
    assert sum(file.stat().st_size for file in FOLDER.rglob("*")) < 1_000_000


@pytest.mark.parametrize("name", COME_ALONG)
def test_the_gold_answers_are_right_but_for_the_rows_that_are_named(name: str) -> None:
    [settings] = chosen_sets([name])
    if settings.runs_programs:
        try:
            check_sandbox()
        except SandboxRefused as error:
            pytest.skip(str(error))
    found = load_set(settings)
    assert (len(found.problems), found.left_out) == (COME_ALONG[name], LEFT_OUT.get(name, ()))
    assert len({problem.id for problem in found.problems}) == len(found.problems)
    if not settings.runs_programs:
        grade = MathGrading()
        assert all(grade(one, rf"so it is \boxed{{{one.answer}}}.").correct for one in found.problems)


def test_labels_are_those_of_the_rows() -> None:
    found = load_set(chosen_sets(["math500"])[0])
    levels = Counter(found.labels(problem)["level"] for problem in found.problems)
    assert levels == {"1": 43, "2": 90, "3": 105, "4": 128, "5": 134}
    assert found.labels(found.problems[0])["subject"] == "Precalculus"


def test_the_papers_settings() -> None:
    """SGPO, section 4.1: 16 answers at 0.6 and 0.95 where there are under 100 questions, one greedy one elsewhere."""
    words = [f"{name}=rows.jsonl" if name in BROUGHT else name for name in known_sets()]
    of = {one.name: one for one in chosen_sets(words)}
    for name in ("chmath24", "aime25", "aime24", "gaokao", "amc23"):
        assert (of[name].samples, of[name].temperature, of[name].top_p, of[name].max_tokens) == (16, 0.6, 0.95, 32768)
    for name in ("kaoyan", "gradeschool", "math500", "olympiadbench"):
        assert (of[name].samples, of[name].temperature, of[name].max_tokens) == (1, 0.0, 32768)
    assert {name for name, one in of.items() if one.grader == "examiner"} == {"kaoyan", "gradeschool"}


GPQA = {"Record ID": "r0", "Question": "Which?", "Correct Answer": "right", "High-level domain": "Physics"}
GPQA |= {f"Incorrect Answer {n}": f"wrong {n}" for n in (1, 2, 3)}


def test_options_are_shuffled_by_a_hash_and_the_right_one_keeps_its_letter(tmp_path: Path) -> None:
    path = rows(tmp_path / "gpqa.jsonl", *({**GPQA, "Record ID": f"r{n}"} for n in range(200)))
    [settings] = chosen_sets([f"gpqa={path}"])
    found, again = load_set(settings), load_set(settings)
    assert found == again
    for problem in found.problems:
        shown = dict(line.split(". ", 1) for line in problem.prompt.splitlines() if ". " in line and line[1] == ".")
        assert shown[problem.answer] == "right" and sorted(shown.values()) == ["right", "wrong 1", "wrong 2", "wrong 3"]
    letters = Counter(problem.answer for problem in found.problems)
    assert letters.keys() == set("ABCD") and min(letters.values()) > 30
    assert found.labels(found.problems[0]) == {"High-level domain": "Physics"}
    # A row's order is its own: it does not follow from where it stands.
    alone = load_set(chosen_sets([f"gpqa={rows(tmp_path / 'one.jsonl', {**GPQA, 'Record ID': 'r7'})}"])[0])
    assert alone.problems[0].prompt == found.problems[7].prompt


def test_a_file_and_a_description_of_ones_own(tmp_path: Path) -> None:
    rows(tmp_path / "mine.jsonl", {"problem": "1+1=?", "answer": 2}, {"problem": "2+2=?", "answer": 4})
    description = tmp_path / "own.toml"
    description.write_text('path = "mine.jsonl"\ncolumns = { question = "problem" }\nsystem = "Be brief."\nlimit = 1\n')
    found = load_set(chosen_sets([str(description)])[0])
    assert (found.name, len(found.problems), found.before) == ("own", 1, (("system", "Be brief."),))
    assert found.problems[0].prompt == "1+1=?\nPut the final answer in \\boxed{}."
    plain = rows(tmp_path / "plain.jsonl", {"id": "a", "question": "1+1=?", "answer": "2"})
    [settings] = chosen_sets([plain], {"": {"samples": 4, "temperature": 1.0}, "plain": {"instruction": ""}})
    assert (settings.name, settings.samples) == ("plain", 4)
    assert load_set(settings).problems[0].prompt == "1+1=?"


def test_the_hash_is_of_the_rows(tmp_path: Path) -> None:
    path = tmp_path / "some.jsonl"
    [settings] = chosen_sets([rows(path, {"question": "1+1=?", "answer": "2"})])
    before = load_set(settings).sha256
    path.write_text('{"answer": "2",   "question": "1+1=?"}\n')
    assert load_set(settings).sha256 == before, "spaces and the order of fields say nothing"
    rows(path, {"question": "1+1=?", "answer": "3"})
    assert load_set(settings).sha256 != before


@pytest.mark.parametrize(
    ("words", "changes", "message"),
    [
        (["aime42"], {}, "sets=aime42: no such set; choose from aime24, .* did you mean aime2[45]"),
        (["aime42=x.jsonl"], {}, "sets=aime42=x.jsonl: no such set"),
        (["aime25"], {}, "sets=aime25: its rows do not come along: give aime25=FILE, 30 rows of question and answer"),
        (["gpqa"], {}, "give gpqa=FILE, the CSV of its authors .* columns Question, Correct Answer"),
        (["livecodebench"], {}, "give livecodebench=FILE, the JSONL of its authors"),
        (["aime24", "aime24"], {}, "sets=aime24,aime24: two sets are called aime24: give one of them another name"),
        (["none.toml"], {}, "sets=none.toml: no description can be read there: No such file"),
        (["aime24"], {"aime24": {"k": [1, 32]}}, r"aime24.k=\[1, 32\]: a k above the samples, aime24.samples=16"),
        (["aime24"], {"": {"temperature": 0}}, "aime24.samples=16 with aime24.temperature=0 is one answer"),
        (["aime24"], {"": {"top_p": 2}}, "aime24: top_p=2: input should be less than or equal to 1"),
        (["aime24"], {"": {"options": ["a"]}}, "name two columns or more"),
    ],
)
def test_what_cannot_be_is_one_line(words: list[str], changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as refusal:
        chosen_sets(words, changes)
    assert "\n" not in str(refusal.value)


def test_rows_that_cannot_be_asked_are_one_line_with_the_set(tmp_path: Path) -> None:
    path = rows(tmp_path / "r.jsonl", {"problem": "1+1=?", "answer": "2"})
    for settings, message in (
        ({"path": path}, r"mine: path=.*r.jsonl, row 1: no question: .* columns=\{question: problem\}"),
        ({"path": "/nowhere.jsonl"}, r"mine: path=/nowhere.jsonl: there is no such file"),
        ({"path": path, "columns": {"question": "problem"}, "labels": ["level"]}, "mine: labels=.* no row .* level"),
    ):
        with pytest.raises(ConfigError, match=message):
            load_set(QuestionSetConfig.model_validate({"name": "mine", **settings}))
    description = tmp_path / "bad.toml"
    description.write_text("name = \n")
    with pytest.raises(ConfigError, match="no TOML"):
        chosen_sets([str(description)])
    description.write_text('path = "r.jsonl"\ntemprature = 1\n')
    with pytest.raises(ConfigError, match="bad: temprature=1: extra inputs are not permitted"):
        chosen_sets([str(description)])


def test_files_are_named_by_their_whole_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    words = ("aime24", "aime25=a.jsonl", "mine.toml", "owner/name")
    assert [whole_word(word) for word in words] == [
        "aime24",
        f"aime25={tmp_path}/a.jsonl",
        f"{tmp_path}/mine.toml",
        "owner/name",
    ]


def test_the_page_has_a_line_for_each_set() -> None:
    page = (Path(__file__).parents[2] / "docs" / "evaluation.md").read_text()
    lines = dict(re.findall(r"^\| `(\w+)` \| (.+)$", page.partition("## A set of your own")[0], re.MULTILINE))
    assert list(lines) == known_sets()
    words = [f"{name}=rows.jsonl" if name in BROUGHT else name for name in known_sets()]
    for one in chosen_sets(words):
        rows = f"{COME_ALONG[one.name]} |" if one.name in COME_ALONG else "bring"
        times = "once" if one.samples == 1 else f"{one.samples} times"
        drawn = "greedy" if one.temperature == 0 else f"temperature {one.temperature}, top-p {one.top_p}"
        drawn += f", top-k {one.top_k}" if one.top_k else ""
        assert lines[one.name].startswith(rows) and f"| {times}, {drawn} | `{one.grader}` |" in lines[one.name]
        assert all(f"`{label}`" in lines[one.name] for label in one.labels)
