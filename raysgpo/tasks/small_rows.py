"""Few rows that come along, for ``--miniature``: chains of arithmetic as a file of ``task.kind=math`` has them.

``python -m raysgpo.tasks.small_rows`` writes them; they have every field that a recipe may ask for.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from raysgpo.config import CurriculumConfig, TaskConfig
from raysgpo.tasks.arithmetic import ArithmeticTask

ROWS = 60
FOLDER = Path(__file__).with_name("rows")
SHORT, LONG = FOLDER / "chains.jsonl", FOLDER / "long_chains.jsonl"
TERMS: Mapping[Path, tuple[int, ...]] = {SHORT: (2, 3, 4, 5, 6), LONG: (4, 5, 6, 7, 8)}
"""File to the lengths of its chains, from easy to hard."""


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


def text_of(file: Path) -> str:
    """What stands in the file."""
    return "".join(json.dumps(row) + "\n" for row in rows_of(file))


if __name__ == "__main__":
    for one in TERMS:
        one.write_text(text_of(one), encoding="utf-8")
