"""Evaluate models: ``python jobs/evaluate.py MODEL [MODEL ...] --sets aime24,math500 [key=value ...]``.

MODEL is what ``model`` of a run takes: a folder such as a run's ``exports/step-000080``, a hub name, a word; with
``--base-url`` the name of a model on an OpenAI-compatible server. All sets are asked at once, each with the settings of
its description (docs/evaluation.md), which words change for all sets (``samples=4``) or for one
(``aime24.samples=4``). Every answer is kept in ``STORAGE/evaluations/NAME-NNN``; an evaluation that was stopped or
killed goes on with ``--resume NAME-NNN`` and asks nothing twice. Exit status 1 if the replicas do not come up,
2 if something is set wrong or a server does not answer, 130 after Ctrl-C.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from raysgpo.command.evaluation_words import EvaluationWords, divided
from raysgpo.config import Config
from raysgpo.config.command_name import command_name
from raysgpo.config.overrides import ConfigError, resolve
from raysgpo.config.places import check_writable
from raysgpo.config.run_name import checked_name
from raysgpo.evaluation.access import check_access
from raysgpo.evaluation.catalogue import known_sets
from raysgpo.evaluation.evaluating import Evaluating
from raysgpo.evaluation.folder import EvaluationFolder
from raysgpo.evaluation.plan import Plan, PlannedSet, check_unchanged, labelled
from raysgpo.evaluation.questions import load_set
from raysgpo.evaluation.server import ServerAnswers
from raysgpo.evaluation.table import print_scores
from raysgpo.imports import large_import
from raysgpo.judging.server import NoProxy
from raysgpo.output.exit_status import DONE, FAILED, STOPPED, WRONG_SETTING
from raysgpo.output.run_lock import RunLock
from raysgpo.tasks.question_set import QuestionSet

NAME = "evaluation"


def parser() -> argparse.ArgumentParser:
    command = argparse.ArgumentParser(
        prog=command_name("evaluate"),
        description="Evaluate models on several sets of questions at once.",
        epilog=f"sets: {', '.join(known_sets())}; NAME=FILE brings the rows of one, FILE.jsonl, FILE.toml: your own",
    )
    command.add_argument("words", nargs="*", metavar="MODEL | key=value", help="models, and settings such as samples=4")
    command.add_argument("--sets", metavar="A,B", help="what they are asked")
    command.add_argument("--labels", metavar="A,B", help="what the models are called; default: the ends of their paths")
    command.add_argument("--name", metavar="NAME", help=f"of the folder; default: {NAME}")
    command.add_argument("--resume", metavar="NAME-NNN", help="go on with an evaluation: its folder or its name")
    command.add_argument("--base-url", metavar="URL", help="of an OpenAI-compatible server that has the models")
    command.add_argument(
        "--key-env", metavar="VARIABLE", help="the environment variable of its key, as judge.api_key_env"
    )
    command.add_argument("--examiner-url", metavar="URL", help="of the server that grades free text")
    command.add_argument("--examiner-model", metavar="NAME", help="the examiner's name there")
    command.add_argument("--examiner-key-env", metavar="VARIABLE", help="the environment variable of its key")
    return command


def main() -> int:
    arguments = parser().parse_intermixed_args()
    for number in (signal.SIGINT, signal.SIGTERM):  # a shell's background jobs start without the first
        signal.signal(number, signal.default_int_handler)
    try:
        with RunLock(say) as lock:
            return evaluate(arguments, lock)
    except (ConfigError, NoProxy) as error:
        print(f"error: {error}", file=sys.stderr)
        return WRONG_SETTING


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


@dataclass(frozen=True, slots=True)
class Asked:
    """What the words of the command come to."""

    plan: Plan
    sets: list[QuestionSet]
    config: Config
    """Settings of the replicas, and where evaluations are kept."""
    folder: EvaluationFolder | None
    """Of an evaluation that is gone on with."""


def evaluate(arguments: argparse.Namespace, lock: RunLock) -> int:
    """Raises ConfigError, NoProxy."""
    asked = resumed(arguments) if arguments.resume else begun(arguments)
    asyncio.run(check_access(asked.plan))
    name, out = checked_name(arguments.name or NAME), sys.stdout
    folder = asked.folder or EvaluationFolder.create(asked.config.storage_root, name, asked.plan)
    lock.hold(folder.path)
    say(f"evaluation: {folder.path}")
    for one in asked.sets:
        if one.left_out:
            say(f"{one.name}: left out, for their answers are no single values: {', '.join(one.left_out)}")
    evaluating = Evaluating(asked.plan, asked.sets, folder, say)
    go_on = f"go on with: {command_name('evaluate')} --resume {folder.path}"
    try:
        ask(evaluating, asked.config)
        asyncio.run(evaluating.grade())
    except KeyboardInterrupt:
        say(f"stopped; {go_on}")
        return STOPPED
    except (RuntimeError, TimeoutError) as error:  # the replicas did not come up
        say(f"failed: {error}; {go_on}")
        return FAILED
    print_scores(evaluating.finish(), out)
    print(f"scores: {folder.scores}", file=out)
    return DONE


def begun(arguments: argparse.Namespace) -> Asked:
    """A new evaluation.

    Raises:
        ConfigError: something is missing or set wrong.
    """
    models, settings = divided(arguments.words)
    if not models or not arguments.sets:
        raise ConfigError(f"name models and --sets ({', '.join(known_sets())}), or --resume an evaluation")
    words = EvaluationWords(_listed(arguments.sets), settings)
    config = words.config()
    if config.store is not None:
        raise ConfigError(f"storage={config.storage}: an evaluation is kept in a folder that all nodes share")
    try:
        check_writable("storage", config.storage_root)
        checked_name(arguments.name or NAME)
    except ValueError as error:
        raise ConfigError(str(error)) from None
    labels = labelled(models, _listed(arguments.labels))
    server = words.server("server", models[0], base_url=arguments.base_url, api_key_env=arguments.key_env)
    of_examiner = {"base_url": arguments.examiner_url, "api_key_env": arguments.examiner_key_env}
    examiner = words.server("examiner", arguments.examiner_model, **of_examiner)
    sets = [load_set(one) for one in words.sets()]
    plan = Plan(
        models=labels,
        sets=tuple(map(PlannedSet.of, sets)),
        seed=config.seed,
        server=server,
        examiner=examiner,
        words=tuple(words.of_runs),
    )
    return Asked(plan, sets, config, None)


def resumed(arguments: argparse.Namespace) -> Asked:
    """An evaluation as it was begun.

    Raises:
        ConfigError: there is none, it is to be another one, or the rows of a set have changed.
    """
    others = [word for word in arguments.words if not word.startswith("storage=")]
    given = [name for name in ("sets", "labels", "name", "base_url", "examiner_url") if getattr(arguments, name)]
    if others or given:
        what = others[0] if others else f"--{given[0].replace('_', '-')}"
        raise ConfigError(
            f"--resume {arguments.resume} goes on with what the evaluation was begun with: leave out {what}"
        )
    folder = EvaluationFolder.existing(arguments.resume, resolve(overrides=arguments.words).storage_root)
    plan = folder.plan()
    sets = [load_set(one) for one in plan.sets]
    check_unchanged(plan.sets, sets)
    return Asked(plan, sets, resolve(overrides=plan.words), folder)


def ask(evaluating: Evaluating, config: Config) -> None:
    """Raises ConfigError if the models cannot be asked."""
    if evaluating.plan.server is not None:
        asyncio.run(_ask_server(evaluating))
        return
    with large_import():
        from raysgpo.session.evaluating_models import evaluate_models

    evaluate_models(evaluating, config, say)


async def _ask_server(evaluating: Evaluating) -> None:
    server = evaluating.plan.server
    assert server is not None, "the models are on a server"
    for model in evaluating.unanswered():
        answers = ServerAnswers(server, model.model, [one.settings for one in evaluating.sets])
        try:
            await evaluating.ask(model, answers, server.concurrency)
        finally:
            await answers.close()


def _listed(text: str | None) -> Sequence[str]:
    return [one.strip() for one in text.split(",") if one.strip()] if text else []
