"""Few rows that come along, for ``--miniature``: chains of arithmetic for ``task.kind=math``, functions for ``code``.

``python -m raysgpo.tasks.small_rows`` writes them; they have every field that a recipe may ask for.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from raysgpo.config import CurriculumConfig, TaskConfig
from raysgpo.tasks.arithmetic import ArithmeticTask

ROWS = 60
FOLDER = Path(__file__).with_name("rows")
SHORT, LONG = FOLDER / "chains.jsonl", FOLDER / "long_chains.jsonl"
TERMS: Mapping[Path, tuple[int, ...]] = {SHORT: (2, 3, 4, 5, 6), LONG: (4, 5, 6, 7, 8)}
"""File to the lengths of its chains, from easy to hard."""
PROGRAMS = FOLDER / "programs.jsonl"
"""Functions of two lines, 12 of each kind."""
FUNCTIONS: Sequence[tuple[str, str, str, Callable[[int, int], int]]] = (
    ("plus_{n}", "returns x plus {n}", "x + {n}", lambda x, n: x + n),
    ("times_{n}", "returns x times {n}", "x * {n}", lambda x, n: x * n),
    ("away_from_{n}", "returns how far x is from {n}", "abs(x - {n})", lambda x, n: abs(x - n)),
    ("digits_with_{n}", "returns the number of digits of x + {n}", "len(str(x + {n}))", lambda x, n: len(str(x + n))),
    (
        "sum_up_to_{n}",
        "returns the sum of x, 2 x, ..., {n} x",
        "sum(k * x for k in range(1, {n} + 1))",
        lambda x, n: sum(k * x for k in range(1, n + 1)),
    ),
)
"""From easy to hard: name, what it does, its value in Python, and the value itself."""
SOLUTION = """\
The function is called {name} and takes one number, x.

It {does}, which in Python is {value}.

```python
def {name}(x):
    result = {value}
    return result
```"""
"""Reasoning that may be given, and the program."""


def small_rows(name: str, guided: bool) -> Path:
    """The file of that name; where answers are guided, its longer twin, if it has one: there is more to give."""
    longer = FOLDER / f"long_{name}"
    return longer if guided and longer.is_file() else FOLDER / name


def rows_of(file: Path) -> list[dict[str, Any]]:
    """The rows of SHORT or LONG: the more terms, the harder, by number, level and tier."""
    terms, tiers = TERMS[file], CurriculumConfig().tiers
    chains = ArithmeticTask(TaskConfig(prompts=ROWS, terms=terms), 1).train
    places = [terms.index(chain.metadata["terms"]) for chain in chains]
    return [
        {
            "id": chain.id,
            "question": chain.prompt,
            "answer": chain.answer,
            "solution": chain.reference,
            "difficulty": terms[place],
            "level": 1 + place,
            "source": tiers[place],
        }
        for chain, place in zip(chains, places, strict=True)
    ]


def programs() -> list[dict[str, Any]]:
    """The rows of PROGRAMS."""
    tiers, rows = CurriculumConfig().tiers, []
    for place, (name, does, value, worked) in enumerate(FUNCTIONS):
        for n in range(1, 1 + ROWS // len(FUNCTIONS)):
            called = name.format(n=n)
            rows.append(
                {
                    "id": called,
                    "question": f"Write a function {called}(x) that {does.format(n=n)}.",
                    "tests": [f"assert {called}({x}) == {worked(x, n)}" for x in (0, 4, 97)],
                    "entry_point": called,
                    "solution": SOLUTION.format(name=called, value=value.format(n=n), does=does.format(n=n)),
                    "difficulty": 1 + place,
                    "level": 1 + place,
                    "source": tiers[place],
                }
            )
    return rows


def text_of(file: Path) -> str:
    """What stands in the file."""
    rows = programs() if file == PROGRAMS else rows_of(file)
    return "".join(json.dumps(row) + "\n" for row in rows)


if __name__ == "__main__":
    for one in (*TERMS, PROGRAMS):
        one.write_text(text_of(one), encoding="utf-8")
