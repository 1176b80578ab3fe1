"""Train a model: ``python jobs/train.py RECIPE [key=value ...] [--config FILE] [--dry-run [--cluster FILE]]``."""

from __future__ import annotations

import sys

from raysgpo.command.script import run_script
from raysgpo.command.train import main

if __name__ == "__main__":
    sys.exit(run_script(__file__, main))
