"""A script of ``jobs/`` and the package that it runs: of one checkout, or nothing is run.

Where Python finds ``raysgpo`` is a matter of PYTHONPATH and of what is installed, and not of where the script lies.
``ray job submit --working-dir .`` puts the working dir first on the PYTHONPATH of the job and of its workers.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import raysgpo
from raysgpo.output.exit_status import FAILED, STOPPED, WRONG_SETTING
from raysgpo.output.whole_file import WriteFailed


def run_script(script: str, main: Callable[[], int]) -> int:
    """The exit status of ``main``, which is not called if the package is of another checkout than the script."""
    checkout, package = Path(script).resolve().parents[1], Path(raysgpo.__file__).resolve().parent
    if package == checkout / "raysgpo" or not (checkout / "raysgpo").is_dir():
        return run_command(main)
    mend = f"export PYTHONPATH={checkout}, or pip install -e {checkout}"
    print(f"error: {script} would run another checkout's {package}: {mend}", file=sys.stderr)
    return WRONG_SETTING


def run_command(main: Callable[[], int]) -> int:
    """The exit status of ``main``. A disk without room is told in one line, and Ctrl-C where ``main`` does not look out
    for it, as while it imports, is an end and no trace."""
    # Read when torch is imported: on a busy machine threads that spin for each other take turns at doing nothing.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        return main()
    except WriteFailed as error:
        print(f"error: {error}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return STOPPED
