"""Ends a process of an engine whose parent is gone; where the engine is in its replica's process, does nothing.

vLLM's engine core and its workers wait for their parent's word; a parent that was killed says none, and they would
stay, with the memory of a model, for ever. Importing this file in such a process is all.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
import time

PERIOD = 1.0
"""Seconds between two looks."""


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(PERIOD)
    os._exit(1)  # whatever it is in the middle of: nobody waits for it any more


if multiprocessing.parent_process() is not None:
    threading.Thread(target=_watch, args=(os.getppid(),), name="parent watch", daemon=True).start()
