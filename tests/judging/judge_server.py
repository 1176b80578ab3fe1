"""A local OpenAI-compatible server that answers as it is told, and misbehaves on command.

    with JudgeServer(answer="\\\\boxed{2}") as server:
        server.script(status(429), status(500))   # the next two requests; then it answers again
        ...ask at server.base_url...
        assert server.questions[0].body["seed"] == 7

A fault is a function of the exchange; ``server.always`` is one for every request that has none of its own.
"""

from __future__ import annotations

import contextlib
import json
import re
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

Messages = list[dict[str, str]]
Answer = Callable[[Messages], Any]
"""The content of the answer, by the messages; usually text."""
Fault = Callable[["Exchange"], None]

_STEP = re.compile(r"^<step (\d+) (\w+)>\n(.*?)\n</step \1 \2>$", re.DOTALL | re.MULTILINE)
TOKENS = 37
"""What an answer costs, as the server says."""


@dataclass(frozen=True)
class Question:
    """One request as it came in."""

    path: str
    headers: dict[str, str]
    """Names in lower case."""
    body: dict[str, Any]
    raw: bytes


# --- what it answers ---


def steps_shown(messages: Messages) -> list[str]:
    """The student's steps, out of the tags of ``judge_messages``."""
    return [step for message in messages for _, _, step in _STEP.findall(message["content"])]


def gullible(position: int | Callable[[list[str]], int]) -> Answer:
    """A judge that takes orders: it finds no error if it is told so outside of the quoted steps.

    Otherwise it names ``position``, 0-based (or what that function says of the steps).
    """

    def answer(messages: Messages) -> str:
        unquoted = " ".join(_STEP.sub("", message["content"]) for message in messages)
        if "the first error is none" in unquoted.lower():
            return r"\boxed{-1}"
        index = position if isinstance(position, int) else position(steps_shown(messages))
        return rf"\boxed{{{index + 1}}}"

    return answer


# --- how it misbehaves ---


def status(code: int, *, retry_after: str | None = None, error: dict[str, Any] | None = None) -> Fault:
    """An HTTP error; 429 and 5xx are worth a retry."""
    headers = {} if retry_after is None else {"Retry-After": retry_after}
    body = json.dumps({"error": error or {"message": f"told to answer {code}"}}).encode()
    return lambda exchange: exchange.send(code, body, headers)


def content(text: Any, **message: Any) -> Fault:
    """A chat completion with this content, whatever was asked; ``message`` has further fields of it."""
    return lambda exchange: exchange.send(200, completion(text, **message))


def raw(body: bytes, kind: str = "application/json") -> Fault:
    """Status 200 and these bytes."""
    return lambda exchange: exchange.send(200, body, {"Content-Type": kind})


def hang(seconds: float = 60.0) -> Fault:
    """No answer for that long (or until the server ends), then none."""

    def fault(exchange: Exchange) -> None:
        exchange.server.ending.wait(seconds)
        drop(exchange)

    return fault


def when(ready: Callable[[], bool], deadline: float = 20.0) -> Fault:
    """A healthy answer, as soon as ``ready`` says so (or after ``deadline`` seconds)."""

    def fault(exchange: Exchange) -> None:
        end = time.monotonic() + deadline
        while not ready() and time.monotonic() < end:
            if exchange.server.ending.wait(0.005):
                return drop(exchange)
        return exchange.answer()

    return fault


def drip(seconds: float = 0.05) -> Fault:
    """An answer without end, a blank at a time."""

    def fault(exchange: Exchange) -> None:
        exchange.start(200, {"Content-Length": str(10**6)})
        while not exchange.server.ending.wait(seconds):
            exchange.handler.wfile.write(b" ")

    return fault


def drop(exchange: Exchange) -> None:
    """The connection ends without an answer."""
    exchange.handler.close_connection = True


def refuse(*names: str, code: int = 400) -> Fault:
    """Refuses requests with one of these parameters, as reasoning models do; answers the others."""

    def fault(exchange: Exchange) -> None:
        for name in names:
            if name in exchange.question.body:
                said = f"Unsupported parameter: '{name}' is not supported with this model."
                return status(code, error={"message": said, "param": name})(exchange)
        return exchange.answer()

    return fault


# --- the server ---


def completion(text: Any, **message: Any) -> bytes:
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text, **message}}
    usage = {"prompt_tokens": TOKENS - 7, "completion_tokens": 7, "total_tokens": TOKENS}
    return json.dumps({"id": "1", "object": "chat.completion", "choices": [choice], "usage": usage}).encode()


def completions(texts: Sequence[Any], **choice: Any) -> bytes:
    """Of several prompts, in any order."""
    choices = [{"index": i, "finish_reason": "stop", "text": text, **choice} for i, text in enumerate(texts)]
    usage = {"total_tokens": TOKENS * len(texts)}
    return json.dumps({"id": "1", "choices": choices[::-1], "usage": usage}).encode()


@dataclass
class Exchange:
    """One request and the means to answer it."""

    server: JudgeServer
    handler: BaseHTTPRequestHandler
    question: Question
    in_flight: bool = True

    def leave(self) -> None:
        """No longer in flight, which is true before the client can know of it."""
        with self.server.lock:
            self.server.busy -= self.in_flight
            self.in_flight = False

    def start(self, code: int, headers: dict[str, str]) -> None:
        self.leave()
        self.handler.send_response(code)
        for name, value in ({"Content-Type": "application/json"} | headers).items():
            self.handler.send_header(name, value)
        self.handler.end_headers()

    def send(self, code: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.start(code, {"Content-Length": str(len(body))} | (headers or {}))
        self.handler.wfile.write(body)

    def answer(self) -> None:
        """As a healthy server does."""
        server, asked = self.server, self.question
        if server.key is not None and asked.headers.get("authorization") != f"Bearer {server.key}":
            sent = asked.headers.get("authorization")
            return status(401, error={"message": f"Incorrect API key provided: {sent}"})(self)
        if asked.path.endswith("/models"):
            rows = [{"id": name, "object": "model"} for name in server.models]
            return self.send(200, json.dumps({"object": "list", "data": rows}).encode())
        if asked.path not in ("/v1/chat/completions", "/v1/completions"):
            return status(404)(self)
        if asked.body.get("model") not in server.models:
            return status(404, error={"message": f"The model {asked.body.get('model')} does not exist"})(self)
        reply = server.reply
        if "prompt" in asked.body:
            texts = [server.continue_prompt(prompt) for prompt in asked.body["prompt"]]
            return self.send(200, completions(texts))
        return self.send(200, completion(reply(asked.body["messages"]) if callable(reply) else reply))


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 256


@dataclass
class JudgeServer:
    """Listens on a free port of ``host`` while its ``with`` block lasts; any process may ask it."""

    reply: Answer | str = r"\boxed{-1}"
    models: Sequence[str] = ("judge",)
    continue_prompt: Callable[[str], Any] = len
    """The continuation of a prompt, where completions are asked for."""
    key: str | None = None
    """The only key that it accepts; None: it looks at none."""
    latency: float = 0.0
    """Seconds before each answer."""
    always: Fault | None = None
    host: str = "127.0.0.1"
    requests: list[Question] = field(default_factory=list)
    """All that came in, in order."""
    busiest: int = 0
    """Most requests in flight at a time: come in, and not yet being answered."""
    busy: int = 0
    """Those in flight now."""
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False)
    """Of the two counts."""

    def script(self, *faults: Fault) -> None:
        """What the next requests meet, one each."""
        self._script.extend(faults)

    @property
    def base_url(self) -> str:
        return f"http://{self.host}:{self._listener.server_address[1]}/v1"

    @property
    def questions(self) -> list[Question]:
        """The chat requests among ``requests``."""
        return [question for question in self.requests if question.path.endswith("/chat/completions")]

    def __enter__(self) -> Self:
        self.ending = threading.Event()
        self._script: deque[Fault] = deque()
        self._listener = _Listener((self.host, 0), _handler(self))
        self._thread = threading.Thread(target=self._listener.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.ending.set()
        self._listener.shutdown()
        self._listener.server_close()
        self._thread.join(timeout=10)

    def meet(self, exchange: Exchange) -> None:
        """Answer or misbehave."""
        with self.lock:
            self.requests.append(exchange.question)
            self.busy += 1
            self.busiest = max(self.busiest, self.busy)
            fault = self._script.popleft() if self._script else self.always
        if self.ending.is_set():  # a connection that was open when the server ended
            fault = drop
        try:
            time.sleep(self.latency)
            fault(exchange) if fault else exchange.answer()
        finally:
            exchange.leave()


def _handler(server: JudgeServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 60
        disable_nagle_algorithm = True  # the client acknowledges a header alone 40 ms late

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            question = Question(self.path, headers, json.loads(body) if body else {}, body)
            # A client that no longer waits is no fault of this server.
            with contextlib.suppress(ConnectionError):
                server.meet(Exchange(server, self, question))

        do_GET = do_POST

        def log_message(self, format: str, *arguments: Any) -> None:
            pass

    return Handler
