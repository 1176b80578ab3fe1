"""Rows of a user's file: what a run could not write down again is refused with its row, before it starts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from raysgpo.config import TaskConfig
from raysgpo.data.input_rows import input_rows
from raysgpo.tasks.math import read_problems
from raysgpo.tasks.verifier import VerifierTask

FIRST = '{"question": "1+1?", "answer": "2"}\n'


def written(folder: Path, *lines: str) -> str:
    path = folder / "rows.jsonl"
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return str(path)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"question": "a \\ud83d b", "answer": "5"}', "question: it holds half of a surrogate pair"),
        ('{"question": "q", "answer": "18\\udc00"}', "answer: it holds half of a surrogate pair"),
        ('{"question": "q", "answer": "1", "note": {"a": ["\\ud800"]}}', "note: it holds half of a surrogate pair"),
        ('{"question": "q", "answer": "1", "\\ud800": 1}', r"\\ud800: it holds half of a surrogate pair"),
        (
            '{"question": "q", "answer": %s}' % ("7" * 5000),
            r"answer: it holds a number .* \(as text, in quotes, it may\); mend it",
        ),
        ('{"question": "q", "answer": "1", "n": [%s]}' % ("7" * 5000), "n: it holds a number .* too many digits"),
        ('{"question": "q", "answer": "1", "loss": 1e999}', "loss: it holds a number that is not finite"),
        ('{"question": "q", "answer": "1", "loss": -Infinity}', "loss: it holds a number that is not finite"),
        ('{"question": "q", "answer": NaN}', "no answer: add the field 'answer' or remove the row"),
        ('{"question": NaN, "answer": "1"}', "no question: add the field"),
        ("[" * 100_000, "not JSON"),
    ],
)
def test_what_cannot_be_written_down_again_is_refused_with_its_row(line: str, message: str, tmp_path: Path) -> None:
    path = written(tmp_path, FIRST.strip(), line)
    with pytest.raises(ValueError, match=f"^task.path={path}, row 2: {message}"):
        read_problems(TaskConfig(kind="math", path=path))


def test_nan_stands_for_nothing(tmp_path: Path) -> None:
    path = written(tmp_path, '{"question": "q", "answer": "1", "solution": NaN, "id": NaN, "pass_rate": NaN}')
    (problem,) = read_problems(TaskConfig(kind="math", path=path))
    assert (problem.id, problem.reference, problem.metadata) == ("row-1", None, {"pass_rate": None})
    pair = '{"question": "q", "solution_a": "1", "correct_a": true, "solution_b": NaN, "correct_b": NaN, "rate": NaN}'
    task = VerifierTask(TaskConfig(kind="verifier", path=written(tmp_path, pair)), held_out=0)
    assert task.train[0].metadata == {"rate": None, "category": "single_correct"}


def test_large_numbers_and_whole_pairs_are_carried_through(tmp_path: Path) -> None:
    path = written(tmp_path, f'{{"question": "\\ud83d\\ude00", "answer": {"7" * 400}, "n": {"9" * 4000}}}')
    (problem,) = read_problems(TaskConfig(kind="math", path=path))
    assert problem.prompt.startswith("\U0001f600") and problem.answer == "7" * 400
    assert json.loads(json.dumps(problem.metadata)) == {"n": int("9" * 4000)}


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, FIRST)

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(ValueError, match=r"^mine=.*: it cannot be read \(Permission denied\)"):
        list(input_rows(path, f"mine={path}"))
