"""From what a response says to the program that is run."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from raysgpo.tasks.code_text import parsed, program_of


def complete_program(text: str, before: str = "", entry_point: str | None = None) -> str | None:
    """The whole program of a response; None where there is none, which is wrong without being run.

    ``before``: Python that stands before it, such as imports, helpers and the signature that the question gives. Code
    that does not define ``entry_point`` may go on where that ends, as HumanEval's solutions do. A signature alone is no
    answer: its empty function would pass some tests.
    """
    code = program_of(text)
    if code is None:
        return None
    tree = parsed(code)
    if tree is not None and tree.body and (entry_point is None or entry_point in _defined(tree)):
        return f"{before}\n{code}" if before else code
    if entry_point is None:
        return None
    whole = before + code
    tree = parsed(whole) if before else None
    return whole if tree is not None and _has_body(tree, entry_point) else None


def _defined(tree: ast.Module) -> Iterator[str]:
    """Names that its top level gives a value to."""
    for one in tree.body:
        for part in ast.walk(one) if not isinstance(one, ast.FunctionDef | ast.ClassDef) else [one]:
            if isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                yield part.name
            elif isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store):
                yield part.id
            elif isinstance(part, ast.alias):
                yield (part.asname or part.name).partition(".")[0]


def _has_body(tree: ast.Module, name: str) -> bool:
    """Whether the function does more than to be described."""
    functions = [one for one in tree.body if isinstance(one, ast.FunctionDef) and one.name == name]
    return bool(functions) and any(
        not (isinstance(one, ast.Pass) or (isinstance(one, ast.Expr) and isinstance(one.value, ast.Constant)))
        for one in functions[-1].body
    )
