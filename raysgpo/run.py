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

from raysgpo.command.exit_status import DONE, FAILED, STOPPED, WRONG_SETTING
from raysgpo.conductor.messages import Status
from raysgpo.config import Config
from raysgpo.config.overrides import ConfigError, dump
from raysgpo.groups.prepared import Prepared, StartState
from raysgpo.judging.address import JudgeAddress
from raysgpo.output import checkpoint
from raysgpo.output.advantage_picture import draw_advantages
from raysgpo.output.console import Console
from raysgpo.output.curves import draw_curves, draw_guidance
from raysgpo.output.run_folder import RunFolder
from raysgpo.output.tensorboard import TensorBoardLog
from raysgpo.session.moving_parts import CALL_DEADLINE, MovingParts, Say, endpoint_address, running_parts
from raysgpo.session.ray_session import link_logs, ray_session
from raysgpo.session.resources import wait_for_resources
from raysgpo.start.preparation import prepare
from raysgpo.training.thread import root_cause

POLL_SECONDS = 0.25
"""How often the console asks the conductor what is new."""


def train(config: Config) -> int:
    """Run ``config`` to its end; returns the exit status."""
    return ended(partial(_online, config))


def _online(config: Config, say: Say) -> int:
    start = start_state(config, say)
    judge = endpoint_address(config, say)
    prepared = prepare(config, say)
    if start.step >= prepared.total_steps > 0:
        say(f"nothing to do: {config.resume} has its {prepared.total_steps} steps; set steps to more")
        return DONE
    out = sys.stdout
    with ray_session() as logs:
        wait_for_resources(config, config.rollout.start_deadline, say)
        run = open_folder(config)
        link_logs(logs, run.path)
        return _train(prepared, run, start, judge, Console(prepared.total_steps, start.step, out))


def ended(body: Callable[[Say], int]) -> int:
    """The exit status of a command's body. ``say`` writes to the console, whatever becomes of standard output."""
    say = partial(print, file=sys.stdout, flush=True)
    try:
        return body(say)
    except ConfigError as error:
        print(f"error: {error}", file=sys.stderr)
        return WRONG_SETTING
    except KeyboardInterrupt:
        say("stopped at once; what the last checkpoint holds can be resumed")
        return STOPPED


def accounted(body: Callable[[], None], run: RunFolder, go_on: str, say: Say) -> bool:
    """Whether the body came to its end. A failure is told, with the words to go on, and its trace kept."""
    try:
        body()
    except ConfigError:
        raise
    except Exception as error:  # the top of the program: say why, keep the trace, end in order
        (run.path / "error.txt").write_text("".join(traceback.format_exception(error)))
        say(f"failed: {root_cause(error)}")
        say(f"trace: {run.path / 'error.txt'}; log files: {run.path / 'logs'}")
        say(f"go on from the last checkpoint: {go_on}")
        return False
    return True


def start_state(config: Config, say: Say) -> StartState:
    """Where the run begins: at nothing, or at the newest complete checkpoint of the run to resume.

    A run that never wrote a checkpoint begins anew, in its folder; one whose checkpoints are all
    corrupt is an error.
    """
    if config.resume is None:
        return StartState()
    checkpoints = RunFolder(Path(config.resume)).checkpoints
    try:
        folder, messages = checkpoint.newest_complete(checkpoints)
    except FileNotFoundError as error:
        if not checkpoint.steps(checkpoints):
            return StartState()
        raise ConfigError(f"resume={config.resume}: {error}") from None
    for message in messages:
        say(message)
    state = checkpoint.read_state(folder)
    return StartState(
        state["step"],
        state["position"],
        state["version"],
        tuple(state["solved"]),
        state["controllers"],
        tuple(messages),
    )


def open_folder(config: Config) -> RunFolder:
    """The folder to resume, or a new one; the resolved configuration is written into it."""
    run = RunFolder(Path(config.resume)) if config.resume else RunFolder.create(config.storage_root, config.name)
    run.config.write_text(dump(config.model_copy(update={"resume": None})))
    return run


def _train(prepared: Prepared, run: RunFolder, start: StartState, judge: JudgeAddress | None, console: Console) -> int:
    console.say(f"run folder: {run.path}")
    if start.step:
        console.say(f"going on after step {start.step}")
    go_on = resume_words("python jobs/train.py", run, prepared.config)
    console.say("starting the rollout replicas and the trainer ...")
    with console, interruptible(console.say) as interrupts:

        def body() -> None:
            with (
                TensorBoardLog(run, start.step) as tensorboard,
                running_parts(prepared, run, start, judge, console.say) as parts,
            ):
                watch(parts, console, tensorboard, interrupts)
            if parts.trainer.failure is not None:
                raise parts.trainer.failure

        if not accounted(body, run, go_on, console.say):
            return FAILED
    if prepared.total_steps == 0:
        console.say(f"every answer: {run.answers}")
        return STOPPED if interrupts.count else DONE
    if (picture := draw_guidance(run)) is not None:
        console.say(f"guided and unguided rollouts: {picture}")
    console.say(f"accuracy and all-negative share: {draw_curves(run)}")
    console.say(f"who was reinforced: {draw_advantages([run], run.advantages)}")
    if interrupts.count:
        console.say(f"stopped; go on with: {go_on}")
        return STOPPED
    console.say(f"trained policy: {checkpoint.newest_complete(run.checkpoints)[0]}")
    return DONE


def resume_words(command: str, run: RunFolder, config: Config) -> str:
    """What goes on with the run: by its name where runs are numbered, elsewhere by its path."""
    numbered = run.path.parent == config.storage_root / "runs"
    return f"{command} resume={run.path.name if numbered else run.path}"


def watch(parts: MovingParts, console: Console, tensorboard: TensorBoardLog, interrupts: Interrupts) -> None:
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
            tensorboard.row(row)
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
    """Counts Ctrl-C and SIGTERM (``ray job stop``): the first ends the run after its step, the second at once."""

    def __init__(self, say: Say) -> None:
        self.count = 0
        self.say = say

    def __call__(self, number: int, frame: FrameType | None) -> None:
        self.count += 1
        if self.count > 1:
            raise KeyboardInterrupt
        again = "Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name
        self.say(f"stopping after this step, with a checkpoint ({again} again to stop at once)")


@contextmanager
def interruptible(say: Say) -> Iterator[Interrupts]:
    """Signals are counted, and end nothing by themselves, within the block."""
    handler = Interrupts(say)
    before = {number: signal.signal(number, handler) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield handler
    finally:
        for number, former in before.items():
            signal.signal(number, former)
