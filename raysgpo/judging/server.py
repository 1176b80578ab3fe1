"""A connection pool to one OpenAI-compatible server, and the ways in which it can fail.

The ``openai`` package sends, waits and retries (429, 5xx, time-outs, no connection; pauses of 0.5 s
doubling to 8 s, or what Retry-After says, up to 120 s). Two things are added here: a deadline for a
whole attempt, where the package's own is for each read, which begins anew with each answer of the
server to another; and words for what went wrong that never have the key. ``openai`` is imported on
first use, for it takes a second.
"""

from __future__ import annotations

import asyncio
import json
import os
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr

from raysgpo.config import JudgeConfig
from raysgpo.judging.patience import MOST, Patience

if TYPE_CHECKING:
    import httpx2

MOST_TOKENS = 10**9
"""Of one request, all its prompts included: a budget must not end by a server's slip."""
_LONGEST_SAID = 300
"""Characters of a server's error text that are shown."""


class Trouble(StrEnum):
    """The kinds of :class:`NoAnswer`."""

    TIMEOUT = "timeout"
    CONNECTION = "connection"
    STATUS = "status"
    GARBAGE = "garbage"


class NoAnswer(Exception):
    """A question that was not answered, after all retries. Its text never has the key."""

    def __init__(self, trouble: Trouble, said: str, status: int | None = None) -> None:
        super().__init__(said)
        self.trouble = trouble
        self.said = said
        self.status = status
        """HTTP status, where there was one."""


class NoProxy(ValueError):
    """A proxy that the environment names cannot be used. The message names the variables, not their values, which
    may hold a password."""


@dataclass(frozen=True, slots=True)
class Answer:
    text: str
    """What the model said, without its reasoning; empty if it said nothing, or was cut off."""
    tokens: int
    """Prompt and answer; 0 if the server does not say."""


class Server:
    """It belongs to the event loop that uses it first."""

    def __init__(self, config: JudgeConfig, base_url: str, model: str, key: SecretStr | None, connections: int) -> None:
        """Raises NoProxy."""
        import openai

        self.config = config
        self.model = model
        self._key = key
        self.client = openai.AsyncOpenAI(
            base_url=base_url,
            # Left out, the package would take OPENAI_API_KEY and send it to whichever server this is.
            api_key=key.get_secret_value() if key else "none",
            max_retries=config.retries,
            timeout=MOST * config.call_seconds,  # the client below has the deadline
            http_client=_http_client(config.call_seconds, connections, direct=config.kind == "replicas"),
        )
        self.headers = {} if key else {"Authorization": openai.Omit()}

    async def models(self) -> list[str]:
        """The names that the server says it serves; empty if it does not say."""
        import openai

        try:
            raw = await self.client.models.with_raw_response.list(extra_headers=self.headers)
            rows = read_json(raw.content).get("data")
        except (openai.OpenAIError, NoAnswer, ValueError):
            return []
        named = [row["id"] for row in rows if isinstance(row, dict) and "id" in row] if isinstance(rows, list) else []
        return [self._shown(str(name)) for name in named]

    async def close(self) -> None:
        await self.client.close()

    def no_answer(self, error: Exception) -> NoAnswer:
        import openai

        if isinstance(error, openai.APITimeoutError):
            return NoAnswer(Trouble.TIMEOUT, f"no answer in judge.call_deadline={self.config.call_seconds:g} s")
        if isinstance(error, openai.APIConnectionError):
            return NoAnswer(Trouble.CONNECTION, f"no connection ({_root(error)})")
        if isinstance(error, openai.APIStatusError):
            said = error.body.get("message") if isinstance(error.body, dict) else None
            text = self._shown(said if isinstance(said, str) else error.message)
            return NoAnswer(Trouble.STATUS, f"HTTP {error.status_code}: {text}", error.status_code)
        return NoAnswer(Trouble.GARBAGE, f"the exchange failed ({type(error).__name__})")

    def _shown(self, text: str) -> str:
        """One short line of a server's text, which may quote the key."""
        if self._key is not None:
            text = text.replace(self._key.get_secret_value(), "***")
        return " ".join(text[: 4 * _LONGEST_SAID].split())[:_LONGEST_SAID]


def temperature_of(config: JudgeConfig) -> float:
    """A single vote is greedy; several must be able to differ."""
    if config.temperature is not None:
        return config.temperature
    return 0.0 if config.votes == 1 else 1.0


def used_tokens(reply: dict[str, Any], name: str = "total_tokens") -> int:
    """What the server says that it used; 0 if it does not say, or says what no request can use."""
    usage = reply.get("usage")
    tokens = usage.get(name) if isinstance(usage, dict) else None
    return tokens if isinstance(tokens, int) and not isinstance(tokens, bool) and 0 < tokens <= MOST_TOKENS else 0


def read_json(content: bytes) -> dict[str, Any]:
    try:
        tree = json.loads(content)
    except (ValueError, RecursionError):
        tree = None
    if not isinstance(tree, dict):
        raise NoAnswer(Trouble.GARBAGE, "the answer is no JSON object")
    return tree


def _http_client(deadline: float, connections: int, direct: bool) -> httpx2.AsyncClient:
    """A client whose every attempt ends within the deadline, however slowly the answer drips in; others that are
    answered meanwhile have it begin anew.

    With ``direct`` it heeds no proxy of the environment: those of a cluster's nodes are seldom in ``NO_PROXY``.
    """
    import httpx2

    patience = Patience(deadline)

    class Bounded(httpx2.AsyncClient):
        async def send(self, request: httpx2.Request, **options: Any) -> httpx2.Response:
            attempt = asyncio.ensure_future(super().send(request, **options))
            try:
                if not await patience.ends(attempt):
                    raise httpx2.ReadTimeout("the attempt took too long", request=request)
            finally:
                attempt.cancel()
            response = attempt.result()
            if response.is_success:
                patience.answered()
            return response

    limits = httpx2.Limits(max_connections=connections, max_keepalive_connections=connections)
    try:
        return Bounded(timeout=MOST * deadline, limits=limits, follow_redirects=True, trust_env=not direct)
    except Exception as error:  # of several kinds, none of which says where the proxy was named
        if not (named := proxies_named()):
            raise
        socks = isinstance(error, ImportError)
        why = "a SOCKS proxy needs the package socksio" if socks else "no address of an http, https or socks5 proxy"
        raise NoProxy(f"{', '.join(named)}: {why}") from None


def proxies_named() -> list[str]:
    """The variables of the environment that name a proxy."""
    names = ("http_proxy", "https_proxy", "all_proxy")
    return sorted(name for name, value in os.environ.items() if name.lower() in names and value)


def _root(error: BaseException) -> str:
    """What the system said below the client's wrappings; of other errors the kind only."""
    while (below := error.__cause__ or error.__context__) is not None:
        error = below
    return (error.strerror or str(error)) if isinstance(error, OSError) else type(error).__name__
