"""The judge behind any OpenAI-compatible endpoint."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from pydantic import SecretStr

from raysgpo.config import JudgeConfig
from raysgpo.judging.chat import Chat
from raysgpo.judging.compact import compact_prompt, read_letter
from raysgpo.judging.completions import Completions
from raysgpo.judging.judge import Failure, Judgement, Outcome
from raysgpo.judging.prompt import judge_messages
from raysgpo.judging.server import Answer, NoAnswer, NoProxy, Server, Trouble
from raysgpo.judging.verdict import read_verdict
from raysgpo.records import Problem

_log = logging.getLogger(__name__)

_FIRST_QUESTION = Problem(id="check", prompt="1+1=?", answer="2", reference="1+1=2\n#### 2")
_MODELS_SHOWN = 10


class JudgeUnavailable(Exception):
    """The judge cannot be asked; the message names the setting and the fix."""


@dataclass(frozen=True, slots=True)
class _Session:
    """What belongs to one event loop."""

    loop: asyncio.AbstractEventLoop
    server: Server
    chat: Chat
    completions: Completions


class EndpointJudge:
    """A :class:`raysgpo.judging.judge.Judge` that asks a server; one call is one vote.

    Whatever the server does, a call returns a Judgement; the first failure of each kind is logged.
    The connections open on first use, in the event loop that asks: the judge may be built in one
    thread, checked in a second and used in a third.

    Args:
        base_url: such as ``http://10.0.0.5:8000/v1``.
        key: sent in the header ``Authorization`` and nowhere else; None sends none.
    """

    def __init__(self, config: JudgeConfig, base_url: str, model: str, key: SecretStr | str | None) -> None:
        self._config = config
        self._base_url = base_url
        self._model = model
        self._key = SecretStr(key) if isinstance(key, str) else key
        self._session: _Session | None = None
        self._warned: set[str] = set()

    async def __call__(
        self, problem: Problem, steps: Sequence[str], seed: int, outcome: Outcome = Outcome.UNKNOWN
    ) -> Judgement:
        characters = sum(map(len, steps))
        if characters > self._config.max_characters:
            self._warn(
                "long",
                f"a response of {characters} characters exceeds judge.max_characters and was not sent to the judge",
            )
            return Judgement(None, Failure.ERROR)
        try:
            session = self._here()
        except NoProxy as error:
            self._warn("proxy", str(error))
            return Judgement(None, Failure.ERROR)
        start = time.monotonic()
        try:
            answer = await self._ask(session, problem, steps, seed, outcome)
        except NoAnswer as error:
            self._warn(f"{error.trouble} {error.status}", error.said)
            failure = Failure.TIMEOUT if error.trouble is Trouble.TIMEOUT else Failure.ERROR
            return Judgement(None, failure, seconds=time.monotonic() - start)
        seconds = time.monotonic() - start
        position = self._read(answer.text, len(steps)) if answer.text else None
        if position is None:
            self._warn("unreadable", "its verdict is empty or cannot be read")
            return Judgement(None, Failure.UNREADABLE, answer.tokens, seconds, answer.text)
        return Judgement(position, None, answer.tokens, seconds, answer.text)

    async def check(self, deadline: float) -> None:
        """Ask one easy question: is the server there, has it the model, does it accept the key?

        The question has the form of all others, so a parameter that the model refuses is known
        afterwards. What the answer says does not matter. (A list of models would cost less, and show
        less: some servers give theirs without a key, some serve names that it does not have.)

        Raises:
            JudgeUnavailable: not within ``deadline`` seconds, or not at all.
        """
        try:
            session = self._here()
        except NoProxy as error:
            raise JudgeUnavailable(f"{self._where()}: {error}; mend or unset it") from None
        try:
            async with asyncio.timeout(deadline):
                try:
                    await self._ask(session, _FIRST_QUESTION, ["1+1=2\n", "#### 2"], 0)
                except NoAnswer as error:
                    wrong_model = error.status in (400, 404, 422)
                    served = await session.server.models() if wrong_model else []
                    raise JudgeUnavailable(self._unavailable(error, served)) from None
        except TimeoutError:
            raise JudgeUnavailable(
                f"{self._where()}: no answer within {deadline:g} s; is that the right address, and is the server up?"
            ) from None

    async def close(self) -> None:
        """Close the connections; a later call opens new ones."""
        session, self._session = self._session, None
        if session is not None and session.loop is asyncio.get_running_loop():
            await session.server.close()

    def _here(self) -> _Session:
        """The session of the running event loop; connections of another loop cannot be used in it."""
        loop = asyncio.get_running_loop()
        if self._session is None or self._session.loop is not loop:
            connections = self._config.concurrency
            server = Server(self._config, self._base_url, self._model, self._key, connections)
            self._session = _Session(loop, server, Chat(server), Completions(server))
        return self._session

    async def _ask(
        self, session: _Session, problem: Problem, steps: Sequence[str], seed: int, outcome: Outcome = Outcome.UNKNOWN
    ) -> Answer:
        if self._config.prompt == "compact":
            return await session.completions.ask(compact_prompt(problem, steps), seed)
        in_text, in_json = (
            judge_messages(problem, steps, outcome, reference=self._config.reference, in_json=in_json)
            for in_json in (False, True)
        )
        return await session.chat.ask(in_text, seed, in_json, len(steps))

    def _read(self, said: str, steps: int) -> int | None:
        return (read_letter if self._config.prompt == "compact" else read_verdict)(said, steps)

    def _warn(self, kind: str, said: str) -> None:
        if kind not in self._warned:
            self._warned.add(kind)
            _log.warning("judge at %s: %s; the vote is lost (further ones are counted)", _shown(self._base_url), said)

    def _where(self) -> str:
        return f"judge.base_url={_shown(self._base_url)}"

    def _unavailable(self, error: NoAnswer, served: list[str]) -> str:
        """What happened, and what to set."""
        if error.trouble is Trouble.CONNECTION:
            return f"{self._where()}: {error.said}; start the server there, or set judge.base_url"
        if error.status in (401, 403):
            fix = (
                "it wants a key: set judge.api_key_env to the environment variable that holds it"
                if self._key is None
                else f"it refuses the key in the environment variable judge.api_key_env={self._config.api_key_env}"
            )
            return f"{self._where()}: {error.said}; {fix}"
        if served and self._model not in served:
            names = ", ".join(served[:_MODELS_SHOWN]) + (", ..." if len(served) > _MODELS_SHOWN else "")
            return f"{self._where()}: {error.said}; judge.model={self._model} is not served there; served are: {names}"
        if error.status == 404 or error.trouble is Trouble.GARBAGE:
            return (
                f"{self._where()}: {error.said}; set judge.base_url to the address below which /chat/completions lies "
                f"(it usually ends in /v1), and judge.model={self._model} to a model that is served there"
            )
        if error.trouble is Trouble.TIMEOUT:
            return f"{self._where()}: {error.said}; set judge.call_deadline higher, or a faster judge.model"
        return f"{self._where()}: {error.said}"


def _shown(url: str) -> str:
    """The URL without what may be secret in it: a password, a query."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
