"""How well responses are cut, on labelled steps: ``python -m tests.bench.splitting first_error_dev.jsonl``.

The steps of each row are joined by blank lines, then by single ones, and cut again. Said are the shares of rows whose
steps all come out as they were, and of wrong steps that begin where a step begins.
"""

from __future__ import annotations

import sys
from itertools import accumulate
from pathlib import Path

from raysgpo.output.json_lines import read_rows
from raysgpo.tasks.reasoning import split_steps

LIMIT = 64


def main() -> None:
    rows = [row for row in read_rows(Path(sys.argv[1])) if len(row["steps"]) <= LIMIT]
    for name, between in (("blank lines", "\n\n"), ("single lines", "\n")):
        exact = kept = wrong = 0
        for row in rows:
            steps: list[str] = row["steps"]
            found = split_steps(between.join(steps), LIMIT)
            exact += [step.strip() for step in found] == [step.strip() for step in steps]
            if (error := row["first_error"]) is not None:
                start = sum(len(step) + len(between) for step in steps[:error])
                wrong += 1
                kept += start in {0, *accumulate(map(len, found))}
        print(f"joined by {name}: {exact / len(rows):.1%} of {len(rows)} rows exact, "
              f"the start of the wrong step kept in {kept / wrong:.1%} of {wrong}")  # fmt: skip


if __name__ == "__main__":
    main()
