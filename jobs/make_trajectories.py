"""Make trajectories for guidance: ``python jobs/make_trajectories.py QUESTIONS OUT [key=value ...]``.

QUESTIONS has rows of question and answer, in any form that ``task.path`` takes. With ``base_url`` and ``model`` a
larger model behind an OpenAI-compatible server (``vllm serve MODEL``) solves each question up to ``samples`` times;
without, the rows' own solutions are taken. What is complete, right and has a step before its answer is written to OUT
as the row's ``solution``, one row a question, ready for ``task.path``. Rows that stand in OUT already are not asked
again, so an interrupted job goes on. Exit status 2 if something is set wrong or the server does not answer.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path

from raysgpo.command.exit_status import DONE, WRONG_SETTING
from raysgpo.command.own_settings import own_settings
from raysgpo.command.script import run_script
from raysgpo.config import TaskConfig
from raysgpo.config.overrides import ConfigError
from raysgpo.data.report import reading
from raysgpo.guidance.selection import Fate
from raysgpo.guidance.solver import SolverConfig
from raysgpo.guidance.trajectory_file import write_trajectories
from raysgpo.judging.server import NoAnswer
from raysgpo.output.json_lines import read_rows
from raysgpo.tasks.math import read_problems


def parser() -> argparse.ArgumentParser:
    command = argparse.ArgumentParser(
        prog="python jobs/make_trajectories.py",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="settings: " + ", ".join(f"{name}={f.default}" for name, f in SolverConfig.model_fields.items()),
    )
    command.add_argument("questions", metavar="QUESTIONS", help="rows of question and answer")
    command.add_argument("out", metavar="OUT", help="JSONL to write, or to go on with")
    command.add_argument("words", nargs="*", metavar="key=value", help="settings")
    return command


def configure(words: list[str]) -> SolverConfig:
    """Raises ConfigError, naming the key, for words that are no settings."""
    config = own_settings(SolverConfig, words)
    if (config.base_url is None) != (config.model is None):
        raise ConfigError("base_url and model belong together: set both, or neither to take the rows' own solutions")
    return config


def main() -> int:
    arguments = parser().parse_intermixed_args()
    out = Path(arguments.out).expanduser()
    try:
        config = configure(arguments.words)
        if not out.absolute().parent.is_dir():
            raise ConfigError(f"{arguments.out}: there is no such folder")
        with reading() as report:
            problems = list(read_problems(TaskConfig(kind="math", path=arguments.questions)))
        report.divided([problem.id for problem in problems], [])
        print(report.line())
        fates = asyncio.run(write_trajectories(problems, out, config))
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return WRONG_SETTING
    except NoAnswer as error:
        print(f"error: base_url={config.base_url}: {error}; run it again to go on", file=sys.stderr)
        return WRONG_SETTING
    print(", ".join(f"{fates[one]} {one.value}" for one in Fate) + " solutions")
    print(f"{sum(1 for _ in read_rows(out))} of {len(problems)} questions have a trajectory: {out}")
    return DONE


if __name__ == "__main__":
    sys.exit(run_script(__file__, main))
