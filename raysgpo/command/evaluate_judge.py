"""Measure judges: ``python jobs/evaluate_judge.py DATA [judge=...] [judge.key=value ...] [--judge "NAME: ..."]``.

DATA is a JSONL file of {question, reference, steps, first_error}; or ``arithmetic``: generated responses
to held-out chains; or the ``groups.jsonl`` of a run on chained arithmetic: the policy's own mistakes.
The judge is that of ``judge=tiny`` unless another is named; ``--judge`` adds one of several, which are shown side by
side. With ``--out`` each verdict is kept as it comes, and the same command again asks only for what is missing. What
the numbers mean: ``raysgpo.studies.judge_quality.quality`` and ``useful``. Exit status 2 if something is set wrong or a
judge does not answer, 130 after Ctrl-C, which shows what was scored until then.
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
from raysgpo.judging.credentials import read_key
from raysgpo.judging.endpoint import JudgeUnavailable
from raysgpo.output.exit_status import DONE, STOPPED, WRONG_SETTING
from raysgpo.studies.judge_quality.judges import EXAMPLE, USED_KEYS, NamedJudge, named_judges
from raysgpo.studies.judge_quality.labelled import Labelled, LabelledRow, chosen, generated, read_labelled
from raysgpo.studies.judge_quality.measurement import Tally, measure
from raysgpo.studies.judge_quality.quality import Scored
from raysgpo.studies.judge_quality.report import make_report, shown, write_reports
from raysgpo.studies.judge_quality.running_judge import running_judge
from raysgpo.studies.judge_quality.scoring_progress import scoring_progress
from raysgpo.studies.judge_quality.verdicts_file import VerdictsFile
from raysgpo.tiny.corruption import corrupted

GENERATED_ROWS = 512
"""Of DATA=arithmetic, unless --limit says otherwise."""


def parser() -> argparse.ArgumentParser:
    command = argparse.ArgumentParser(
        prog=command_name("evaluate_judge"),
        description="Measure how exactly judges find the first wrong step, and what that costs.",
        epilog=(
            "The judge is judge=tiny unless judge=... names another; judge=rule checks arithmetic only. "
            f"Settings: judge.*, {', '.join(USED_KEYS)}."
        ),
    )
    command.add_argument("data", metavar="DATA", help="a labelled JSONL file, a run's groups.jsonl, or 'arithmetic'")
    command.add_argument("overrides", nargs="*", metavar="key=value", help="settings, such as judge.votes=4")
    command.add_argument(
        "--judge",
        action="append",
        default=[],
        metavar="'NAME: judge.key=value ...'",
        help=f"one of several judges, such as '{EXAMPLE}'; key=value words beside the data hold for all",
    )
    command.add_argument(
        "--limit", type=_count, metavar="N", help=f"score N rows drawn at random (arithmetic: {GENERATED_ROWS})"
    )
    command.add_argument("--seed", type=int, default=0, metavar="S", help="of the rows drawn, or generated")
    command.add_argument(
        "--out",
        metavar="FILE.json",
        help="keep all numbers and every verdict, with a page (FILE.md); the same command again goes on",
    )
    return command


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of rows: give 1 or more")
    return int(text)


def main() -> int:
    arguments = parser().parse_intermixed_args()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs start without it
    out = Path(arguments.out).expanduser() if arguments.out else None
    try:
        judges, rows = configure(arguments)
        file = VerdictsFile(out.with_suffix(".verdicts.jsonl")) if out else None
    except ValueError as error:
        say(f"error: {error}")
        return WRONG_SETTING
    tallies = [Tally(file.kept(judge.config.judge, rows) if file else []) for judge in judges]
    status = ask_all(judges, rows, tallies, file)
    if not any(tally.scored for tally in tallies):
        return status
    reports = [
        make_report(arguments.data, arguments.seed, judge, len(rows), tally)
        for judge, tally in zip(judges, tallies, strict=True)
    ]
    print("\n".join(shown(reports)))
    if out:
        write_reports(out, reports, tallies)
    return status


def ask_all(judges: list[NamedJudge], rows: list[LabelledRow], tallies: list[Tally], file: VerdictsFile | None) -> int:
    """One judge after the other is asked for what it has not said yet; one that cannot be asked is named, and the
    others go on. The exit status."""
    status = DONE
    for judge, tally in zip(judges, tallies, strict=True):
        name = f"{judge.name}: " if len(judges) > 1 else ""
        missing = unjudged(rows, tally)
        if len(missing) < len(rows):
            say(f"{name}{len(rows) - len(missing)} of {len(rows)} rows were judged before")
        try:
            if missing:
                ask(judge, missing, tally, file)
        except (ValueError, JudgeUnavailable) as error:
            say(f"error: {name}{error}")
            status = WRONG_SETTING
        except KeyboardInterrupt:
            said = f"stopped: {name}{len(tally.scored)} of {len(rows)} rows were scored"
            say(said if tally.scored else f"{name}stopped before the first verdict")
            return STOPPED
    return status


def unjudged(rows: list[LabelledRow], tally: Tally) -> list[LabelledRow]:
    """The rows without a verdict."""
    known = {one.row.digest for one in tally.scored}
    return [row for row in rows if row.digest not in known]


def ask(judge: NamedJudge, rows: list[LabelledRow], tally: Tally, file: VerdictsFile | None) -> None:
    """Score these rows with one judge.

    Raises:
        ValueError: its key or its checkpoint is not there.
        JudgeUnavailable: it does not answer.
        WriteFailed: what it says cannot be kept.
    """
    config = judge.config

    def heard(scored: Scored) -> None:
        if file is not None:
            file.add(config.judge, scored)
        advance()

    with running_judge(config, rows, say) as answering, scoring_progress(len(rows), say) as advance:
        asyncio.run(measure(answering, config.judge, rows, tally, heard))


def say(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


def configure(arguments: argparse.Namespace) -> tuple[list[NamedJudge], list[LabelledRow]]:
    """The judges, and the rows to score in the order in which they are asked.

    Raises:
        ValueError: settings or data that cannot be used.
    """
    if "=" in arguments.data and not Path(arguments.data).exists():
        raise ConfigError(f"{arguments.data}: name the data first: a JSONL file, or arithmetic")
    judges = named_judges(arguments.judge, arguments.overrides)
    check_out(arguments.out)
    data = labelled(arguments, judges[0].config)
    for judge in judges:
        if judge.config.judge.kind == "rule" and not data.arithmetic:
            raise ConfigError(
                f"judge=rule can check chained arithmetic only, not {arguments.data}: "
                "give arithmetic or a run's groups.jsonl, or choose a model (judge=endpoint, judge=replicas)"
            )
        if judge.config.judge.kind == "endpoint":
            read_key(judge.config.judge)
    return judges, chosen(data.rows, arguments.limit, arguments.seed)


def check_out(out: str | None) -> None:
    if out is None:
        return
    path = Path(out).expanduser().absolute()
    if not path.parent.is_dir():
        raise ConfigError(f"--out {out}: there is no such folder")
    if path.suffix != ".json" or path.is_dir():
        raise ConfigError(f"--out {out}: name a JSON file, such as {path.with_suffix('.json').name}")


def labelled(arguments: argparse.Namespace, config: Config) -> Labelled:
    if arguments.data == "arithmetic":
        return generated(config.task, arguments.limit or GENERATED_ROWS, arguments.seed, corrupted)
    return read_labelled(arguments.data)
