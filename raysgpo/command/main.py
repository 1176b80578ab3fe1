"""The installed command: ``raysgpo WORD ...``, each word what the script of ``jobs/`` is in a checkout."""

from __future__ import annotations

import importlib
import sys
from typing import Any

from raysgpo import __version__
from raysgpo.command.script import run_command
from raysgpo.config.command_name import CONSOLE, word
from raysgpo.config.section import no_such
from raysgpo.output.exit_status import DONE, WRONG_SETTING

JOBS = {
    "train": "train a model",
    "offline": "train on groups that are sampled once, or loaded",
    "sft": "make the models that come along; supervised fine-tuning",
    "compare": "train variants under matched settings, and report what differs",
    "evaluate": "evaluate models on several sets of questions",
    "report": "the papers' tables and figures of evaluations, comparisons and runs",
    "evaluate_judge": "measure how exactly a judge finds the first wrong step",
    "make_trajectories": "make trajectories for guidance",
    "make_pairs": "make verifier pairs of graded solutions",
    "replay": "train again on a run's recorded groups, without an engine",
    "audit": "recompute a run from its records",
    "advantages": "who was reinforced in these runs?",
    "export": "a checkpoint as a Hugging Face folder",
}
"""File of ``raysgpo/command`` to what it does."""
_FILES = {word(job): job for job in JOBS}


def main() -> int:
    """The exit status of the command that the first word names."""
    words = sys.argv[1:]
    if not words or words[0] in ("-h", "--help"):
        print(_usage())
        return DONE if words else WRONG_SETTING
    if words[0] == "--version":
        print(f"{CONSOLE} {__version__}")
        return DONE
    if words[0] not in _FILES:
        print(f"error: {words[0]}: {no_such('command', words[0], _FILES)}", file=sys.stderr)
        return WRONG_SETTING
    sys.argv = [sys.argv[0], *words[1:]]
    command: Any = importlib.import_module(f"raysgpo.command.{_FILES[words[0]]}")
    return run_command(command.main)


def _usage() -> str:
    lines = [f"  {name:<14}{JOBS[job]}" for name, job in _FILES.items()]
    return "\n".join([f"usage: {CONSOLE} COMMAND ...", "", *lines, "", f"{CONSOLE} COMMAND --help says more."])


if __name__ == "__main__":
    sys.exit(main())
