"""Make verifier pairs of graded solutions: ``python jobs/make_pairs.py SOLUTIONS OUT [key=value ...]``."""

from __future__ import annotations

import sys

from raysgpo.command.make_pairs import main
from raysgpo.command.script import run_script

if __name__ == "__main__":
    sys.exit(run_script(__file__, main))
