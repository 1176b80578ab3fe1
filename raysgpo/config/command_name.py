"""What the user types for a command: the script of a checkout, or the word of the installed ``raysgpo``."""

from __future__ import annotations

import sys
from pathlib import Path

CONSOLE = "raysgpo"
"""The installed command."""
WORDS = {"evaluate_judge": "judge", "make_trajectories": "trajectories", "make_pairs": "pairs"}
"""Its words for those scripts of ``jobs/`` that it calls otherwise."""
_JOBS = Path(__file__).resolve().parents[2] / "jobs"


def command_name(job: str) -> str:
    """``python jobs/train.py`` or ``raysgpo train``: the way in which this process was started, or the one there is."""
    if Path(sys.argv[0]).stem == CONSOLE or not (_JOBS / f"{job}.py").is_file():
        return f"{CONSOLE} {word(job)}"
    return f"python jobs/{job}.py"


def word(job: str) -> str:
    return WORDS.get(job, job)
