"""Files of groups, written by hand."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

Row = dict[str, Any]


def response(text: str = "3+4=8\n#### 8", correct: bool = False, **more: Any) -> Row:
    """The least that a response must say."""
    return {"text": text, "correct": correct, "finish_reason": "stop", **more}


def group(*rollouts: Row, **more: Any) -> Row:
    """The least that a group must say: two wrong answers, unless others are given."""
    answers = list(rollouts) or [response(), response("#### 1")]
    return {"prompt_id": "sum", "prompt": "3+4=?", "answer": "7", "rollouts": answers, **more}


@pytest.fixture
def file(tmp_path: Path) -> Callable[..., str]:
    """``file(row, ...)``: the path of a file of these rows; text stands as it is."""

    def write(*rows: Row | str) -> str:
        path = tmp_path / "groups.jsonl"
        lines: Sequence[str] = [row if isinstance(row, str) else json.dumps(row) for row in rows]
        path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        return str(path)

    return write
