"""Who was reinforced in these runs? ``python jobs/advantages.py RUN [RUN ...] [--out FILE]``."""

from __future__ import annotations

import sys

from raysgpo.command.advantages import main
from raysgpo.command.script import run_script

if __name__ == "__main__":
    sys.exit(run_script(__file__, main))
