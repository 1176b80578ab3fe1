"""A checkpoint as a Hugging Face folder: ``python jobs/export.py RUN [--step STEP | --best] [--to FOLDER]``."""

from __future__ import annotations

import sys

from raysgpo.command.export import main
from raysgpo.command.script import run_script

if __name__ == "__main__":
    sys.exit(run_script(__file__, main))
