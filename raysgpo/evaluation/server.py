"""A model behind an OpenAI-compatible server as the one who answers, through the judge's client."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from raysgpo.config import JudgeConfig
from raysgpo.config.overrides import ConfigError
from raysgpo.config.question_set import QuestionSetConfig
from raysgpo.evaluation.answers import NoReply, Question, Reply
from raysgpo.judging.chat import Chat
from raysgpo.judging.credentials import read_key
from raysgpo.judging.server import NoAnswer, Server, Trouble

_DATE = re.compile(r"-\d{4}-?\d{2}-?\d{2}")
"""What servers put behind a model's name to say which of its versions answered."""
REFUSING = (400, 401, 403, 404, 422)
"""Statuses of a question that will be refused again: for its key, its model, a parameter."""


class ServerAnswers:
    """An ``Ask`` of :mod:`raysgpo.evaluation.asking`; it belongs to the event loop that uses it first."""

    def __init__(self, config: JudgeConfig, model: str, sets: Iterable[QuestionSetConfig]) -> None:
        """``config``: address, key, deadlines and number of calls; how answers are drawn is each set's own.

        Raises:
            ConfigError: the key is not there.
            NoProxy: the environment's proxy cannot be used.
        """
        assert config.base_url is not None, "the configuration refuses such an endpoint"
        self._where = f"server.base_url={config.base_url}"
        self._model = model
        self._answered = False
        """Whether it has answered anything: what is refused later is refused for what it says."""
        key = read_key(config)
        self._servers = {
            one.name: Server(_drawing(config, one), config.base_url, model, key, config.concurrency) for one in sets
        }
        self._chats = {
            one.name: Chat(self._servers[one.name], {"top_k": one.top_k} if one.top_k else {}) for one in sets
        }

    async def __call__(self, question: Question) -> Reply:
        """Raises NoReply; ConfigError if the server cannot be had, refuses the question or has another model answer."""
        of = question.of
        messages = [{"role": role, "content": said} for role, said in question.problem.chat(of.before)]
        try:
            reply = await self._chats[of.name].reply(messages, question.seed)
        except NoAnswer as error:
            if error.trouble is Trouble.CONNECTION or (error.status in REFUSING and not self._answered):
                raise ConfigError(f"{self._where}, model {self._model}: {error.said}") from None
            raise NoReply(error.said.replace("judge.", "server.")) from None
        self._check_model(reply.model)
        self._answered = True
        return Reply(reply.text, reply.answer_tokens, reply.truncated)

    def _check_model(self, answered: str | None) -> None:
        """Refuses the answer of a model that was not asked; a server that does not say is taken at its word."""
        if answered is None or answered == self._model:
            return
        if not (answered.startswith(self._model) and _DATE.fullmatch(answered[len(self._model) :])):
            raise ConfigError(
                f"{self._where}: asked for the model {self._model}, {answered} answered: name it, or another server"
            )

    async def close(self) -> None:
        for server in self._servers.values():
            await server.close()


def _drawing(config: JudgeConfig, of: QuestionSetConfig) -> JudgeConfig:
    update: Mapping[str, Any] = {
        "max_tokens": of.max_tokens,
        "temperature": of.temperature,
        "top_p": of.top_p if of.temperature and of.top_p < 1 else None,
        "chat_template_kwargs": of.chat_template_kwargs,
        "structured": False,
    }
    return config.model_copy(update=update)
