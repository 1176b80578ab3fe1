"""One question to a chat model behind an OpenAI-compatible server."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from raysgpo.config import JudgeConfig
from raysgpo.judging.prompt import response_format
from raysgpo.judging.server import Answer, NoAnswer, Server, Trouble, read_json, temperature_of, used_tokens

if TYPE_CHECKING:
    import openai


_SCHEMA = re.compile(r"schema|grammar|guided|structured|response.format|json.mode", re.IGNORECASE)
Messages = Sequence[Mapping[str, str]]
BOUND = "maxLength"
"""What OpenAI refuses in a schema, and vLLM takes."""
OPTIONAL = ("max_tokens", "temperature", "seed", "top_p", "reasoning_effort", "response_format")
"""Parameters without which a question can be put all the same."""
VERDICT = 20
"""Tokens of the JSON around the reasoning."""


@dataclass(frozen=True, slots=True)
class ChatReply:
    """What came back; what is missing, or of another type, reads as empty."""

    text: str
    """What the model said, without its reasoning, as far as it came."""
    truncated: bool
    """Whether it was cut off at the longest answer."""
    tokens: int
    """Prompt and answer; 0 if the server does not say."""
    answer_tokens: int
    """Of the answer, its reasoning included; likewise."""
    model: str | None
    """Which one answered, in the server's words."""


class Chat:
    """Asks a server; learns which optional parameters it refuses."""

    def __init__(self, server: Server, extra: Mapping[str, Any] = MappingProxyType({})) -> None:
        """``extra``: further fields of each question, which OpenAI does not have."""
        self._server = server
        self._refused: frozenset[str] = frozenset()
        arguments = server.config.chat_template_kwargs
        self._extra = {**extra, **({"chat_template_kwargs": arguments} if arguments else {})} or None

    async def ask(self, messages: Messages, seed: int, in_json: Messages | None = None, steps: int = 1) -> Answer:
        """The model's answer; one that was cut off has no verdict, whatever it said so far. See ``reply``."""
        reply = await self.reply(messages, seed, in_json, steps)
        return Answer("" if reply.truncated else reply.text, reply.tokens)

    async def reply(self, messages: Messages, seed: int, in_json: Messages | None = None, steps: int = 1) -> ChatReply:
        """What the model says. ``in_json``: the question that wants JSON by the schema, put where the server takes
        one. ``steps``: how many it shows.

        A server may refuse an optional parameter, as reasoning models do: the question is then sent
        without it, and if that is answered no later question of this object has it.

        Raises:
            NoAnswer: after all retries.
        """
        import openai

        refused = self._refused
        while True:
            sent = self._settings(seed, refused if in_json is not None else refused | {"response_format"}, steps)
            given: Any = list(in_json if in_json is not None and "response_format" in sent else messages)
            try:
                raw = await self._server.client.chat.completions.with_raw_response.create(
                    model=self._server.model,
                    messages=given,
                    extra_headers=self._server.headers,
                    extra_body=self._extra,
                    **sent,
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

    def _settings(self, seed: int, refused: frozenset[str], steps: int) -> dict[str, Any]:
        config = self._server.config
        settings = {
            "max_tokens": config.max_tokens,
            "temperature": temperature_of(config),
            "seed": seed % 2**31,
            "top_p": config.top_p,
            "reasoning_effort": config.reasoning_effort,
            "response_format": _format(config, steps, bounded=BOUND not in refused) if config.structured else None,
        }
        kept = {name: value for name, value in settings.items() if name not in refused and value is not None}
        if config.max_tokens is None or "max_tokens" in kept:
            return kept
        return kept | {"max_completion_tokens": config.max_tokens}  # the newer name of the same limit


def _format(config: JudgeConfig, steps: int, bounded: bool) -> dict[str, Any]:
    """The schema. It leaves no way to miss the verdict, since a small model reasons without end and names steps that
    are not there: as many characters of reasoning as tokens, for a digit is often one."""
    known = config.kind == "replicas" or config.max_tokens is not None
    return response_format(max(config.answer_tokens - VERDICT, 1) if bounded and known else None, steps)


def _refused_name(error: openai.APIStatusError, sent: Mapping[str, Any]) -> str | None:
    """The optional parameter that the server's words refuse, out of those that were sent."""
    if BOUND in str(error) and BOUND in str(sent.get("response_format")):
        return BOUND
    optional = [name for name in OPTIONAL if name in sent]
    if error.param in optional:
        return error.param
    named = next((name for name in optional if re.search(rf"\b{name}\b", str(error))), None)
    # Servers without schemas say so in words of their own (guided decoding, json_schema, grammar).
    return named or ("response_format" if "response_format" in sent and _SCHEMA.search(str(error)) else None)


def _read(content: bytes) -> ChatReply:
    reply = read_json(content)
    choices = reply.get("choices")
    if not isinstance(choices, list):
        raise NoAnswer(Trouble.GARBAGE, "the answer is no chat completion")
    choice = choices[0] if choices and isinstance(choices[0], dict) else {}
    message, model = choice.get("message"), reply.get("model")
    return ChatReply(
        text=_text(message.get("content")) if isinstance(message, dict) else "",
        truncated=choice.get("finish_reason") == "length",
        tokens=used_tokens(reply, "total_tokens"),
        answer_tokens=used_tokens(reply, "completion_tokens"),
        model=model if isinstance(model, str) else None,
    )


def _text(content: object) -> str:
    """The content of a message: a text, or parts of which those of type text are (others are its reasoning)."""
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    texts = [part.get("text") for part in parts if isinstance(part, dict) and part.get("type") == "text"]
    return "".join(text for text in texts if isinstance(text, str))
