"""Code of the user's is found, hashed, sent as source and imported elsewhere; what is wrong with it is one line."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest

from raysgpo.user_code.code import UserCode, clash, find, names_user_code
from raysgpo.user_code.shipped import Shipped

ROOT = Path(__file__).parents[2]
MAIN = """
import json
from beside import WEIGHT

class Judge:
    def __init__(self, word):
        self.word = word
    def __call__(self, text):
        import deep.inner
        return WEIGHT * deep.inner.count(text, self.word)

def fails(text):
    return json.loads(text)
"""
ELSEWHERE = """
import pickle, sys
shipped = pickle.loads(sys.stdin.buffer.read())
print(shipped("a b a"), shipped.code.value().__module__.rpartition("_")[0])
"""


@pytest.fixture
def mine(tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "mine.py").write_text(MAIN)
    (tmp_path / "beside.py").write_text("WEIGHT = 10\n")
    (tmp_path / "unused.py").write_text("raise AssertionError('nobody imports it')\n")
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "inner.py").write_text("def count(text, word):\n    return text.count(word)\n")
    yield tmp_path
    for name in ("beside", "deep", "deep.inner"):
        sys.modules.pop(name, None)


def imported(code: UserCode) -> str:
    """The line that says why it cannot be."""
    with pytest.raises(ValueError) as caught:
        code.value()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_an_object_of_a_users_class_goes_to_a_process_that_sees_no_file_of_it(mine: Path, tmp_path: Path) -> None:
    code = find(f"{mine}/mine.py:Judge")
    assert sorted(code.sources) == sorted([code.module, "beside", "deep", "deep.inner"])
    shipped = Shipped(code, code.value()("a"))  # type: ignore[operator]
    assert shipped("a b a") == 20
    sent = pickle.dumps(shipped)
    for file in sorted(mine.rglob("*.py")):
        file.unlink()
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    line = [sys.executable, "-c", ELSEWHERE]
    result = subprocess.run(line, input=sent, capture_output=True, timeout=60, cwd="/", env=environment)
    assert result.stdout.decode() == "20 mine\n", result.stderr.decode()


def test_a_traceback_has_the_users_file_and_line_though_the_file_is_gone(mine: Path) -> None:
    code = find(f"{mine}/mine.py:fails")
    function = code.value()
    (mine / "mine.py").unlink()
    with pytest.raises(ValueError) as caught:
        function("{")  # type: ignore[operator]
    text = "".join(traceback.format_exception(caught.value))
    assert f'File "{mine}/mine.py", line 13, in fails\n    return json.loads(text)' in text


def test_the_hash_is_of_all_that_is_sent_and_of_nothing_else(mine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = find(f"{mine}/mine.py:Judge")
    (mine / "unused.py").write_text("")
    monkeypatch.chdir(mine)
    assert find("mine.py:Judge") == find("./mine.py:Judge") == before
    (mine / "deep" / "inner.py").write_text("def count(text, word):\n    return 7\n")
    after = find("mine.py:Judge")
    assert after.sha256 != before.sha256 and after.module != before.module
    assert after.value()("a")("b") == 70, "an edit is seen in the same process"  # type: ignore[operator]


def test_a_module_of_the_working_folder_is_sent_and_an_installed_one_is_not(
    mine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (mine / "pack").mkdir()
    (mine / "pack" / "__init__.py").write_text("from .numbers import SEVEN\n")
    (mine / "pack" / "numbers.py").write_text("SEVEN = 7\ndef f():\n    from . import SEVEN\n    return SEVEN\n")
    monkeypatch.chdir(mine)
    try:
        code = find("pack.numbers:f")
        assert sorted(code.sources) == ["pack", "pack.numbers"] and code.value()() == 7  # type: ignore[operator]
    finally:
        for name in ("pack", "pack.numbers"):
            sys.modules.pop(name, None)
    installed = find("pydantic.main:BaseModel")
    assert installed.sources == {} and len(installed.sha256) == 64
    assert find("raysgpo.tasks.math:MathTask").sources == {}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("mine.py", "write FILE.py:NAME or package.module:NAME"),
        ("mine.py:", "write FILE.py:NAME or package.module:NAME"),
        ("string.py:f", "/string.py:f: processes started here would take it for Python's own string: call it otherw"),
        ("mime.py:Judge", "/mime.py:Judge: there is no such file; did you mean mine.py?"),
        ("nowhere.at.all:f", "nowhere.at.all:f: it does not import: ModuleNotFoundError: No module named 'nowhere'"),
        ("nowhere:f", "nowhere:f: there is no module nowhere, neither here ("),
    ],
)
def test_what_is_not_there_is_named(given: str, said: str, mine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (mine / "string.py").write_text("def f(text): return 1\n")
    monkeypatch.chdir(mine)
    with pytest.raises(ValueError) as caught:
        find(given)
    assert said in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import numpyy\n", "it does not import: ModuleNotFoundError: No module named 'numpyy' (wrong.py, line 1)"),
        ("\ndef f(:\n", "it does not import: SyntaxError: invalid syntax (wrong.py, line 2)"),
        ("import sys\nsys.exit('no')\n", "it does not import: SystemExit: no (wrong.py, line 2)"),
        ("def g(): ...\n", "there is no f in it"),
        ("def ff(): ...\n", "there is no f in it; did you mean ff?"),
    ],
)
def test_a_file_that_does_not_import_says_where(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "wrong.py").write_text(text)
    assert imported(find(f"{tmp_path}/wrong.py:f")) == f"{tmp_path}/wrong.py:f: {said}"


def test_two_modules_of_one_name_are_told_apart_or_refused(
    mine: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = tmp_path_factory.mktemp("other")
    (other / "mine.py").write_text("def Judge(): return 'other'\n")
    first, second = find(f"{mine}/mine.py:Judge"), find(f"{other}/mine.py:Judge")
    assert isinstance(first.value(), type) and second.value()() == "other"  # type: ignore[operator]
    assert clash(first, second) is None
    (other / "beside.py").write_text("")
    (other / "mine.py").write_text("import beside\n")
    assert clash(first, find(f"{other}/mine.py:x")) == (
        f"{mine}/beside.py and {other}/beside.py are both imported as beside, and differ: rename one of them"
    )
    (other / "mine.py").write_text("import hypothesis\n")
    (other / "hypothesis.py").write_text("")
    import hypothesis

    assert f"another module is called hypothesis already ({hypothesis.__file__}): rename it" in imported(
        find(f"{other}/mine.py:x")
    )


def test_words_that_name_code() -> None:
    named = ["mine.py:f", "a/mine.py:f", "pack.mod:f", "mine.py", "folder/x"]
    assert [names_user_code(word) for word in [*named, "math", "arithmetic_verifier"]] == [True] * 5 + [False] * 2
