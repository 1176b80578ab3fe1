"""docs/one-batch.md leads through files that are there, few enough, and through calls that are made."""

from __future__ import annotations

import ast
import re
from itertools import pairwise
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "one-batch.md").read_text()
MOST_FILES = 15
MOST_CALLS = 10


def rows(heading: str) -> list[tuple[str, str]]:
    """(file, function) of each row of the table below a heading."""
    part = PAGE.partition(heading)[2].partition("\n## ")[0]
    return re.findall(r"^\| \d+ \| `([^`]+)` \| `([^`]+)` \|", part, re.MULTILINE)


def source(file: str, function: str) -> str:
    """The text of a function, wherever in the file it is defined."""
    text = (ROOT / file).read_text()
    found = [
        node
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == function
    ]
    assert found, f"{file} has no {function}"
    return "\n".join(ast.get_source_segment(text, node) or "" for node in found)


def test_a_batch_is_read_in_few_files_that_are_there() -> None:
    batch = rows("# One batch")
    assert 10 < len(batch) <= MOST_FILES
    assert len({file for file, _ in batch}) == len(batch)
    for file, function in batch:
        source(file, function)


def test_from_main_to_the_gradient_each_function_calls_the_next() -> None:
    chain = rows("## From the command to the gradient")
    assert (chain[0][1], len(chain) <= MOST_CALLS) == ("main", True)
    for (file, function), (next_file, callee) in pairwise(chain):
        # The thread and Ray Train are handed what they call where they are made.
        by = (ROOT / file).read_text() if file.endswith("thread.py") else source(file, function)
        assert re.search(rf"\b{callee}\b", by), f"{function} of {file} does not call {callee} of {next_file}"
    assert ".backward()" in source(*chain[-1])
    remote = [file for file, _ in chain if file.endswith("entry.py")]
    assert len(remote) == 1, "one call crosses a process"


def test_every_file_that_the_page_names_is_there() -> None:
    named = set(re.findall(r"`((?:raysgpo|jobs|tests)/[\w/]+\.py)`", PAGE))
    assert len(named) > MOST_FILES
    assert [name for name in sorted(named) if not (ROOT / name).is_file()] == []
