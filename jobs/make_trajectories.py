"""Make trajectories for guidance: ``python jobs/make_trajectories.py QUESTIONS OUT [key=value ...]``."""

from __future__ import annotations

import sys

from raysgpo.command.make_trajectories import main
from raysgpo.command.script import run_script

if __name__ == "__main__":
    sys.exit(run_script(__file__, main))
