"""The command ``jobs/make_pairs.py``: three forms of a file become pairs that the verifier task reads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from jobs import make_pairs
from raysgpo.config import TaskConfig
from raysgpo.output.json_lines import read_rows
from raysgpo.tasks.verifier import VerifierTask

ANSWERS = [("<think>hm</think>4", True), ("5", False), ("6", False), ("<think>cut", False)]
FORMS: dict[str, list[dict[str, Any]]] = {
    "one": [
        {"id": "q", "question": "2+2?", "solution": text, "correct": right, "source": "own"} for text, right in ANSWERS
    ],
    "many": [
        {
            "id": "q", "question": "2+2?", "source": "own",
            "solutions": [text for text, _ in ANSWERS], "correct": [right for _, right in ANSWERS],
        }
    ],
    "group": [
        {
            "prompt_id": "q", "prompt": "2+2?\nPut the final answer in \\boxed{}.", "answer": "4", "step": 0,
            "metadata": {"source": "own"}, "dropped": "no_signal",
            "rollouts": [
                *({"text": text, "correct": right, "finish_reason": "stop"} for text, right in ANSWERS),
                {"text": "guided", "correct": True, "finish_reason": "stop", "guidance_tokens": 3},
            ],
        },
        {"prompt_id": "r", "prompt": "?", "rollouts": [], "dropped": "failed"},
    ],
}  # fmt: skip


def written(folder: Path, rows: list[dict[str, Any]]) -> Path:
    path = folder / "solutions.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def run(monkeypatch: pytest.MonkeyPatch, *words: object) -> int:
    monkeypatch.setattr("sys.argv", ["make_pairs.py", *map(str, words)])
    return make_pairs.main()


@pytest.mark.parametrize("form", FORMS)
def test_each_form_gives_the_same_pairs(
    form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "pairs.jsonl"
    assert run(monkeypatch, written(tmp_path, FORMS[form]), out, "pairs=9", "both_wrong=1") == 0
    said = capsys.readouterr().out
    assert "3 kept, 1 cut off, 0 empty, 0 repeated solutions" in said
    assert "2 pairs of a right and a wrong one, 0 of two right, 1 of two wrong ones" in said
    assert f"1 of 1 questions have a pair: {out}" in said
    rows = list(read_rows(out))
    assert {row["id"] for row in rows} == {"q-1", "q-2", "q-3"} and {row["source"] for row in rows} == {"own"}
    shown = {frozenset((row["solution_a"], row["solution_b"])) for row in rows}
    assert shown == {frozenset("45"), frozenset("46"), frozenset("56")}


def test_the_task_reads_them_and_holds_out_every_row_of_a_validation_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [row | {"id": f"q{n}", "question": f"2+{n}?"} for n in range(80) for row in FORMS["one"]]
    train, held_out = tmp_path / "train.jsonl", tmp_path / "eval.jsonl"
    source = written(tmp_path, rows)
    assert run(monkeypatch, source, train) == 0
    assert run(monkeypatch, source, held_out, "both_wrong=1", "most=100") == 0
    with pytest.raises(ValueError, match="none is left to train on"):
        VerifierTask(TaskConfig(kind="verifier", path=str(held_out), eval_path=str(held_out)), 10**9)
    task = VerifierTask(TaskConfig(kind="verifier", path=str(train), eval_path=str(held_out)), 10**9)
    assert len(task.held_out) == 100 and len(task.train) == 80 - len({p.id.split("-")[0] for p in task.held_out})


@pytest.mark.parametrize(
    ("rows", "words", "message"),
    [
        (FORMS["one"], ["pair=2"], "pair: unknown key; did you mean pairs?"),
        ([{"question": "?", "solution": "a"}], [], "row 1: correct: field required"),
        ([{"question": "?", "solution": "a", "correct": "yes"}], [], "correct: input should be a valid boolean"),
        ([{"question": "?", "solutions": ["a"], "correct": []}], [], "1 solutions and 0 verdicts"),
        ([FORMS["one"][0], FORMS["one"][1] | {"question": "3+3?"}], [], "the id 'q' is that of another question"),
        (FORMS["one"][:1], [], "no question has the solutions that a pair takes"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_named(
    rows: list[dict[str, Any]], words: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    assert run(monkeypatch, written(tmp_path, rows), tmp_path / "out.jsonl", *words) == 2
    assert message in capsys.readouterr().err and not (tmp_path / "out.jsonl").exists()


def test_a_file_that_is_there_is_not_written_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    source = written(tmp_path, FORMS["one"])
    assert run(monkeypatch, source, source) == 2
    assert "there is something already" in capsys.readouterr().err
