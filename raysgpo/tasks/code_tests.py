"""Tests of a program, as rows of data sets have them: asserts on its functions, or standard input and expected output.

HumanEval          def check(candidate):              each statement of it that asserts is a test
MBPP               ["assert f(2) == 4", ...]          each assert is a test
LiveCodeBench      [{"input": "3\\n", "output": "9\\n"}, ...]
"""

from __future__ import annotations

import ast
import base64
import builtins
import json
import pickle
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from raysgpo.sandbox.running import Tests
from raysgpo.tasks.code_text import parsed

CHECK = "check"
"""The function that HumanEval's tests are in."""
SHOWN = 4000
"""Characters of tests that a judge is shown."""


@dataclass(frozen=True, slots=True)
class Pair:
    """One standard input, and what is to be printed."""

    input: str
    output: str


@dataclass(frozen=True, slots=True)
class CodeTests:
    """What a program is graded by: ``asserts`` or ``pairs``."""

    asserts: Tests | None = None
    entry_point: str | None = None
    """The function that is asked for."""
    pairs: tuple[Pair, ...] = ()

    @property
    def before(self) -> str:
        """Python that stands before a program."""
        return "" if self.asserts is None else self.asserts.before

    @property
    def count(self) -> int:
        return len(self.pairs) if self.asserts is None else self.asserts.count

    def text(self) -> str:
        """``Problem.answer``: all of it, as JSON."""
        return json.dumps(asdict(self), ensure_ascii=False)

    @classmethod
    def of(cls, text: str) -> CodeTests:
        row = json.loads(text)
        given = row["asserts"]
        pairs = tuple(Pair(**one) for one in row["pairs"])
        if given is None:
            return cls(pairs=pairs)
        statements = tuple((bool(is_test), source) for is_test, source in given["statements"])
        asserts = Tests(statements, tuple(given["called"]), given["before"], given["aliases"])
        return cls(asserts, row["entry_point"])


def read_tests(given: Any, entry_point: str | None, question: str, before: str = "") -> CodeTests:
    """The tests of a row; Python of the question, such as a signature and helpers, runs before asserts.

    Raises:
        ValueError: they do not parse, or test nothing; without the row's place.
    """
    if isinstance(given, str) and given.lstrip()[:1] in "[{":
        given = _json(given)
    if isinstance(given, dict):
        given = _columns(given)
    if isinstance(given, list) and given and all(isinstance(one, dict) for one in given):
        return CodeTests(pairs=tuple(_pair(one) for one in given))
    if isinstance(given, list) and given and all(isinstance(one, str) for one in given):
        given = "\n".join(given)
    if not isinstance(given, str) or not given.strip():
        raise ValueError("tests are Python with asserts, a list of asserts, or a list of {input, output}")
    helpers = question if _is_python(question) else ""
    return _asserts(given, entry_point, "\n".join(part for part in (before, helpers) if part))


def unpacked(text: str) -> Any:
    """LiveCodeBench's private tests: JSON, or what it packs to spare room (zlib of a pickled text, in base 64).

    Raises:
        ValueError: neither.
    """
    try:
        return json.loads(text)
    except ValueError:
        pass
    try:
        return json.loads(_Text(zlib.decompress(base64.b64decode(text))).text())
    except Exception as error:  # whatever a file of the user's makes the three raise
        raise ValueError(f"private_test_cases: neither JSON nor packed as LiveCodeBench does ({error})") from None


def shown(tests: CodeTests) -> str:
    """The tests as a judge reads them, the first of them where they are long."""
    parts = [source for _, source in tests.asserts.statements] if tests.asserts is not None else []
    parts += [f"input:\n{pair.input.rstrip()}\noutput:\n{pair.output.rstrip()}\n" for pair in tests.pairs]
    text = "\n".join(parts)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}\n... ({tests.count} tests in all)"


class _Text:
    """A pickle that may hold a text and nothing else: others can run anything."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def text(self) -> str:
        import io

        class Plain(pickle.Unpickler):
            def find_class(self, module: str, name: str) -> Any:
                raise pickle.UnpicklingError(f"it names {module}.{name}")

        return str(Plain(io.BytesIO(self._data)).load())


def _is_python(question: str) -> bool:
    """Whether a question is a signature with what stands before it, and not words that happen to parse."""
    tree = parsed(question)
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom, ast.Assign, ast.Expr)
    defines = (ast.FunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom)
    return (
        tree is not None
        and all(isinstance(one, kinds) for one in tree.body)
        and any(isinstance(one, defines) for one in tree.body)
        and all(isinstance(one.value, ast.Constant) for one in tree.body if isinstance(one, ast.Expr))
    )


def _json(text: str) -> Any:
    """A list or an object in JSON; other text, such as Python, as it is."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def _columns(given: dict[str, Any]) -> list[dict[str, Any]]:
    """{"inputs": [...], "outputs": [...]} as pairs."""
    inputs, outputs = given.get("inputs"), given.get("outputs")
    if given.get("fn_name") or not isinstance(inputs, list) or not isinstance(outputs, list):
        raise ValueError("tests of a function are asserts; those of a program are {inputs, outputs} or {input, output}")
    if len(inputs) != len(outputs):
        raise ValueError(f"tests have {len(inputs)} inputs and {len(outputs)} outputs")
    return [{"input": one, "output": other} for one, other in zip(inputs, outputs, strict=True)]


def _pair(given: dict[str, Any]) -> Pair:
    kind = given.get("testtype", "stdin")
    if kind != "stdin":
        raise ValueError(f"a test of type {kind}: tests of a function are asserts")
    if not isinstance(given.get("input"), str) or not isinstance(given.get("output"), str):
        raise ValueError("a test has input and output, both text")
    return Pair(given["input"], given["output"])


def _asserts(source: str, entry_point: str | None, before: str) -> CodeTests:
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError) as error:
        raise ValueError(f"tests do not parse: {error}") from None
    check = next((one for one in tree.body if isinstance(one, ast.FunctionDef) and one.name == CHECK), None)
    aliases: dict[str, str] = {}
    if check is None:
        body = tree.body
    elif len(check.args.args) == 1 and not _leaves(check):
        if entry_point is None:
            raise ValueError("tests with check(candidate) need entry_point, the function's name")
        aliases = {check.args.args[0].arg: entry_point}
        body = [one for one in tree.body if one is not check and not _runs(one, tree)] + check.body
    else:
        raise ValueError("check is to take one argument and to end at its end")
    statements = tuple((_is_test(one), ast.unparse(one)) for one in body)
    if not any(is_test for is_test, _ in statements):
        raise ValueError("tests assert nothing about the program")
    called = _called(body, before, entry_point, set(aliases))
    if not called:
        raise ValueError("tests call no function that the program is to have")
    tests = Tests(statements, called, before, aliases)
    return CodeTests(tests, entry_point or (called[0] if len(called) == 1 else None))


def _is_test(statement: ast.stmt) -> bool:
    """Whether an assert in it speaks of anything: ``assert True`` is no test, and would be passed by every program."""
    return any(
        isinstance(one, ast.Assert) and any(isinstance(part, ast.Name) for part in ast.walk(one.test))
        for one in ast.walk(statement)
    )


def _leaves(check: ast.FunctionDef) -> bool:
    return any(isinstance(one, ast.Return | ast.Yield | ast.YieldFrom | ast.Nonlocal) for one in _within(check.body))


def _within(body: Sequence[ast.AST]) -> Iterator[ast.AST]:
    """All nodes, less those of inner functions."""
    for one in body:
        yield one
        if not isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef):
            yield from _within(list(ast.iter_child_nodes(one)))


def _runs(statement: ast.stmt, tree: ast.Module) -> bool:
    """Whether all that it does is to call the tests, or to define what does."""
    if isinstance(statement, ast.FunctionDef):
        return all(isinstance(one, ast.Expr) and _calls(one, {CHECK}) for one in statement.body)
    runners = {CHECK} | {one.name for one in tree.body if isinstance(one, ast.FunctionDef) and _runs(one, tree)}
    return isinstance(statement, ast.Expr) and _calls(statement, runners)


def _calls(statement: ast.Expr, names: set[str]) -> bool:
    call = statement.value
    return isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in names


def _called(body: Sequence[ast.stmt], before: str, entry_point: str | None, aliases: set[str]) -> tuple[str, ...]:
    """The entry point, and whatever else the tests read and nobody but the program defines."""
    stored, loaded = set(aliases), []
    for one in (*ast.walk(ast.parse(before)), *(part for statement in body for part in ast.walk(statement))):
        if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            stored.add(one.name)
        elif isinstance(one, ast.arg):
            stored.add(one.arg)
        elif isinstance(one, ast.alias):
            stored.add((one.asname or one.name).partition(".")[0])
        elif isinstance(one, ast.ExceptHandler) and one.name:
            stored.add(one.name)
        elif isinstance(one, ast.Name) and not isinstance(one.ctx, ast.Load):
            stored.add(one.id)
    for statement in body:
        loaded += [one.id for one in ast.walk(statement) if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Load)]
    free = [name for name in dict.fromkeys(loaded) if name not in stored and not hasattr(builtins, name)]
    return tuple(dict.fromkeys([entry_point, *free] if entry_point else free))
