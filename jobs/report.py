"""Reports: ``python jobs/report.py PLACE [PLACE ...] [--paper TABLE[:MODEL]] [--method "NAME: LABEL, ..."]``."""

from __future__ import annotations

import sys

from raysgpo.command.report import main
from raysgpo.command.script import run_script

if __name__ == "__main__":
    sys.exit(run_script(__file__, main))
