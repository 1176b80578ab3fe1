"""Make trajectories for guidance: ``python jobs/make_trajectories.py QUESTIONS OUT [key=value ...]``.

QUESTIONS is a JSONL file as for ``task.path``: of question and answer, or with ``task.kind=code`` of question and
tests, which solutions must pass in the sandbox. With ``base_url`` and ``model`` a larger
model behind an OpenAI-compatible server (``vllm serve MODEL``) solves each question up to ``samples`` times; without,
the rows' own solutions are taken. What is complete, right and has a step before its answer is written to OUT as
the row's ``solution``, one row a question, ready for ``task.path``. Rows that stand in OUT already are not asked
again, so an interrupted job goes on. Exit status 2 if something is set wrong or the server does not answer.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Callable
from pathlib import Path
from pkgutil import resolve_name

from raysgpo.command.exit_status import DONE, WRONG_SETTING
from raysgpo.command.own_settings import own_settings
from raysgpo.command.script import run_script
from raysgpo.config import TaskConfig
from raysgpo.config.overrides import ConfigError
from raysgpo.config.reference import settings
from raysgpo.guidance.selection import Fate
from raysgpo.guidance.solver import SolverConfig
from raysgpo.guidance.trajectory_file import write_trajectories
from raysgpo.judging.server import NoAnswer
from raysgpo.output.json_lines import read_rows
from raysgpo.tasks.task import Task


def parser() -> argparse.ArgumentParser:
    command = argparse.ArgumentParser(
        prog="python jobs/make_trajectories.py",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="settings: "
        + ", ".join(f"{one.key}={one.default}" for one in settings(SolverConfig) if not one.key.startswith("task."))
        + ", and those of task, such as task.kind=math",
    )
    command.add_argument("questions", metavar="QUESTIONS", help="JSONL as for task.path")
    command.add_argument("out", metavar="OUT", help="JSONL to write, or to go on with")
    command.add_argument("words", nargs="*", metavar="key=value", help="settings")
    return command


def configure(questions: str, words: list[str]) -> SolverConfig:
    """Raises ConfigError, naming the key, for words that are no settings."""
    config = own_settings(SolverConfig, words)
    row = config.task.row
    if row.fields is None or row.judgement:
        raise ConfigError(
            f"task.kind={config.task.kind}: its rows take no solution to be guided by; choose another task"
        )
    task = config.task.model_copy(update={"path": questions, "check_solutions": 0, "format_reward": 0.0})
    config = config.model_copy(update={"task": task})
    if (config.base_url is None) != (config.model is None):
        raise ConfigError("base_url and model belong together: set both, or neither to take the rows' own solutions")
    return config


def main() -> int:
    arguments = parser().parse_intermixed_args()
    out = Path(arguments.out).expanduser()
    try:
        config = configure(arguments.questions, arguments.words)
        if not out.absolute().parent.is_dir():
            raise ConfigError(f"{arguments.out}: there is no such folder")
        factory: Callable[[TaskConfig, int], Task] = resolve_name(config.task.row.factory)
        task = factory(config.task, 0)
        fates = asyncio.run(write_trajectories(task, out, config))
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return WRONG_SETTING
    except NoAnswer as error:
        print(f"error: base_url={config.base_url}: {error}; run it again to go on", file=sys.stderr)
        return WRONG_SETTING
    print(", ".join(f"{fates[one]} {one.value}" for one in Fate) + " solutions")
    print(f"{sum(1 for _ in read_rows(out))} of {len(task.train)} questions have a trajectory: {out}")
    return DONE


if __name__ == "__main__":
    sys.exit(run_script(__file__, main))
