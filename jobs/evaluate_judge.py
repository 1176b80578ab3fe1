"""Measure a judge: ``python jobs/evaluate_judge.py DATA [judge=...] [judge.key=value ...]``.

DATA is a JSONL file of {question, reference, steps, first_error}; or ``arithmetic``: generated responses
to held-out chains; or the ``groups.jsonl`` of a run on chained arithmetic: the policy's own mistakes.
The judge is that of ``judge=tiny`` unless another is named. What the numbers mean:
``raysgpo.studies.judge_quality.quality``. Exit status 2 if something is set wrong or the judge does not answer, 130
after Ctrl-C, which prints what was scored until then.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, TimeElapsedColumn, TimeRemainingColumn

from raysgpo.command.script import run_script
from raysgpo.config import Config
from raysgpo.config.overrides import ConfigError, resolve
from raysgpo.judging.address import JudgeAddress, build_judge
from raysgpo.judging.credentials import read_key
from raysgpo.judging.endpoint import EndpointJudge, JudgeUnavailable
from raysgpo.judging.judge import Judge
from raysgpo.studies.judge_quality.labelled import Labelled, LabelledRow, chosen, generated, read_labelled
from raysgpo.studies.judge_quality.quality import Scored, quality, score
from raysgpo.studies.judge_quality.quality_table import table
from raysgpo.tiny.corruption import corrupted

GENERATED_ROWS = 512
"""Of DATA=arithmetic, unless --limit says otherwise."""
REPORT_SECONDS = 10.0
"""Between two lines of progress where there is no terminal."""
USED_KEYS = ("storage", "task.terms", "task.digits", "task.operators")
"""Settings that matter here beside those of the judge."""
DONE, WRONG_SETTING, STOPPED = 0, 2, 130
"""Exit status."""


@dataclass(slots=True)
class Tally:
    """What was scored, also if the work is cut short."""

    scored: list[Scored] = field(default_factory=list)
    seconds: float = 0.0
    """Wall time of the scoring, without the start of the judge."""


def parser() -> argparse.ArgumentParser:
    command = argparse.ArgumentParser(
        prog="python jobs/evaluate_judge.py",
        description="Measure how exactly a judge finds the first wrong step.",
        epilog=(
            "The judge is judge=tiny unless judge=... names another; judge=rule checks arithmetic only. "
            f"Settings: judge.*, {', '.join(USED_KEYS)}."
        ),
    )
    command.add_argument("data", metavar="DATA", help="a labelled JSONL file, a run's groups.jsonl, or 'arithmetic'")
    command.add_argument("overrides", nargs="*", metavar="key=value", help="settings, such as judge.votes=4")
    command.add_argument(
        "--limit", type=_count, metavar="N", help=f"score N rows drawn at random (arithmetic: {GENERATED_ROWS})"
    )
    command.add_argument("--seed", type=int, default=0, metavar="S", help="of the rows drawn, or generated")
    command.add_argument("--out", metavar="FILE", help="write all numbers and every verdict as JSON")
    return command


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of rows: give 1 or more")
    return int(text)


def main() -> int:
    arguments = parser().parse_intermixed_args()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs start without it
    tally, status = Tally(), DONE
    try:
        config, rows = configure(arguments)
        with running_judge(config) as judge, progress(len(rows)) as advance:
            asyncio.run(measure(judge, config, rows, tally, advance))
    except (ValueError, JudgeUnavailable) as error:
        say(f"error: {error}")
        return WRONG_SETTING
    except KeyboardInterrupt:
        if not tally.scored:
            say("stopped before the first verdict")
            return STOPPED
        say(f"stopped: {len(tally.scored)} of {len(rows)} rows were scored")
        status = STOPPED
    report = {"data": arguments.data, "seed": arguments.seed, "judge": config.judge.model_dump(mode="json")}
    report |= {"asked": len(rows), "wall_seconds": tally.seconds, **quality(tally.scored)}
    print("\n".join(table(report)))
    if arguments.out:
        report["verdicts"] = [verdict(one) for one in tally.scored]
        Path(arguments.out).expanduser().write_text(json.dumps(report, ensure_ascii=False, indent=1) + "\n", "utf-8")
    return status


def say(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


# --- what is measured on what ---


def configure(arguments: argparse.Namespace) -> tuple[Config, list[LabelledRow]]:
    """The settings and the rows to score, in the order in which they are asked.

    Raises:
        ValueError: settings or data that cannot be used.
    """
    if "=" in arguments.data and not Path(arguments.data).exists():
        raise ConfigError(f"{arguments.data}: name the data first: a JSONL file, or arithmetic")
    named = any(word.partition("=")[0] in ("judge", "judge.kind") for word in arguments.overrides)
    config = resolve(*([] if named else [{"judge": "tiny"}]), overrides=arguments.overrides)
    for key in (word.partition("=")[0] for word in arguments.overrides):
        if key.partition(".")[0] != "judge" and key not in USED_KEYS:
            raise ConfigError(f"{key}: has no effect on a judge's measurement; set judge.*, {', '.join(USED_KEYS)}")
    if config.judge.kind == "none":
        raise ConfigError("judge=none judges nothing: choose tiny, rule, replicas or endpoint")
    if arguments.out and not Path(arguments.out).expanduser().absolute().parent.is_dir():
        raise ConfigError(f"--out {arguments.out}: there is no such folder")
    data = labelled(arguments, config)
    if config.judge.kind == "rule" and not data.arithmetic:
        raise ConfigError(
            f"judge=rule can check chained arithmetic only, not {arguments.data}: "
            "give arithmetic or a run's groups.jsonl, or choose a model (judge=endpoint, judge=replicas)"
        )
    return config, chosen(data.rows, arguments.limit, arguments.seed)


def labelled(arguments: argparse.Namespace, config: Config) -> Labelled:
    if arguments.data == "arithmetic":
        return generated(config.task, arguments.limit or GENERATED_ROWS, arguments.seed, corrupted)
    return read_labelled(arguments.data)


async def measure(
    judge: Judge, config: Config, rows: list[LabelledRow], tally: Tally, advance: Callable[[], None]
) -> None:
    """Score the rows into ``tally``.

    Raises:
        JudgeUnavailable: the judge does not answer its first question.
    """

    def scored(one: Scored) -> None:
        tally.scored.append(one)
        advance()

    try:
        if isinstance(judge, EndpointJudge):
            await judge.check(config.judge.start_deadline)
        start = time.monotonic()
        try:
            await score(judge, config.judge, rows, scored)
        finally:
            tally.seconds = time.monotonic() - start
    finally:
        if isinstance(judge, EndpointJudge):
            await judge.close()


@contextmanager
def running_judge(config: Config) -> Iterator[Judge]:
    """The judge that the configuration names; replicas are started, and taken down at the end."""
    with ExitStack() as ending:
        address = None
        if config.judge.kind == "endpoint":
            assert config.judge.base_url and config.judge.model, "the configuration refuses such an endpoint"
            address = JudgeAddress(config.judge.base_url, config.judge.model, read_key(config.judge))
        if config.judge.kind == "replicas":
            address = ending.enter_context(replicas(config))
        judge = build_judge(config.judge, address)
        assert judge is not None, "judge=none was refused"
        yield judge


@contextmanager
def replicas(config: Config) -> Iterator[JudgeAddress]:
    """The address of judge replicas on Ray.

    Raises:
        JudgeUnavailable: they do not start.
    """
    from raysgpo.serving.application import delete
    from raysgpo.serving.judge_replicas import start_judge, wait_for_judge
    from raysgpo.session.ray_session import ray_session  # after the checks: these import Ray
    from raysgpo.start.preparation import find_judge  # imports torch

    judge = find_judge(config, say)
    name = f"judge-quality-{os.getpid()}"
    say("starting the judge replicas ...")
    with ray_session(), ExitStack() as ending:
        address = start_judge(judge, name)
        ending.callback(delete, name, deadline=5.0)
        try:
            wait_for_judge(judge, name, say)
        except (RuntimeError, TimeoutError) as error:
            raise JudgeUnavailable(str(error)) from None
        yield address


# --- what is shown ---


@contextmanager
def progress(total: int) -> Iterator[Callable[[], None]]:
    """Call what it yields after each verdict. A bar, or without a terminal a line now and then."""
    if sys.stderr.isatty():
        columns = (
            *Progress.get_default_columns()[:2],
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=Console(stderr=True), redirect_stdout=False) as bar:
            task = bar.add_task("judge_budget", total=total)
            yield lambda: bar.advance(task)
        return
    done, said = 0, time.monotonic()

    def advance() -> None:
        nonlocal done, said
        done += 1
        if time.monotonic() - said >= REPORT_SECONDS:
            said = time.monotonic()
            say(f"judged {done} of {total} rows")

    yield advance


def verdict(one: Scored) -> dict[str, Any]:
    """One row of the JSON report."""
    return {
        "id": one.row.problem.id,
        "kinds": one.row.kinds,
        "steps": len(one.row.steps),
        "first_error": one.row.first_error,
        "position": one.position,
        "votes": list(one.votes),
        "exact": one.exact,
        "seconds": one.seconds,
        "tokens": one.tokens,
    }


if __name__ == "__main__":
    sys.exit(run_script(__file__, main))
