"""Evaluate models: ``python jobs/evaluate.py MODEL [MODEL ...] --sets aime24,math500 [key=value ...]``."""

from __future__ import annotations

import sys

from raysgpo.command.evaluate import main
from raysgpo.command.script import run_script

if __name__ == "__main__":
    sys.exit(run_script(__file__, main))
