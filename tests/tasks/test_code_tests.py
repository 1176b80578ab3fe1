"""Tests as data sets have them: what each form is read as, and what is refused."""

from __future__ import annotations

import base64
import json
import pickle
import zlib
from typing import Any

import pytest

from raysgpo.tasks.code_tests import SHOWN, CodeTests, Pair, read_tests, shown, unpacked

HUMAN_EVAL = """
METADATA = {'author': 'x'}

def check(candidate):
    import math
    assert candidate(2) == 4, "two"
    for x in range(3):
        assert math.isclose(candidate(x), 2 * x)
    assert True, "This prints if this assert fails"
    assert candidate(half(8)) == 8
"""
QUESTION = 'from typing import List\n\ndef half(x):\n    return x / 2\n\ndef f(x):\n    """Twice."""\n'


def test_each_statement_of_check_that_asserts_is_a_test() -> None:
    tests = read_tests(HUMAN_EVAL, "f", QUESTION)
    assert tests.asserts is not None
    assert [is_test for is_test, _ in tests.asserts.statements] == [False, False, True, True, False, True]
    assert (tests.count, tests.entry_point, tests.asserts.called) == (3, "f", ("f",))
    assert tests.asserts.aliases == {"candidate": "f"} and tests.before == QUESTION
    assert CodeTests.of(tests.text()) == tests


def test_what_runs_the_tests_is_left_out() -> None:
    source = "def check(candidate):\n    assert candidate(2) == 4\n\ndef test_check():\n    check(f)\n\ntest_check()\n"
    tests = read_tests(source, "f", "Write f.")
    assert tests.asserts is not None
    assert tests.asserts.statements == ((True, "assert candidate(2) == 4"),) and tests.before == ""


def test_asserts_name_what_they_call_by_themselves() -> None:
    tests = read_tests(
        ["assert g(2) == math.sqrt(16)", "assert set(g(x) for x in (1,)) == {2}"], None, "Twice.", "import math"
    )
    assert tests.asserts is not None
    assert (tests.entry_point, tests.asserts.called, tests.before) == ("g", ("g",), "import math")
    both = read_tests("p = Pair(1)\nassert f(p) == 1", None, "?")
    assert both.asserts is not None and both.asserts.called == ("Pair", "f") and both.entry_point is None


@pytest.mark.parametrize(
    "given",
    [
        [{"input": "2\n", "output": "4\n"}],
        [{"input": "2\n", "output": "4\n", "testtype": "stdin"}],
        json.dumps([{"input": "2\n", "output": "4\n", "testtype": "stdin"}]),
        {"inputs": ["2\n"], "outputs": ["4\n"]},
        json.dumps({"inputs": ["2\n"], "outputs": ["4\n"]}),
    ],
)
def test_pairs_of_input_and_output(given: Any) -> None:
    tests = read_tests(given, None, "Twice.")
    assert tests == CodeTests(pairs=(Pair("2\n", "4\n"),)) == CodeTests.of(tests.text()) and tests.count == 1


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("assert f(", "tests do not parse: '(' was never closed"),
        ("f(2)", "tests assert nothing"),
        ("assert True\nassert 1 == 1", "tests assert nothing"),
        ("assert len('a') == 1", "call no function that the program is to have"),
        ("def check(candidate):\n    assert candidate(1)", "need entry_point"),
        ("def check(candidate, x):\n    assert candidate(1)", "check is to take one argument"),
        (
            "def check(candidate):\n    if candidate(1): return\n    assert candidate(2)",
            "check is to take one argument",
        ),
        ([{"input": 1, "output": "2"}], "input and output, both text"),
        ([{"input": "1", "output": "2", "testtype": "functional"}], "of type functional"),
        ({"inputs": ["1"], "outputs": []}, "1 inputs and 0 outputs"),
        ({"inputs": [[1]], "outputs": [1], "fn_name": "f"}, "tests of a function are asserts"),
        ([], "tests are Python with asserts"),
        (7, "tests are Python with asserts"),
        (["assert f(1)", {}], "tests are Python with asserts"),
    ],
)
def test_what_tests_nothing_is_refused(given: Any, said: str) -> None:
    entry = None if "candidate(1)" in str(given) and "," not in str(given) and "if" not in str(given) else "f"
    with pytest.raises(ValueError, match=said.replace("(", r"\(").replace(")", r"\)")):
        read_tests(given, None if "call no function" in said else entry, "Twice.")


def test_packed_tests_are_unpacked_and_a_pickle_that_is_more_than_text_is_not() -> None:
    rows = [{"input": "1", "output": "2"}]

    def pack(value: object) -> str:
        return base64.b64encode(zlib.compress(pickle.dumps(value))).decode()

    assert unpacked(json.dumps(rows)) == unpacked(pack(json.dumps(rows))) == rows
    with pytest.raises(ValueError, match=r"it names builtins\.print"):
        unpacked(pack(print))
    with pytest.raises(ValueError, match="neither JSON nor packed"):
        unpacked("!")


def test_a_judge_is_shown_tests_up_to_a_length() -> None:
    assert (
        shown(read_tests(["assert f(1) == 2", "assert f(2) == 4"], None, "?")) == "assert f(1) == 2\nassert f(2) == 4"
    )
    assert shown(read_tests([{"input": "2\n", "output": "4\n"}], None, "?")) == "input:\n2\noutput:\n4\n"
    long = shown(read_tests([f"assert f({n}) == {n}" for n in range(1000)], None, "?"))
    assert len(long) < SHOWN + 40 and long.endswith("... (1000 tests in all)")
