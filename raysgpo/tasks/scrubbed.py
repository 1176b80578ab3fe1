"""The environment of processes that read what a model wrote: without keys and tokens, whatever they are called."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

KEPT = ("PATH", "HOME", "USER", "LANG", "LANGUAGE", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "VIRTUAL_ENV")
KEPT_BEGINNINGS = ("LC_", "PYTHON", "OMP_", "MKL_", "OPENBLAS_")
"""What an interpreter and its libraries need to start. All else stays behind: no list of secrets has them all."""


def scrubbed(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Of a Python process that imports what this one can."""
    kept = {name: value for name, value in environment.items() if name in KEPT or name.startswith(KEPT_BEGINNINGS)}
    return kept | {"PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path)}
