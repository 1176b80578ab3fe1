"""Recompute a run from its records: ``python jobs/audit.py RUN``."""

from __future__ import annotations

import sys

from raysgpo.command.audit import main
from raysgpo.command.script import run_script

if __name__ == "__main__":
    sys.exit(run_script(__file__, main))
