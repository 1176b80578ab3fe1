"""A run from beginning to end: the table of contents of the system.

    prepare -> Ray -> replicas + weight store + conductor + trainer (parts.py) -> records and a picture

The trainer runs in a side thread; the main thread owns the console and Ctrl-C.
"""

from __future__ import annotations

import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import FrameType

import ray

from raysgpo import checkpoint
from raysgpo.board import Board
from raysgpo.cluster_resources import wait_for_resources
from raysgpo.conductor.messages import StartState, Status
from raysgpo.config import Config
from raysgpo.console import Console
from raysgpo.curves import draw_curves, draw_guidance
from raysgpo.judging.build import JudgeAddress
from raysgpo.overrides import ConfigError, dump
from raysgpo.parts import CALL_DEADLINE, Parts, endpoint_address, running_parts
from raysgpo.preparation import prepare
from raysgpo.prepared import Prepared
from raysgpo.ray_session import link_logs, ray_session
from raysgpo.run_folder import RunFolder
from raysgpo.trainer import root_cause

POLL_SECONDS = 0.25
"""How often the console asks the conductor what is new."""
DONE, FAILED, WRONG_SETTING, STOPPED = 0, 1, 2, 130
"""Exit status of a run."""


def train(config: Config) -> int:
    """Run ``config`` to its end; returns the exit status."""
    out = sys.stdout
    say = partial(print, file=out, flush=True)
    try:
        start = start_state(config, say)
        judge = endpoint_address(config, say)
        prepared = prepare(config, say)
        with ray_session() as logs:
            wait_for_resources(config, config.rollout.start_deadline, say)
            run = open_folder(config)
            link_logs(logs, run.path)
            return _train(prepared, run, start, judge, Console(prepared.total_steps, start.step, out))
    except ConfigError as error:
        print(f"error: {error}", file=sys.stderr)
        return WRONG_SETTING
    except KeyboardInterrupt:
        say("stopped at once; what the last checkpoint holds can be resumed")
        return STOPPED


def start_state(config: Config, say: Callable[[str], None]) -> StartState:
    """Where the run begins: at nothing, or at the newest complete checkpoint of the run to resume."""
    if config.resume is None:
        return StartState()
    try:
        folder, messages = checkpoint.newest_complete(RunFolder(Path(config.resume)).checkpoints)
    except FileNotFoundError as error:
        raise ConfigError(f"resume={config.resume}: {error}") from None
    for message in messages:
        say(message)
    state = checkpoint.read_state(folder)
    return StartState(state["step"], state["version"], tuple(state["solved"]), state["controllers"], tuple(messages))


def open_folder(config: Config) -> RunFolder:
    """The folder to resume, or a new one; the resolved configuration is written into it."""
    run = RunFolder(Path(config.resume)) if config.resume else RunFolder.create(config.storage_root, config.name)
    run.config.write_text(dump(config.model_copy(update={"resume": None})))
    return run


def _train(prepared: Prepared, run: RunFolder, start: StartState, judge: JudgeAddress | None, console: Console) -> int:
    console.say(f"run folder: {run.path}")
    if start.step:
        console.say(f"going on after step {start.step}")
    if start.step >= prepared.total_steps:
        console.say(f"nothing to do: the run has its {prepared.total_steps} steps; set steps to more")
        return DONE
    console.say("starting the rollout replicas and the trainer ...")
    with console, _interrupts(console) as interrupts:
        try:
            with Board(run, start.step) as board, running_parts(prepared, run, start, judge, console.say) as parts:
                _watch(parts, console, board, interrupts)
            if parts.trainer.failure is not None:
                raise parts.trainer.failure
        except ConfigError:
            raise
        except Exception as error:  # the top of the program: say why, keep the trace, end in order
            (run.path / "error.txt").write_text("".join(traceback.format_exception(error)))
            console.say(f"failed: {root_cause(error)}")
            console.say(f"trace: {run.path / 'error.txt'}; log files: {run.path / 'logs'}")
            console.say(f"go on from the last checkpoint: python jobs/train.py resume={run.path.name}")
            return FAILED
    if (picture := draw_guidance(run)) is not None:
        console.say(f"guided and unguided rollouts: {picture}")
    console.say(f"accuracy and all-negative share: {draw_curves(run)}")
    if interrupts.count:
        console.say(f"stopped; go on with: python jobs/train.py resume={run.path.name}")
        return STOPPED
    console.say(f"trained policy: {checkpoint.newest_complete(run.checkpoints)[0]}")
    return DONE


def _watch(parts: Parts, console: Console, board: Board, interrupts: Interrupts) -> None:
    """Show what is new until the trainer ends."""
    seen, told, end_judging = 0, False, parts.end_judging
    while True:
        running = parts.trainer.running
        status: Status = ray.get(parts.conductor.status.remote(seen), timeout=CALL_DEADLINE)
        seen += len(status.rows)
        for message in status.messages:
            console.say(message)
        for row in status.rows:
            console.row(row)
            board.row(row)
        console.phase(status.phase)
        if end_judging is not None and not status.judging:
            console.say("judging is over: the judge replicas are taken down")
            end_judging()
            end_judging = None
        if interrupts.count and not told:
            ray.get(parts.conductor.stop_after_step.remote(), timeout=CALL_DEADLINE)
            told = True
        if not running:
            return
        time.sleep(POLL_SECONDS)


class Interrupts:
    """Counts Ctrl-C: the first ends the run after its step, the second at once."""

    def __init__(self, console: Console) -> None:
        self.count = 0
        self._console = console

    def __call__(self, number: int, frame: FrameType | None) -> None:
        self.count += 1
        if self.count > 1:
            raise KeyboardInterrupt
        self._console.say("stopping after this step, with a checkpoint (Ctrl-C again to stop at once)")


@contextmanager
def _interrupts(console: Console) -> Iterator[Interrupts]:
    handler = Interrupts(console)
    before = signal.signal(signal.SIGINT, handler)
    try:
        yield handler
    finally:
        signal.signal(signal.SIGINT, before)
