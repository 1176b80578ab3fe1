"""Make trajectories for guidance: ``python jobs/make_trajectories.py QUESTIONS OUT [key=value ...]``.

QUESTIONS is a JSONL file of question and answer, as for ``task.path``. With ``base_url`` and ``model`` a larger
model behind an OpenAI-compatible server (``vllm serve MODEL``) solves each question up to ``samples`` times; without,
the rows' own solutions are taken. What is complete, right and has a step before its answer is written to OUT as
the row's ``solution``, one row a question, ready for ``task.path``. Rows that stand in OUT already are not asked
again, so an interrupted job goes on. Exit status 2 if something is set wrong or the server does not answer.
"""

from __future__ import annotations

import argparse
import asyncio
import difflib
import sys
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import Field, ValidationError

from raysgpo.command.script import run_script
from raysgpo.config import JudgeConfig, Section, TaskConfig
from raysgpo.guidance.selection import Fate, fate
from raysgpo.judging.chat import Chat
from raysgpo.judging.credentials import read_key
from raysgpo.judging.server import NoAnswer, Server, Trouble
from raysgpo.output.run_folder import JsonLines, read_rows
from raysgpo.records import Problem
from raysgpo.seeds import derive_seed
from raysgpo.tasks.grader import DeadlineGrader, Grader
from raysgpo.tasks.math import INSTRUCTION, read_problems
from raysgpo.tasks.math_grading import MathGrading
from raysgpo.tasks.reasoning import split_steps


class TrajectoriesConfig(Section):
    """Who solves the questions, and how."""

    base_url: str | None = None
    """Such as http://10.0.0.5:8000/v1; None takes the rows' own solutions."""
    model: str | None = None
    """The model's name there."""
    api_key_env: str | None = None
    """The environment variable that holds the server's key; None for a server that wants none."""
    samples: int = Field(4, ge=1)
    """Most solutions asked for a question; the first that is fit is kept."""
    temperature: float = Field(0.6, ge=0)
    max_tokens: int = Field(8192, ge=1)
    """Longest solution."""
    concurrency: int = Field(64, ge=1)
    """Questions in flight."""
    call_deadline: float = Field(600.0, gt=0)
    """Seconds for one solution."""
    retries: int = Field(4, ge=0)
    """How often a call is sent again after 429, 5xx, a time-out or no connection."""
    seed: int = 0
    max_reasoning_steps: int = Field(TaskConfig().max_reasoning_steps, ge=1)
    """As ``task.max_reasoning_steps``."""
    grade_deadline: float = Field(TaskConfig().grade_deadline, gt=0)
    """As ``task.grade_deadline``."""


def configure(words: list[str]) -> TrajectoriesConfig:
    """Raises ValueError, naming the key, for words that are no settings."""
    for word in words:
        key = word.partition("=")[0]
        if key not in TrajectoriesConfig.model_fields:
            near = difflib.get_close_matches(key, TrajectoriesConfig.model_fields, n=1)
            known = ", ".join(TrajectoriesConfig.model_fields)
            raise ValueError(f"{key}: unknown key; " + (f"did you mean {near[0]}?" if near else f"known are {known}"))
    try:
        config = TrajectoriesConfig.model_validate(OmegaConf.to_container(OmegaConf.from_dotlist(words)))
    except OmegaConfBaseException as error:
        raise ValueError(f"{' '.join(words)}: not readable: {error}") from None
    except ValidationError as error:
        raise ValueError("\n".join(f"{e['loc'][0]}={e['input']}: {e['msg']}" for e in error.errors())) from None
    if (config.base_url is None) != (config.model is None):
        raise ValueError("base_url and model belong together: set both, or neither to take the rows' own solutions")
    return config


async def make(problems: list[Problem], out: Path, config: TrajectoriesConfig) -> Counter[Fate]:
    """Writes the rows that have a fit solution, each when it is there; the fates of all solutions.

    Raises:
        NoAnswer: there is no server, or it refuses the question, after all retries.
    """
    done = {str(row["id"]) for row in read_rows(out)}
    grader = DeadlineGrader(MathGrading(0.0), config.grade_deadline)
    lines, fates, places = JsonLines(out), Counter[Fate](), asyncio.Semaphore(config.concurrency)
    server = _server(config)
    chat = Chat(server) if server is not None else None

    async def one(problem: Problem) -> None:
        async with places:
            async for text in _solutions(problem, chat, config):
                found = await _fate(text, problem, grader, config)
                fates[found] += 1
                if found is Fate.KEPT:
                    lines.write(_row(problem, text, config.model))
                    return

    try:
        await asyncio.gather(*(one(problem) for problem in problems if problem.id not in done))
    finally:
        lines.close()
        grader.close()
        if server is not None:
            await server.close()
    return fates


def _server(config: TrajectoriesConfig) -> Server | None:
    if config.base_url is None or config.model is None:
        return None
    names = ("temperature", "max_tokens", "concurrency", "call_deadline", "retries", "api_key_env")
    transport = JudgeConfig(kind="endpoint", **{name: getattr(config, name) for name in names})
    return Server(transport, config.base_url, config.model, read_key(transport), connections=config.concurrency)


async def _solutions(problem: Problem, chat: Chat | None, config: TrajectoriesConfig) -> AsyncIterator[str]:
    """Solutions as they are wanted; an empty text was cut off, or did not come in time."""
    if chat is None:
        yield problem.reference or ""
        return
    for sample in range(config.samples):
        seed = derive_seed("trajectory", config.seed, problem.id, sample)
        try:
            yield (await chat.ask([{"role": "user", "content": problem.prompt}], seed)).text
        except NoAnswer as error:
            if error.trouble not in (Trouble.TIMEOUT, Trouble.GARBAGE):
                raise
            yield ""


async def _fate(text: str, problem: Problem, grader: Grader, config: TrajectoriesConfig) -> Fate:
    grade = await grader.grade(problem, text)
    return fate(text, problem, grade, lambda whole: split_steps(whole, config.max_reasoning_steps))


def _row(problem: Problem, solution: str, model: str | None) -> dict[str, Any]:
    source = {} if model is None else {"solution_by": model}
    question = problem.prompt.removesuffix(INSTRUCTION)
    named = {"id": problem.id, "question": question, "answer": problem.answer, "solution": solution}
    return {**problem.metadata, **named, **source}


def main() -> int:
    command = argparse.ArgumentParser(
        prog="python jobs/make_trajectories.py",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="settings: " + ", ".join(f"{name}={f.default}" for name, f in TrajectoriesConfig.model_fields.items()),
    )
    command.add_argument("questions", metavar="QUESTIONS", help="JSONL of question and answer")
    command.add_argument("out", metavar="OUT", help="JSONL to write, or to go on with")
    command.add_argument("words", nargs="*", metavar="key=value", help="settings")
    arguments = command.parse_intermixed_args()
    out = Path(arguments.out).expanduser()
    try:
        config = configure(arguments.words)
        if not out.absolute().parent.is_dir():
            raise ValueError(f"{arguments.out}: there is no such folder")
        problems = list(read_problems(arguments.questions, "QUESTIONS"))
        fates = asyncio.run(make(problems, out, config))
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except NoAnswer as error:
        print(f"error: base_url={config.base_url}: {error}; run it again to go on", file=sys.stderr)
        return 2
    print(", ".join(f"{fates[one]} {one.value}" for one in Fate) + " solutions")
    print(f"{sum(1 for _ in read_rows(out))} of {len(problems)} questions have a trajectory: {out}")
    return 0


if __name__ == "__main__":
    sys.exit(run_script(__file__, main))
