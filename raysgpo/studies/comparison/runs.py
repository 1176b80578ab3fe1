"""Running what a comparison still lacks, one run after the other, each in a process of its own.

    comparison.json          the variants' settings
    runs/VARIANT-seedN/      an ordinary run folder; ``finished`` in it once it came to its end
    report.html, report.json

A run is begun and gone on with by the same words (``resume=FOLDER``): one that was interrupted goes on from its
newest checkpoint.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from raysgpo.config.overrides import ConfigError, dump
from raysgpo.output.exit_status import DONE, FAILED, STOPPED, WRONG_SETTING
from raysgpo.output.run_folder import RunFolder
from raysgpo.output.whole_file import write_whole
from raysgpo.studies.comparison.plan import MISSING, Plan, PlannedRun

Say = Callable[[str], None]


def finished(run: Path) -> bool:
    return (run / "finished").is_file()


def run_all(plan: Plan, command: Sequence[str], say: Say) -> int:
    """Runs what is not finished; returns the exit status.

    ``command``: what trains, such as ``[python, jobs/train.py]``; it gets ``resume=FOLDER`` as its last word. A run
    that fails does not keep the others from running; a wrong setting and Ctrl-C end the comparison.

    Raises:
        ConfigError: the folder belongs to a comparison of other settings, or another process works on it.
    """
    claim(plan)
    failed = []
    with _locked(plan.folder) as lock:
        for number, run in enumerate(plan.runs, 1):
            path = plan.run_path(run)
            title = f"run {number} of {len(plan.runs)}: {run.variant.name}, seed {run.seed}"
            if finished(path):
                say(f"{title}: finished before")
                continue
            say(title)
            status = _run(run, path, command, lock)
            if status in (WRONG_SETTING, STOPPED):
                return status
            if status != DONE:
                failed.append(run)
                say(f"{title}: failed with exit status {status}; the others go on")
            else:
                (path / "finished").touch()
    if failed:
        say(f"{len(failed)} of {len(plan.runs)} runs failed; the same command tries them again from where they stopped")
    return FAILED if failed else DONE


def claim(plan: Plan) -> None:
    """The folder is made this comparison's, or it is already.

    Raises:
        ConfigError: it belongs to one of other settings; the message names the first that differs.
    """
    file = plan.folder / "comparison.json"
    manifest = json.loads(json.dumps(plan.manifest()))
    if not file.exists():
        plan.folder.mkdir(parents=True, exist_ok=True)
        write_whole(file, json.dumps(manifest, indent=1) + "\n")
        return
    try:
        there = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ConfigError(f"{file}: not readable ({error}); give another --name") from None
    if (difference := _first_difference(there, manifest)) is not None:
        raise ConfigError(
            f"{plan.folder} holds a comparison of other settings: {difference}; give this one another --name, "
            "or repeat the command of the other"
        )


def claim_existing(plan: Plan) -> None:
    """The folder is this comparison's already.

    Raises:
        ConfigError: there is none, or it belongs to one of other settings.
    """
    if not (plan.folder / "comparison.json").is_file():
        raise ConfigError(f"{plan.folder}: no comparison there yet; leave out --report-only to run it")
    claim(plan)


def _first_difference(there: Any, here: Any, key: str = "") -> str | None:
    """Where two JSON values differ first, in words."""
    if not isinstance(there, dict) or not isinstance(here, dict):
        return None if there == here else f"{key} is {json.dumps(there)} there and {json.dumps(here)} here"
    if key == "variants" and list(there) != list(here):
        return f"its variants are {', '.join(there)}, not {', '.join(here)}"
    for name in {**there, **here}:
        inner = name if key in ("", "variants") else f"{key}.{name}" if " " not in key and "=" not in key else name
        found = _first_difference(there.get(name, MISSING), here.get(name, MISSING), inner)
        if found is not None:
            return found
    return None


def _run(run: PlannedRun, path: Path, command: Sequence[str], lock: int) -> int:
    """The exit status of the run's process; STOPPED if it ended because this one was told to."""
    folder = RunFolder(path)
    if not folder.config.exists():
        path.mkdir(parents=True, exist_ok=True)
        write_whole(folder.config, dump(run.config))
    told: list[int] = []
    # A session of its own: Ctrl-C reaches it once, by us. The lock is its too, should we be killed before it.
    process = subprocess.Popen([*command, f"resume={path}"], start_new_session=True, pass_fds=[lock])

    def forward(number: int, frame: FrameType | None) -> None:
        told.append(number)
        process.send_signal(number)

    before = {number: signal.signal(number, forward) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        status = process.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return STOPPED if told and status != DONE else status


@contextmanager
def _locked(folder: Path) -> Iterator[int]:
    """Holds the comparison for this process and the run that it starts; gives the lock's descriptor."""
    descriptor = os.open(folder / ".lock", os.O_CREAT | os.O_RDWR, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigError(f"{folder}: another process works on this comparison; wait for it, or end it") from None
        yield descriptor
    finally:
        os.close(descriptor)
