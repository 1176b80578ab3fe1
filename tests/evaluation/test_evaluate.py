"""``jobs/evaluate.py`` as a user runs it, on servers that do as they are told."""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from raysgpo.command import evaluate
from raysgpo.output.json_lines import read_rows
from tests.judging.asking import closed_port
from tests.judging.judge_server import Exchange, JudgeServer, Messages, completion, content, drop, status

pytestmark = pytest.mark.usefixtures("short_pauses", "inline_grading")
ANSWERS = {"1+1=?": "2", "2+2=?": "4", "3+3=?": "7"}
"""What the model says; the last is wrong."""


def solve(messages: Messages) -> str:
    """Answers what it knows; says of which place is asked in a sentence; picks the option that is called right."""
    asked = messages[-1]["content"]
    if "Where?" in asked:
        return "In the north, I think."
    if (found := re.search(r"^([A-D])\. right$", asked, re.MULTILINE)) is not None:
        return rf"\boxed{{{found[1]}}}"
    return rf"\boxed{{{ANSWERS[asked.partition(chr(10))[0]]}}}"


def examine(messages: Messages) -> str:
    return r"\boxed{yes}" if "north" in messages[-1]["content"].partition("<response>")[2] else r"\boxed{no}"


@pytest.fixture
def sets(tmp_path: Path) -> str:
    """Three sets: sums that are asked twice, options, and a question whose answer is a sentence."""
    sums = [{"id": f"s{n}", "question": asked, "answer": str(2 * n)} for n, asked in enumerate(ANSWERS, 1)]
    choice = [{"id": f"c{n}", "question": "Which?", "a": "right", "b": "wrong"} for n in range(4)]
    where = [{"id": "w", "question": "Where?", "answer": "It is up in the north."}]
    for name, rows in (("sums", sums), ("choice", choice), ("where", where)):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "choice.toml").write_text('path = "choice.jsonl"\noptions = ["a", "b"]\n')
    (tmp_path / "where.toml").write_text('path = "where.jsonl"\ngrader = "examiner"\n')
    return ",".join(str(tmp_path / name) for name in ("sums.jsonl", "choice.toml", "where.toml"))


def run(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr(sys, "argv", ["evaluate.py", *words])
    return int(evaluate.main())


def at(model: JudgeServer, examiner: JudgeServer, folder: Path) -> list[str]:
    return [
        *("--base-url", model.base_url, "--examiner-url", examiner.base_url, "--examiner-model", "judge"),
        *("server.api_key_env=null", "examiner.api_key_env=null", "server.retries=1", "examiner.retries=0"),
        *("sums.samples=2", "sums.temperature=0.6", "sums.top_k=20", f"storage={folder}"),
    ]


def answers(folder: Path) -> list[dict[str, Any]]:
    return list(read_rows(folder / "evaluations" / "evaluation-001" / "answers.jsonl"))


def test_three_sets_on_a_server(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, sets: str
) -> None:
    with JudgeServer(solve, models=["m"]) as model, JudgeServer(examine) as examiner:
        assert run(monkeypatch, "m", "--sets", sets, *at(model, examiner, tmp_path)) == 0
        asked = Counter((q.body["messages"][-1]["content"], q.body["seed"]) for q in model.questions)
        assert len(asked) == 3 * 2 + 4 + 1 and max(asked.values()) == 1
        drawn = [q.body for q in model.questions if "+" in q.body["messages"][-1]["content"]]
        assert {(body["temperature"], body["top_k"], body["max_tokens"]) for body in drawn} == {(0.6, 20, 32768)}
        greedy = [q.body for q in model.questions if "Which" in q.body["messages"][-1]["content"]]
        assert {(body["temperature"], body.get("top_k")) for body in greedy} == {(0.0, None)}
        assert len(examiner.questions) == 2, "once to see whether it is there"
    folder = tmp_path / "evaluations" / "evaluation-001"
    scores = json.loads((folder / "scores.json").read_text())["m"]
    assert {name: scores[name]["avg"]["value"] for name in ("sums", "choice", "where")} == pytest.approx(
        {"sums": 2 / 3, "choice": 1.0, "where": 1.0}
    )
    assert scores["Overall"] == pytest.approx((2 / 3 + 2) / 3)
    plan = json.loads((folder / "evaluation.json").read_text())
    assert plan["models"] == [{"label": "m", "model": "m"}]
    assert [(one["name"], one["samples"], one["questions"]) for one in plan["sets"]] == [
        ("sums", 2, 3),
        ("choice", 1, 4),
        ("where", 1, 1),
    ]
    out = capsys.readouterr().out
    assert "avg@2 66.7" in out and "maj@2 66.7" in out and f"scores: {folder / 'scores.json'}" in out


def test_a_server_that_goes_down_loses_nothing_and_nothing_is_asked_twice(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, sets: str
) -> None:
    with JudgeServer(solve, models=["m"]) as model, JudgeServer(examine) as examiner:

        def goes_down(exchange: Exchange) -> None:
            (exchange.answer if len(model.questions) <= 5 else lambda: drop(exchange))()

        model.always = goes_down
        words = [*at(model, examiner, tmp_path), "server.concurrency=1"]
        assert run(monkeypatch, "m", "--sets", sets, *words) == 2
        error = capsys.readouterr().err.splitlines()[-1]
        assert error.startswith(f"error: server.base_url={model.base_url}, model m: no connection")
        before = answers(tmp_path)
        assert len(before) == 5 and not (tmp_path / "evaluations/evaluation-001/scores.json").exists()
        answered = {(q.body["messages"][-1]["content"], q.body["seed"]) for q in model.questions[:5]}
        model.always = None
        model.requests.clear()
        assert run(monkeypatch, "--resume", "evaluation-001", f"storage={tmp_path}") == 0
        again = {(q.body["messages"][-1]["content"], q.body["seed"]) for q in model.questions}
        assert len(again) == len(model.questions) == 6 and not again & answered
        assert answers(tmp_path)[:5] == before and len(answers(tmp_path)) == 11
        model.requests.clear()
        assert run(monkeypatch, "--resume", "evaluation-001", f"storage={tmp_path}") == 0
        assert not model.questions


def test_an_examiner_that_falls_silent_loses_no_answer(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, sets: str
) -> None:
    with JudgeServer(solve, models=["m"]) as model, JudgeServer(examine) as examiner:
        examiner.script(content(r"\boxed{no}"), content(""), content(""))
        assert run(monkeypatch, "m", "--sets", sets, *at(model, examiner, tmp_path)) == 0
        [row] = [row for row in answers(tmp_path) if row["set"] == "where"]
        assert (row["text"], row["correct"]) == ("In the north, I think.", None)
        assert row["failed"] == "the examiner answered nothing"
        assert "1 of 11 answers have no verdict and count as wrong (the first: the examiner answered nothing)" in (
            capsys.readouterr().err
        )
        model.requests.clear()
        assert run(monkeypatch, "--resume", "evaluation-001", f"storage={tmp_path}") == 0
        assert not model.questions, "the answer is there"
        [row] = [row for row in answers(tmp_path) if row["set"] == "where"]
        assert (row["correct"], row["failed"]) == (True, None)


def named(answered: str) -> Any:
    body = json.loads(completion(r"\boxed{2}")) | {"model": answered}
    return lambda exchange: exchange.send(200, json.dumps(body).encode())


def test_another_model_that_answers_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, sets: str
) -> None:
    with JudgeServer(solve, models=["m"]) as model, JudgeServer(examine) as examiner:
        words = ["m", "--sets", sets, *at(model, examiner, tmp_path), "server.concurrency=1"]
        model.script(named("m"), named("m-2025-01-31"), named("m-mini"))
        assert run(monkeypatch, *words) == 2
        assert capsys.readouterr().err.splitlines()[-1] == (
            f"error: server.base_url={model.base_url}: asked for the model m, m-mini answered: name it, or another "
            "server"
        )
        assert len(answers(tmp_path)) == 2


def test_a_set_whose_file_changed_is_named_and_its_answers_stay(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, sets: str
) -> None:
    with JudgeServer(solve, models=["m"]) as model, JudgeServer(examine) as examiner:
        assert run(monkeypatch, "m", "--sets", sets, *at(model, examiner, tmp_path)) == 0
        before = answers(tmp_path)
        with (tmp_path / "sums.jsonl").open("a") as file:
            file.write('{"id": "s9", "question": "1+1=?", "answer": "2"}\n')
        assert run(monkeypatch, "--resume", "evaluation-001", f"storage={tmp_path}") == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith(f"error: sums: {tmp_path}/sums.jsonl has changed since the evaluation began (sha256 ")
    assert answers(tmp_path) == before


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "name models and --sets"),
        (["m", "--sets", "aime24,aime24"], "two sets are called aime24"),
        (["m", "--sets", "aime24", "k=[32]"], r"aime24.k=\[32\]: a k above the samples, aime24.samples=16"),
        (["m", "--sets", "aime24", "aime24.sample=3"], "aime24.sample: no such setting of a set; .* mean samples"),
        (
            ["m", "--sets", "aime24", "sampling.top_p=1"],
            "sampling.top_p: no such set or section here; choose from aime24",
        ),
        (["m", "--sets", "aime24", "steps=3"], "steps: no such setting here"),
        (["m", "--sets", "gradeschool"], "gradeschool: an examiner grades some of its answers: give --examiner-url"),
        (["m", "--sets", "aime24", "--labels", "a,b"], "--labels a,b: give each of the 1 models one of its own"),
        (["m", "m", "--sets", "aime24"], "m: the model is named twice"),
        (["m", "--sets", "aime24", "storage=s3://bucket/runs"], "an evaluation is kept in a folder"),
        (["m", "--sets", "aime24", "--name", "a/b"], "a run's name begins with a letter or digit"),
        (["m", "--sets", "aime24", "--base-url", "host"], "server.base_url=host: start it with http"),
        (["m", "--sets", "aime24", "--base-url", "http://h"], "server.api_key_env=OPENAI_API_KEY: .* is not set"),
        (["m", "--sets", "aime24", "server.retries=x"], "server.retries=x: input should be a valid integer"),
        (["--resume", "none-001"], "--resume none-001: no evaluation there"),
        (
            ["--resume", "none-001", "m"],
            "--resume none-001 goes on with what the evaluation was begun with: leave out m",
        ),
    ],
)
def test_what_is_wrong_is_one_line_before_anything_is_asked(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    words: list[str],
    message: str,
) -> None:
    storage = [] if any(word.startswith("storage=") for word in words) or not words else [f"storage={tmp_path}"]
    server = [] if "--base-url" in words or "--resume" in words else ["server.base_url=http://127.0.0.1:9/v1"]
    keys = [] if "--base-url" in words or "--resume" in words else ["server.api_key_env=null"]
    assert run(monkeypatch, *words, *storage, *(server + keys if words else [])) == 2
    error = capsys.readouterr().err
    assert re.search(message, error) and error.count("\n") == 1, error
    assert not (tmp_path / "evaluations").exists()


def test_an_examiner_or_a_server_that_is_not_there_is_told_at_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, sets: str
) -> None:
    with JudgeServer(solve, models=["m"]) as model, JudgeServer(examine) as examiner:
        examiner.always = content("")
        assert run(monkeypatch, "m", "--sets", sets, *at(model, examiner, tmp_path)) == 2
        silent = capsys.readouterr().err
        assert silent == f"error: examiner.base_url={examiner.base_url}: the examiner answered nothing\n"
        examiner.always, model.always = None, status(404, error={"message": "no such model"})
        assert run(monkeypatch, "m", "--sets", sets, *at(model, examiner, tmp_path)) == 2
        assert capsys.readouterr().err.splitlines()[-1].endswith("model m: HTTP 404: no such model")
        words = [closed_port() if word == model.base_url else word for word in at(model, examiner, tmp_path)]
        assert run(monkeypatch, "m", "--sets", sets, *words) == 2
        assert "no connection" in capsys.readouterr().err.splitlines()[-1]
