"""What a run's judge has cost so far, on disk: a limit holds for the run, also for what a crash made it ask again."""

from __future__ import annotations

import json
import os
from dataclasses import replace

from raysgpo.groups.judge_budget import Spent
from raysgpo.groups.prepared import StartState
from raysgpo.output.run_folder import RunFolder

KEY = "judge_budget"
"""The controller of a checkpoint that has the same, as of its step."""
WIDTH = 100
"""Characters of the line: the next one covers it whole."""


class JudgeAccount:
    """``judge_spent.json`` of the run folder. A file that cannot be written or read costs the account, not the run."""

    def __init__(self, run: RunFolder) -> None:
        self._file = run.judge_spent

    def write(self, spent: Spent) -> None:
        """Over what was there, in one call, which the death of this process does not part. Neither a new file nor the
        disk is waited for: each judged group writes it, and that took the conductor 4 ms of each."""
        line = json.dumps(spent).ljust(WIDTH) + "\n"
        try:
            descriptor = os.open(self._file, os.O_WRONLY | os.O_CREAT, 0o644)
            try:
                os.write(descriptor, line.encode())
            finally:
                os.close(descriptor)
        except OSError:  # a full disk is told where records are written
            return

    def brought_up_to_date(self, start: StartState) -> StartState:
        """Where the run begins, with what was spent since its checkpoint."""
        known: Spent = start.controllers.get(KEY) or {}
        since = self._read()
        spent = {name: max(known.get(name, 0), since.get(name, 0)) for name in known.keys() | since.keys()}
        return replace(start, controllers={**start.controllers, KEY: spent}) if spent else start

    def _read(self) -> Spent:
        try:
            return {str(name): float(value) for name, value in json.loads(self._file.read_text()).items()}
        except (OSError, ValueError, AttributeError, TypeError):
            return {}
