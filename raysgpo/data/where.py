"""Which rows are read: ``task.where``, an expression on their fields.

``simpleeval`` works it out: comparisons, ``and``, ``or``, ``not``, ``in``, arithmetic, ``len`` and the methods of
texts, and nothing that reaches beyond the row.
"""

from __future__ import annotations

import ast
from collections.abc import Collection
from typing import Any

from simpleeval import EvalWithCompoundTypes

from raysgpo.data.columns import nearest

FUNCTIONS = {"len": len, "int": int, "float": float, "str": str, "abs": abs, "min": min, "max": max}


class Where:
    """A question to each row.

    ``Where("1997 <= year <= 2023").keeps({"year": 1996}, "rows.jsonl, row 7")`` is False.
    """

    def __init__(self, text: str, setting: str = "task.where") -> None:
        """Raises ValueError if it is no expression."""
        self.setting, self.named = setting, f"{setting}={text}"
        self._text = text
        self._evaluator: Any = EvalWithCompoundTypes(functions=dict(FUNCTIONS))
        try:
            self._tree = ast.parse(text.strip(), mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            why = getattr(error, "msg", None) or error
            raise ValueError(f"{self.named}: no expression ({why}); write one as in 1997 <= year <= 2023") from None
        self.names = _names(self._tree)
        unknown = sorted(_called(self._tree) - set(FUNCTIONS))
        if unknown:
            raise ValueError(f"{self.named}: no such function {unknown[0]}; there are {', '.join(FUNCTIONS)}")

    def check_names(self, known: Collection[str], name: str) -> None:
        """Raises ValueError for a field that no row has."""
        for field in sorted(self.names - set(known)):
            raise ValueError(f"{self.named}: no row of {name} has a field {field}{nearest(field, [*known])}")

    def keeps(self, row: dict[str, Any], where: str) -> bool:
        """Whether the row is read. A field that the row lacks is None.

        Raises:
            ValueError: it cannot be worked out for this row; the message names the row and what stands there.
        """
        self._evaluator.names = {"True": True, "False": False, "None": None} | dict.fromkeys(self.names) | row
        try:
            return bool(self._evaluator.eval(self._text, previously_parsed=self._tree))
        except Exception as error:  # whatever values do with each other
            shown = ", ".join(f"{name} is {_shown(row.get(name))}" for name in sorted(self.names))
            raise ValueError(f"{where}: {self.named}: {_told(error)} ({shown})") from None


def _names(tree: ast.AST) -> set[str]:
    """The fields that the expression asks for: its names, less functions and what a comprehension binds."""
    named = [node for node in ast.walk(tree) if isinstance(node, ast.Name)]
    called = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    bound = {node.id for node in named if isinstance(node.ctx, ast.Store)}
    return {node.id for node in named if id(node) not in called} - bound


def _called(tree: ast.AST) -> set[str]:
    calls = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return {function.id for function in calls if isinstance(function, ast.Name)}


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


def _told(error: Exception) -> str:
    said = " ".join(str(error).split()) or type(error).__name__
    return said[0].lower() + said[1:200]
