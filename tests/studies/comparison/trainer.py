"""What ``jobs/train.py`` is to a comparison, in milliseconds: ``trainer.py resume=FOLDER``.

Each call adds a line to ``calls`` in the folder. ``behave`` beside the runs says what happens: ``wait`` until a
signal, then stop as a run does; a number to exit with; nothing to train to the end.
"""

from __future__ import annotations

import signal
import sys
import time
from pathlib import Path

folder = Path(sys.argv[-1].removeprefix("resume="))
assert (folder / "config.yaml").is_file(), "a run is begun in a folder with its settings"
with (folder / "calls").open("a") as calls:
    calls.write("begin\n")
behave = folder.parent / f"{folder.name}.behave"
word = behave.read_text() if behave.exists() else ""
if word == "wait":
    stopped: list[int] = []
    signal.signal(signal.SIGINT, lambda number, frame: stopped.append(number))
    (folder / "waiting").touch()
    until = time.monotonic() + 60
    while not stopped and time.monotonic() < until:
        time.sleep(0.01)
    (folder / "stopped").touch()
    sys.exit(130)
sys.exit(int(word or 0))
