"""An online run from beginning to end: the table of contents of the system.

    prepare -> Ray -> replicas + weight store + conductor + trainer (session/moving_parts.py) -> records and pictures

The trainer runs in a side thread; the main thread owns the console and Ctrl-C.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace

from raysgpo.config import Config
from raysgpo.config.command_name import command_name
from raysgpo.groups.prepared import Prepared
from raysgpo.output.console import Console
from raysgpo.output.exit_status import DONE, STOPPED
from raysgpo.output.run_folder import RunFolder
from raysgpo.output.run_lock import RunLock
from raysgpo.session.exiting import Exit, exiting, telling_failures
from raysgpo.session.healing import Healing
from raysgpo.session.interrupts import interruptible
from raysgpo.session.judge_access import Say, endpoint_address
from raysgpo.session.moving_parts import running_parts
from raysgpo.session.ray_session import link_logs, ray_session
from raysgpo.session.resources import room
from raysgpo.session.sandboxes import check_sandboxes
from raysgpo.session.serving_parts import serving_parts
from raysgpo.session.shared_folders import check_shared
from raysgpo.session.stored_rest import sending_rest
from raysgpo.session.trained_policy import check_upload, tell_policy
from raysgpo.session.watching import watch
from raysgpo.start.data_report import write_report
from raysgpo.start.preparation import prepare
from raysgpo.start.resume import hold_resumed, open_folder, resume_words, start_state
from raysgpo.tracking.trackers import Trackers


def train(config: Config) -> Exit:
    """Run ``config`` to its end."""
    with exiting() as end, RunLock(end.say) as lock:
        hold_resumed(config, lock, end.say)
        start = start_state(config, end.say)
        judge = endpoint_address(config, end.say)
        prepared = prepare(config, end.say)
        if start.step >= prepared.total_steps > 0:
            end.say(f"nothing to do: {config.resume} has its {prepared.total_steps} steps; set steps to more")
            run = RunFolder.resumed(config)
            tell_policy(run, prepared.config, end.say)
            end.folder = run.path
            return end
        check_upload(prepared.config)
        with ray_session(end.say) as logs:
            with room(prepared.config, end.say) as placed:
                prepared = replace(prepared, config=placed)
                check_shared(placed, config)
                check_sandboxes(placed)
            run = open_folder(config, lock, end.say)
            prepared = write_report(prepared, run, end.say)
            link_logs(logs, run.path)
            console = Console(prepared.total_steps, start.step, end.out)
            console.say(f"run folder: {run.path}")
            end.folder = run.path
            if start.step:
                console.say(f"going on after step {start.step}")
            go_on = resume_words(command_name("train"), run, prepared.config)
            console.say("starting the rollout replicas and the trainer ...")
            with sending_rest(run, console.say):
                with (
                    console,
                    interruptible(console.say) as interrupts,
                    telling_failures(run, go_on, console.say),
                    serving_parts(prepared.config, run, judge, console.say) as serving,
                ):
                    healing = Healing(config, run, start, interrupts, console.say)
                    for start in healing:
                        with healing, Trackers(config, run, start.step, console.say) as trackers, ExitStack() as up:
                            with interrupts.at_once():
                                parts = up.enter_context(running_parts(prepared, run, start, serving, console.say))
                            watch(parts, console, trackers, interrupts, lock)
                            parts.trainer.raise_failure()
                _tell(prepared, run, bool(interrupts.count), go_on, console.say)
            end.status = STOPPED if interrupts.count else DONE
    return end


def _tell(prepared: Prepared, run: RunFolder, stopped: bool, go_on: str, say: Say) -> None:
    """The last lines: where the results are."""
    if prepared.total_steps == 0:
        say(f"every answer: {run.answers}")
        return
    from raysgpo.output.advantage_picture import draw_advantages  # matplotlib, which no start should wait for
    from raysgpo.output.curves import draw_curves, draw_guidance
    from raysgpo.output.success_picture import draw_success

    if (picture := draw_guidance(run)) is not None:
        say(f"guided and unguided rollouts: {picture}")
    say(f"accuracy and all-negative share: {draw_curves(run)}")
    say(f"success rates of the prompts: {draw_success(run)}")
    say(f"who was reinforced: {draw_advantages([run], run.advantages)}")
    if stopped:
        say(f"stopped; go on with: {go_on}")
    else:
        tell_policy(run, prepared.config, say)
