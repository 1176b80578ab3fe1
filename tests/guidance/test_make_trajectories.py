"""The command ``jobs/make_trajectories.py``: a scripted server solves, and only what is fit is kept."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from jobs import make_trajectories
from raysgpo.output.json_lines import read_rows
from tests.judging.judge_server import JudgeServer, completion, status

pytestmark = pytest.mark.slow

GOOD = "First, 2+2 is 4.\n\nThen 4+3 is 7.\n\nSo the answer is \\boxed{7}."


@pytest.fixture
def questions(tmp_path: Path) -> Path:
    rows: list[dict[str, Any]] = [
        {"id": "a", "question": "2+2+3?", "answer": "7", "solution": GOOD, "source": "amc_aime"},
        {"id": "b", "question": "2+2+3 again?", "answer": 7, "solution": "\\boxed{8}"},
        {"id": "c", "question": "2+2+3 once more?", "answer": "7"},
    ]
    path = tmp_path / "questions.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def run(monkeypatch: pytest.MonkeyPatch, *words: object) -> int:
    monkeypatch.setattr("sys.argv", ["make_trajectories.py", *map(str, words)])
    return make_trajectories.main()


def test_of_the_rows_own_solutions_the_fit_ones_are_kept(
    questions: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.jsonl"
    assert run(monkeypatch, questions, out) == 0
    assert list(read_rows(out)) == [
        {"id": "a", "question": "2+2+3?", "answer": "7", "solution": GOOD, "source": "amc_aime"}
    ]
    said = capsys.readouterr().out
    assert "1 kept, 1 incomplete, 1 wrong, 0 unparsable solutions" in said
    assert f"1 of 3 questions have a trajectory: {out}" in said


def test_a_model_is_asked_until_a_solution_is_fit_and_not_again(
    questions: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = {"2+2+3?": ["It is \\boxed{8}.", "\\boxed{7}", GOOD], "2+2+3 again?": [GOOD]}
    asked: list[str] = []

    def answer(messages: list[dict[str, str]]) -> str:
        question = messages[0]["content"].partition("\n")[0]
        asked.append(question)
        left = texts.get(question, [])
        return left.pop(0) if left else "I do not know."

    out = tmp_path / "out.jsonl"
    with JudgeServer(answer) as server:
        words = [f"base_url={server.base_url}", "model=judge", "samples=3", "concurrency=1"]
        assert run(monkeypatch, questions, out, *words) == 0
        rows = {row["id"]: row for row in read_rows(out)}
        assert {name: row["solution"] for name, row in rows.items()} == {"a": GOOD, "b": GOOD}
        assert {row["solution_by"] for row in rows.values()} == {"judge"}
        assert [asked.count(f"2+2+3{end}?") for end in ("", " again", " once more")] == [3, 1, 3]
        assert len({q.body["seed"] for q in server.questions}) == 7, "each sample has a seed of its own"
        asked.clear()
        assert run(monkeypatch, questions, out, *words) == 0
        assert set(asked) == {"2+2+3 once more?"}, "what is there is not asked for again"
    assert "2 kept, 0 incomplete, 4 wrong, 1 unparsable" in capsys.readouterr().out


def test_a_solution_that_was_cut_off_is_incomplete(
    questions: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = json.loads(completion(GOOD))
    whole["choices"][0]["finish_reason"] = "length"
    with JudgeServer(lambda messages: "") as server:
        server.always = lambda exchange: exchange.send(200, json.dumps(whole).encode())
        words = [f"base_url={server.base_url}", "model=judge", "samples=2"]
        assert run(monkeypatch, questions, tmp_path / "out.jsonl", *words) == 0
    assert "0 kept, 6 incomplete" in capsys.readouterr().out


def test_a_server_that_refuses_ends_the_job_and_what_is_there_stays(
    questions: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with JudgeServer(lambda messages: GOOD) as server:
        server.always = status(401)
        words = [f"base_url={server.base_url}", "model=judge", "retries=0"]
        assert run(monkeypatch, questions, tmp_path / "out.jsonl", *words) == 2
    assert f"error: base_url={server.base_url}: HTTP 401" in capsys.readouterr().err


PROGRAM = {
    "task_id": "p/1",
    "prompt": 'def twice(x):\n    """Doubled."""\n',
    "entry_point": "twice",
    "test": "def check(candidate):\n    assert candidate(2) == 4\n    assert candidate(0) == 0\n",
}


def test_programs_are_kept_that_pass_all_their_tests_in_the_sandbox(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    questions, out = tmp_path / "programs.jsonl", tmp_path / "out.jsonl"
    questions.write_text(json.dumps(PROGRAM) + "\n")
    right = "Add.\n\n```python\ndef twice(x):\n    y = x\n\n    return x + y\n```"
    texts = ["```python\ndef twice(x): return 4\n```", "return 2 * x", right]
    with JudgeServer(lambda messages: texts.pop(0)) as server:
        words = ["task.kind=code", f"base_url={server.base_url}", "model=judge", "concurrency=1"]
        assert run(monkeypatch, questions, out, *words) == 0
    assert list(read_rows(out)) == [{**PROGRAM, "id": "p/1", "solution": right, "solution_by": "judge"}]
    assert run(monkeypatch, out, tmp_path / "again.jsonl", "task.kind=code") == 0
    assert [row["solution"] for row in read_rows(tmp_path / "again.jsonl")] == [right], "what is written can be read"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["sampels=3"], "sampels: unknown key; did you mean samples?"),
        (["samples=0"], "samples=0: input should be greater than or equal to 1"),
        (["model=judge"], "base_url and model belong together"),
        (["task.kind=arithmetic"], "task.kind=arithmetic: its rows take no solution to be guided by"),
        (["task.kind=verifier"], "task.kind=verifier: its rows take no solution to be guided by"),
    ],
)
def test_wrong_words_are_answered_with_how_to_mend_them(
    words: list[str], message: str, questions: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    assert run(monkeypatch, questions, tmp_path / "out.jsonl", *words) == 2
    assert message in capsys.readouterr().err


def test_missing_files_and_folders_are_named(
    questions: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, tmp_path / "none.jsonl", tmp_path / "out.jsonl") == 2
    assert run(monkeypatch, questions, tmp_path / "nowhere" / "out.jsonl") == 2
    err = capsys.readouterr().err
    assert "there is no such file" in err and "there is no such folder" in err
