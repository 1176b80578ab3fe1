"""One question to a chat model behind an OpenAI-compatible server."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from raysgpo.judging.server import Answer, NoAnswer, Server, Trouble, read_json, temperature_of, total_tokens

if TYPE_CHECKING:
    import openai


class Chat:
    """Asks a server; learns which optional parameters it refuses."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._refused: frozenset[str] = frozenset()

    async def ask(self, messages: Sequence[Mapping[str, str]], seed: int) -> Answer:
        """The model's answer.

        A server may refuse an optional parameter, as reasoning models do: the question is then sent
        without it, and if that is answered no later question of this object has it.

        Raises:
            NoAnswer: after all retries.
        """
        import openai

        given: Any = list(messages)
        refused = self._refused
        while True:
            sent = self._settings(seed, refused)
            try:
                raw = await self._server.client.chat.completions.with_raw_response.create(
                    model=self._server.model, messages=given, extra_headers=self._server.headers, **sent
                )
                answer = _read(raw.content)
            except (openai.BadRequestError, openai.UnprocessableEntityError) as error:
                name = _refused_name(error, sent)
                if name is None:
                    raise self._server.no_answer(error) from None
                refused |= {name}
            except (openai.OpenAIError, ValueError) as error:
                raise self._server.no_answer(error) from None
            else:
                self._refused |= refused
                return answer

    def _settings(self, seed: int, refused: frozenset[str]) -> dict[str, Any]:
        config = self._server.config
        settings = {"max_tokens": config.max_tokens, "temperature": temperature_of(config), "seed": seed % 2**31}
        kept = {name: value for name, value in settings.items() if name not in refused}
        # A limit there must be: the newer name of the same one.
        return kept if "max_tokens" in kept else kept | {"max_completion_tokens": config.max_tokens}


def _refused_name(error: openai.APIStatusError, sent: Mapping[str, Any]) -> str | None:
    """The optional parameter that the server's words refuse, out of those that were sent."""
    optional = [name for name in ("max_tokens", "temperature", "seed") if name in sent]
    if error.param in optional:
        return error.param
    return next((name for name in optional if re.search(rf"\b{name}\b", str(error))), None)


def _read(content: bytes) -> Answer:
    """The answer's text and tokens; what is missing or of another type reads as empty.

    An answer that was cut off has no verdict, whatever it said so far.
    """
    reply = read_json(content)
    choices = reply.get("choices")
    if not isinstance(choices, list):
        raise NoAnswer(Trouble.GARBAGE, "the answer is no chat completion")
    choice = choices[0] if choices and isinstance(choices[0], dict) else {}
    message = choice.get("message")
    text = message.get("content") if isinstance(message, dict) else None
    whole = text if isinstance(text, str) and choice.get("finish_reason") != "length" else ""
    return Answer(whole, total_tokens(reply))
