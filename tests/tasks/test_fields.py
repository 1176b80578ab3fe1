"""The fields of a row: texts, and questions that are chats."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from raysgpo.config import TaskConfig
from raysgpo.records import Problem
from raysgpo.tasks.fields import asked
from raysgpo.tasks.math import INSTRUCTION, MathTask


def said(role: str, content: Any) -> dict[str, Any]:
    return {"role": role, "content": content}


def test_a_question_may_be_a_chat_whose_last_turn_is_asked(tmp_path: Path) -> None:
    chat = [said("system", "S"), said("user", "1+1?"), said("assistant", "2"), said("user", "And 2+2?")]
    rows = [{"question": chat, "answer": 4}, {"question": [said("user", "And 2+2?")], "answer": "4"}]
    path = tmp_path / "t.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    task = MathTask(TaskConfig(kind="math", path=str(path)), held_out=0)
    assert task.train == (
        Problem("row-1", "And 2+2?" + INSTRUCTION, "4", turns=(("system", "S"), ("user", "1+1?"), ("assistant", "2"))),
        Problem("row-2", "And 2+2?" + INSTRUCTION, "4"),
    ), "what was said before makes it another question"


def test_texts_of_a_message_in_parts_are_joined() -> None:
    parts = [{"type": "text", "text": "1+"}, {"type": "text", "text": "1?"}]
    assert asked({"question": [said("user", parts)]}, "question", "f") == ((), "1+1?")


@pytest.mark.parametrize(
    ("question", "message"),
    [
        ([], "question is an empty list: a question ends with what the user says"),
        ([said("user", "x"), said("assistant", "5")], "question ends with the assistant: a question ends with what"),
        ([said("user", "x"), said("system", "s"), said("user", "y")], "message 2: a system message stands first"),
        (
            [said("tool", "x")],
            "message 1: role is 'tool': write messages of role (system, user, assistant) and",
        ),
        (["x"], "message 1: role is 'str'"),
        ([said("user", "")], "message 1: content is empty where text was expected"),
        ([said("user", None)], "message 1: content is NoneType where text was expected"),
        ([said("user", [{"type": "image"}])], "message 1: a part is 'image', and only text is read"),
        ({"role": "user"}, "question is dict where text was expected"),
    ],
)
def test_what_is_no_chat_is_named(question: Any, message: str) -> None:
    with pytest.raises(ValueError) as caught:
        asked({"question": question}, "question", "f, row 1")
    assert str(caught.value).startswith("f, row 1: ") and message in str(caught.value)


def test_turns_of_the_row_stand_behind_those_of_the_settings_and_its_system_turn_replaces_theirs() -> None:
    before = (("system", "Add."), ("user", "1+1?"), ("assistant", "2"))
    plain = Problem("a", "3?", "3")
    own = Problem("b", "3?", "3", turns=(("system", "Own."), ("user", "2?"), ("assistant", "2")))
    assert plain.chat(before) == (*before, ("user", "3?")) and plain.conversation == "3?"
    assert own.chat(before) == (
        ("system", "Own."), ("user", "1+1?"), ("assistant", "2"), ("user", "2?"), ("assistant", "2"), ("user", "3?")
    )  # fmt: skip
    assert own.conversation == "system: Own.\n\nuser: 2?\n\nassistant: 2\n\nuser: 3?"
