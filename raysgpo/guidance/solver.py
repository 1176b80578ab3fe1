"""Who solves the questions that trajectories are made of: a larger model behind a server, or the rows themselves."""

from __future__ import annotations

from collections.abc import AsyncIterator

from pydantic import Field

from raysgpo.config import JudgeConfig, Section, TaskConfig
from raysgpo.judging.chat import Chat
from raysgpo.judging.credentials import read_key
from raysgpo.judging.server import NoAnswer, Server, Trouble
from raysgpo.records import Problem
from raysgpo.seeds import derive_seed

TRANSPORT = ("temperature", "max_tokens", "concurrency", "call_deadline", "retries", "api_key_env")
"""Settings that mean here what they mean for a judge's server."""


class SolverConfig(Section):
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
    """Seconds for one solution; as ``judge.call_deadline``, they begin anew with each answer to another question."""
    retries: int = Field(4, ge=0)
    """How often a call is sent again after 429, 5xx, a time-out or no connection."""
    seed: int = 0
    task: TaskConfig = TaskConfig(kind="math")
    """As of a run: how the questions are read, solutions graded and cut into steps."""


class Solver:
    """It belongs to the event loop that uses it first."""

    def __init__(self, config: SolverConfig) -> None:
        """Raises ConfigError if the server's key is not there."""
        self._config = config
        self._server = _server(config)
        self._chat = None if self._server is None else Chat(self._server)

    async def solutions(self, problem: Problem) -> AsyncIterator[str]:
        """Solutions as they are wanted; an empty text was cut off, or did not come in time.

        Raises:
            NoAnswer: there is no server, or it refuses the question, after all retries.
        """
        if self._chat is None:
            yield problem.reference or ""
            return
        for sample in range(self._config.samples):
            yield await self._ask(self._chat, problem, sample)

    async def _ask(self, chat: Chat, problem: Problem, sample: int) -> str:
        seed = derive_seed("trajectory", self._config.seed, problem.id, sample)
        try:
            return (await chat.ask([{"role": "user", "content": problem.prompt}], seed)).text
        except NoAnswer as error:
            if error.trouble not in (Trouble.TIMEOUT, Trouble.GARBAGE):
                raise
            return ""

    async def close(self) -> None:
        if self._server is not None:
            await self._server.close()


def _server(config: SolverConfig) -> Server | None:
    if config.base_url is None or config.model is None:
        return None
    transport = JudgeConfig(kind="endpoint", **{name: getattr(config, name) for name in TRANSPORT})
    return Server(transport, config.base_url, config.model, read_key(transport), connections=config.concurrency)
