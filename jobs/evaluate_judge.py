"""Measure a judge: ``python jobs/evaluate_judge.py DATA [judge=...] [judge.key=value ...]``."""

from __future__ import annotations

import sys

from raysgpo.command.evaluate_judge import main
from raysgpo.command.script import run_script

if __name__ == "__main__":
    sys.exit(run_script(__file__, main))
