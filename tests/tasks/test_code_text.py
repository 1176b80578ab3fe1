"""Which part of a response is its program, and what is run of it."""

from __future__ import annotations

import pytest

from raysgpo.tasks.code_program import complete_program
from raysgpo.tasks.code_text import fences, is_fenced, program_of


def fenced(code: str, word: str = "python", marks: str = "```") -> str:
    return f"{marks}{word}\n{code}\n{marks}"


@pytest.mark.parametrize(
    ("text", "program"),
    [
        (fenced("a = 1"), "a = 1\n"),
        (f"So:\n\n{fenced('a = 1')}\n\nIt is right.", "a = 1\n"),
        (fenced("a = 1") + "\nBetter:\n" + fenced("a = 2"), "a = 2\n"),
        (fenced("a = 1") + "\nIt prints:\n" + fenced("1", ""), "a = 1\n"),
        (fenced("a = 1", "") + "\n" + fenced("a = 2", ""), "a = 2\n"),
        (fenced("a = 1") + "\n" + fenced("ls", "bash"), "a = 1\n"),
        (fenced("a = 1", "Python") + " ", "a = 1\n"),
        (fenced("a = 1", "py", "~~~~"), "a = 1\n"),
        (fenced("x = '```'", "python", "````"), "x = '```'\n"),
        ("a = 1", "a = 1"),
        (f"<think>{fenced('a = 0')}</think>{fenced('a = 1')}", "a = 1\n"),
        (f"{fenced('a = 0')}</think>a = 1", "a = 1"),
        (f"<think>{fenced('a = 0')}", None),
        (f"{fenced('a = 0')}\n```python\na = ", None),
        (fenced("ls", "bash"), None),
        ("", None),
        (" \n", None),
    ],
)
def test_the_last_complete_fence_of_python_behind_the_thinking_is_the_program(text: str, program: str | None) -> None:
    assert program_of(text) == program


def test_a_fence_is_found_with_what_it_is_called() -> None:
    text = "a\n```py\nb\n```\n~~~\nc"
    assert [(word, text[start:end], closed) for word, (start, end), closed in fences(text)] == [
        ("py", "b\n", True), ("", "c", False),
    ]  # fmt: skip
    assert (
        is_fenced(fenced("a"))
        and not is_fenced("a")
        and not is_fenced((fenced("a") + "\n") * 2)
        and not is_fenced(fenced("a", ""))
    )


BEFORE = 'import math\n\n\ndef f(x):\n    """Twice x."""\n'


@pytest.mark.parametrize(
    ("code", "program"),
    [
        ("def f(x): return 2 * x", f"{BEFORE}\ndef f(x): return 2 * x"),
        ("f = lambda x: 2 * x", f"{BEFORE}\nf = lambda x: 2 * x"),
        ("from operator import neg as f", f"{BEFORE}\nfrom operator import neg as f"),
        ("if True:\n    def f(x): return 2", f"{BEFORE}\nif True:\n    def f(x): return 2"),
        ("    return 2 * x\n", f"{BEFORE}    return 2 * x\n"),
        ("    y = 2\n    return y * x\n\ndef g(): pass\n", f"{BEFORE}    y = 2\n    return y * x\n\ndef g(): pass\n"),
        ("    pass\n", None),
        ("    '''Nothing.'''\n", None),
        ("    return (", None),
        ("return 2 * x", None),
        ("def g(x): return 2 * x", None),
        ("I do not know.", None),
        ("print(1)", None),
    ],
)
def test_a_program_defines_what_is_asked_for_or_goes_on_where_the_question_ends(code: str, program: str | None) -> None:
    assert complete_program(code, BEFORE, "f") == program


def test_a_signature_alone_is_no_answer() -> None:
    """Its function gives None, which some tests expect."""
    assert complete_program(fenced("# nothing"), BEFORE, "f") is None
    assert complete_program(fenced("x = 1"), "", None) == "x = 1\n"
    assert complete_program(fenced(""), "", None) is None and complete_program("no program.", "", None) is None
