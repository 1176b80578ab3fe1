"""An offline run from beginning to end (SGPO, arXiv 2505.11595, section 4.1).

    sample, or read a file -> keep -> judge once -> judged.jsonl      replicas are up where they have anything to do
                                                  -> train on it       the trainer alone
                                                  -> evaluate          replicas again, with the trained policy

Each phase leaves a file that says it is complete, and a resumed run begins with the first that is not.
"""

from __future__ import annotations

import asyncio
import math
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from typing import TextIO

import numpy as np

from raysgpo.conductor.evaluation import Evaluator
from raysgpo.config import Config
from raysgpo.config.command_name import command_name
from raysgpo.config.overrides import ConfigError
from raysgpo.config.resolved import ResolvedConfig
from raysgpo.groups.prepared import Prepared, StartState
from raysgpo.groups.retrying_sampler import RetryingSampler
from raysgpo.judging.address import JudgeAddress, build_judge
from raysgpo.judging.endpoint import EndpointJudge
from raysgpo.judging.panel import Panel
from raysgpo.offline import collect
from raysgpo.offline.groups_file import read_groups
from raysgpo.offline.kept_groups import kept_groups, right_answers
from raysgpo.offline.recorded_source import trainable
from raysgpo.offline.running import running_trainer, starting_judge
from raysgpo.offline.tokens import with_tokens
from raysgpo.output import checkpoint
from raysgpo.output.console import Console, update_numbers
from raysgpo.output.exit_status import DONE, STOPPED
from raysgpo.output.json_lines import JsonLines, cut_rows, read_rows, write_together
from raysgpo.output.metrics import Metrics
from raysgpo.output.run_folder import RunFolder
from raysgpo.output.run_lock import RunLock
from raysgpo.policy.prompts import load_tokenizer
from raysgpo.records import Group
from raysgpo.serving.handle import RolloutService
from raysgpo.serving.sampler import serve_sampler
from raysgpo.session.exiting import exiting, telling_failures
from raysgpo.session.interrupts import Interrupts, interruptible
from raysgpo.session.judge_access import Say, endpoint_address, wait_for_judge_replicas
from raysgpo.session.names import RunNames
from raysgpo.session.ray_session import link_logs, ray_session
from raysgpo.session.reaper import reaping
from raysgpo.session.resources import room
from raysgpo.session.running_rollout import running_rollout
from raysgpo.session.sandboxes import check_sandboxes
from raysgpo.session.shared_folders import check_shared
from raysgpo.session.trained_policy import check_upload, tell_policy, trained_policy
from raysgpo.session.watching import watch
from raysgpo.start.data_report import write_report
from raysgpo.start.preparation import model_settings, prepare
from raysgpo.start.resume import hold_resumed, open_folder, resume_words, start_state
from raysgpo.tracking.trackers import Trackers


def train_offline(config: Config, groups: list[Group] | None) -> int:
    """Run ``config`` to its end on ``groups`` (those of ``selected``); returns the exit status."""
    with exiting() as end, RunLock(end.say) as lock:
        hold_resumed(config, lock, end.say)
        resumed = RunFolder.resumed(config) if config.resume is not None else None
        begun = resumed is not None and checkpoint.steps(resumed.checkpoints)
        start = start_state(config, end.say) if begun else StartState()
        judge = None if resumed is not None and resumed.judged.exists() else endpoint_address(config, end.say)
        answers = None if groups is None else [(one.problem, each.text) for one in groups for each in one.rollouts_G]
        prepared = prepare(config, end.say, answers)
        if groups is not None:
            groups = _tokenized(prepared.config, groups)
        if resumed is not None:
            before = _Offline(prepared, resumed, groups, judge, start, lock, Interrupts(end.say), end.say, end.out)
            if before.complete():
                end.say(f"nothing to do: {config.resume} has its {before.total_steps} steps and its evaluations")
                before.tell()
                return DONE
        check_upload(prepared.config)
        with ray_session(end.say) as logs:
            with room(prepared.config, end.say) as placed:
                prepared = replace(prepared, config=placed)
                check_shared(placed, config)
                check_sandboxes(placed)
            run = open_folder(config, lock, end.say)
            prepared = write_report(prepared, run, end.say)
            link_logs(logs, run.path)
            end.say(f"run folder: {run.path}")
            go_on = resume_words(command_name("offline"), run, config)
            with interruptible(end.say) as interrupts, telling_failures(run, go_on, end.say):
                offline = _Offline(prepared, run, groups, judge, start, lock, interrupts, end.say, end.out)
                offline.phases()
            if interrupts.count:
                end.say(f"stopped; go on with: {go_on}")
                end.status = STOPPED
            else:
                offline.tell()
    return end.status


def _tokenized(config: ResolvedConfig, groups: list[Group]) -> list[Group]:
    longest = getattr(model_settings(config.model), "max_position_embeddings", None)
    path, key = config.offline.groups, "offline.groups="
    if path is None:
        path, key = "the solutions", ""
    try:
        return with_tokens(groups, load_tokenizer(config.model), path, longest, config.task.chat_template_kwargs)
    except ValueError as error:
        raise ConfigError(f"{key}{error}") from None


@dataclass(slots=True)
class _Offline:
    """One offline run under way."""

    prepared: Prepared
    run: RunFolder
    groups: list[Group] | None
    """The kept groups of the file; None where they are sampled."""
    judge: JudgeAddress | None
    """Of a judge that runs elsewhere."""
    start: StartState
    lock: RunLock
    interrupts: Interrupts
    say: Say
    out: TextIO
    """The console, whatever becomes of standard output."""
    trained_on: list[Group] = field(default_factory=list)
    """The groups of ``judged.jsonl`` that carry a gradient, once it is there."""

    @property
    def config(self) -> ResolvedConfig:
        return self.prepared.config

    @property
    def stopped(self) -> bool:
        return self.interrupts.count > 0

    def complete(self) -> bool:
        """Whether each phase has left its file, so that there is nothing to start Ray for."""
        if not self.run.judged.exists():
            return False
        self.trained_on = trainable(collect.stored_groups(self.run.judged))
        total = self.total_steps
        lacks = self.start.step < total or self._lacks_evaluation(0) or self._lacks_evaluation(total)
        return bool(self.trained_on) and not lacks

    def phases(self) -> None:
        self._collect()
        if not self.stopped:
            self._read_judged()
            self._train()
        if not self.stopped:
            self._evaluate_end()

    # --- groups ---

    def _collect(self) -> None:
        """Everything that needs the starting policy's replicas or a judge."""
        judging = not self.run.judged.exists()
        sampling = judging and self.groups is None and not self.run.sampled.exists()
        evaluating = self._lacks_evaluation(0)
        asks = judging and self.config.needs_judge and self.config.judge.kind == "replicas"
        if not (sampling or judging or evaluating):
            return
        if sampling or evaluating or asks:
            self.say("starting the replicas ...")
        names = RunNames.of(self.run)
        with reaping([names.rollout, names.judge]), ExitStack() as up:
            with self.interrupts.at_once():
                # The judge first: Serve starts with HTTP or without.
                address = up.enter_context(starting_judge(self.config, names)) if asks else self.judge
                if sampling or evaluating:
                    rollout = up.enter_context(running_rollout(self.config, names, self.config.model, self.say))
                if asks and address is not None:
                    wait_for_judge_replicas(self.config, address, names.judge, self.say)
            if evaluating:
                self._evaluate(rollout, 0)
            if sampling and not self.stopped:
                self.say("sampling groups from the policy ...")
                sampler = _sampler(self.config, rollout)
                asyncio.run(collect.sample(self.prepared, sampler, self.run.sampled, self._watching))
            if judging and not self.stopped:
                asyncio.run(self._judge(address))

    @property
    def _watching(self) -> collect.Watch:
        return collect.Watch(self.say, lambda: self.stopped)

    async def _judge(self, address: JudgeAddress | None) -> None:
        """Write ``judged.jsonl``."""
        groups, config = self._kept(), self.config
        if config.offline.keep != "all_negative":
            kept = [right_answers(group, config.algorithm, config.offline.positive_advantage) for group in groups]
            collect.write_groups(kept, self.run.judged)
            return
        judge = build_judge(config.judge, address) if config.needs_judge else None
        try:
            panel = Panel(judge, config.judge) if judge is not None else None
            await collect.judge(groups, config, self.prepared.task, panel, self.run.judged, self._watching)
        finally:
            if isinstance(judge, EndpointJudge):
                await judge.close()

    def _kept(self) -> list[Group]:
        path, config = self.run.sampled, self.config
        if self.groups is not None:
            source = config.offline.groups or "the task"
            self.say(f"{len(self.groups):,} groups of {source} are kept ({config.offline.keep})")
            return self.groups
        try:
            groups = read_groups(str(path))
            kept = kept_groups(groups, config.offline, config.algorithm, str(path))
        except ValueError as error:
            raise ConfigError(str(error)) from None
        self.say(f"{len(kept):,} of {len(groups):,} sampled groups are kept ({config.offline.keep})")
        return kept

    def _read_judged(self) -> None:
        """Say what there is to train on, or that there is nothing."""
        groups = collect.stored_groups(self.run.judged)
        self.trained_on = trainable(groups)
        rollouts = [rollout for group in self.trained_on for rollout in group.rollouts_G]
        lost = sum(vote is None for group in groups for rollout in group.rollouts_G for vote in rollout.votes)
        if not rollouts:
            raise ConfigError(
                f"{self.run.judged}: none of the {len(groups)} groups has a signal, the rewards of each are all equal "
                f"({lost} votes of the judge were lost): see that the judge answers, or take more groups"
            )
        scores = [rollout.rts for rollout in rollouts if rollout.rts is not None]
        mean = f", mean RTS {np.mean(scores):.2f}, {lost} votes lost" if scores else ""
        self.say(f"training on {len(rollouts):,} responses of {len(self.trained_on):,} groups with a signal{mean}")

    # --- training ---

    @property
    def total_steps(self) -> int:
        """Optimizer steps of the run, once ``judged.jsonl`` is there."""
        if self.config.steps is not None:
            return self.config.steps
        return math.ceil(self.config.offline.epochs * len(self.trained_on) / self.config.prompts_per_step)

    def _train(self) -> None:
        total, start = self.total_steps, self.start
        if start.step >= total:
            return
        unevaluated = self.config.evaluation.model_copy(update={"every": 0})
        config = self.config.model_copy(update={"evaluation": unevaluated})
        prepared = replace(self.prepared, config=config, total_steps=total)
        self.say("starting the trainer ...")
        with (
            Console(total, start.step, self.out, update_numbers) as console,
            Trackers(self.config, self.run, start.step, console.say) as trackers,
            running_trainer(prepared, self.run, start, self.say) as parts,
        ):
            self.interrupts.say = console.say
            watch(parts, console, trackers, self.interrupts, self.lock)
        parts.trainer.raise_failure()

    # --- evaluation ---

    def _evaluate_end(self) -> None:
        steps = self.total_steps
        if not self._lacks_evaluation(steps):
            return
        self.say("starting the replicas with the trained policy ...")
        model = str(trained_policy(self.run, self.config))
        names = RunNames.of(self.run)
        with reaping([names.rollout]), ExitStack() as up:
            with self.interrupts.at_once():
                rollout = up.enter_context(running_rollout(self.config, names, model, self.say))
            self._evaluate(rollout, steps)

    def _lacks_evaluation(self, step: int) -> bool:
        return self.config.evaluation.every > 0 and step not in self._evaluations()

    def _evaluations(self) -> dict[int, Metrics]:
        return {row["step"]: row for row in read_rows(self.run.evaluations)}

    def _evaluate(self, rollout: RolloutService, step: int) -> None:
        """Held-out accuracy of what the replicas were started with, which has ``step`` optimizer steps."""
        evaluator = Evaluator(self.prepared, _sampler(self.config, rollout))
        found = asyncio.run(evaluator.run(collect.STARTING_WEIGHTS, last=step > 0))
        row: Metrics = {"step": step, **found.metrics}
        cut_rows(self.run.answers, step)  # of an evaluation that was cut short
        parts = [(self.run.answers, found.answers)]
        if self.prepared.sets:
            cut_rows(self.run.set_answers, step)
            parts.append((self.run.set_answers, found.set_answers))
        with ExitStack() as files:
            opened = [(files.enter_context(closing(JsonLines(path))), rows) for path, rows in parts]
            answers = [(file, [{"step": step, **answer} for answer in rows]) for file, rows in opened]
            evaluations = files.enter_context(closing(JsonLines(self.run.evaluations)))
            write_together([*answers, (evaluations, [row])])
        Console(step, step, self.out).row(row)
        with Trackers(self.config, self.run, step, self.say) as trackers:
            trackers.row(row)

    def tell(self) -> None:
        """The last lines."""
        evaluations, steps = self._evaluations(), self.total_steps
        from raysgpo.output.curves import draw_offline  # matplotlib, which no start should wait for

        self.say(f"loss and held-out accuracy: {draw_offline(self.run)}")
        if 0 in evaluations and steps in evaluations:
            before, after = (evaluations[step]["eval/accuracy"] or 0.0 for step in (0, steps))
            self.say(f"held-out accuracy: {before:.1%} -> {after:.1%} (of {evaluations[steps]['eval/prompts']})")
        tell_policy(self.run, self.config, self.say)


def _sampler(config: Config, rollout: RolloutService) -> RetryingSampler:
    return RetryingSampler(serve_sampler(rollout), config.rollout)
