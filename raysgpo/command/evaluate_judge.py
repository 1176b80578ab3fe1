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
import signal
import sys
from pathlib import Path

from raysgpo.config import Config
from raysgpo.config.command_name import command_name
from raysgpo.config.overrides import ConfigError
from raysgpo.judging.endpoint import JudgeUnavailable
from raysgpo.output.exit_status import DONE, STOPPED, WRONG_SETTING
from raysgpo.studies.judge_quality.labelled import Labelled, LabelledRow, chosen, generated, read_labelled
from raysgpo.studies.judge_quality.measurement import Tally, measure
from raysgpo.studies.judge_quality.quality_table import table
from raysgpo.studies.judge_quality.report import make_report, write_report
from raysgpo.studies.judge_quality.running_judge import running_judge
from raysgpo.studies.judge_quality.scoring_progress import scoring_progress
from raysgpo.studies.judge_quality.settings import USED_KEYS, measured_settings
from raysgpo.tiny.corruption import corrupted

GENERATED_ROWS = 512
"""Of DATA=arithmetic, unless --limit says otherwise."""


def parser() -> argparse.ArgumentParser:
    command = argparse.ArgumentParser(
        prog=command_name("evaluate_judge"),
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
        with running_judge(config, rows, say) as judge, scoring_progress(len(rows), say) as advance:
            asyncio.run(measure(judge, config.judge, rows, tally, advance))
    except (ValueError, JudgeUnavailable) as error:
        say(f"error: {error}")
        return WRONG_SETTING
    except KeyboardInterrupt:
        if not tally.scored:
            say("stopped before the first verdict")
            return STOPPED
        say(f"stopped: {len(tally.scored)} of {len(rows)} rows were scored")
        status = STOPPED
    report = make_report(arguments.data, arguments.seed, config.judge, len(rows), tally)
    print("\n".join(table(report)))
    if arguments.out:
        write_report(Path(arguments.out).expanduser(), report, tally.scored)
    return status


def say(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


def configure(arguments: argparse.Namespace) -> tuple[Config, list[LabelledRow]]:
    """The settings and the rows to score, in the order in which they are asked.

    Raises:
        ValueError: settings or data that cannot be used.
    """
    if "=" in arguments.data and not Path(arguments.data).exists():
        raise ConfigError(f"{arguments.data}: name the data first: a JSONL file, or arithmetic")
    config = measured_settings(arguments.overrides)
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
