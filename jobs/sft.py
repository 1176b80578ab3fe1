"""Supervised fine-tuning: ``python jobs/sft.py [WORD] [key=value ...]``."""

from __future__ import annotations

import sys

from raysgpo.command.script import run_script
from raysgpo.command.sft import main

if __name__ == "__main__":
    sys.exit(run_script(__file__, main))
