"""Many questions of one token to a completion model behind an OpenAI-compatible server, in one request.

A request through Ray Serve costs some 15 ms of a core, and a tiny judge answers in one: so what is
asked at the same time, as the votes on a group are, goes out together, and what is asked while a
request is under way waits for it and goes out together then.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from raysgpo.judging.server import Answer, NoAnswer, Server, Trouble, read_json, temperature_of, used_tokens

GATHER_SECONDS = 0.02
"""How long a question waits for others where no request is under way."""
PATIENCE_SECONDS = 1.0
"""How long a request that is under way has later questions wait: a slow server is asked side by side."""
MOST_TOGETHER = 256
"""Prompts of one request."""


@dataclass(frozen=True, slots=True)
class _Question:
    prompt: str
    seed: int
    answer: asyncio.Future[Answer]


class Completions:
    """Collects questions while it may, and sends them."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._waiting: list[_Question] = []
        self._sending: set[asyncio.Task[None]] = set()
        self._sender: asyncio.Task[None] | None = None

    async def ask(self, prompt: str, seed: int) -> Answer:
        """The next token of ``prompt``. ``seed`` counts where answers are sampled.

        Raises:
            NoAnswer: after all retries.
        """
        question = _Question(prompt, seed, asyncio.get_running_loop().create_future())
        self._waiting.append(question)
        if self._sender is None or self._sender.done():
            self._sender = asyncio.ensure_future(self._send_all())
        return await question.answer

    async def _send_all(self) -> None:
        await asyncio.sleep(GATHER_SECONDS)
        while self._waiting:
            waiting, self._waiting = self._waiting, []
            await asyncio.wait(self._send(waiting), timeout=PATIENCE_SECONDS)

    def _send(self, waiting: list[_Question]) -> list[asyncio.Task[None]]:
        # One seed holds for a whole request, and equal prompts would then be answered alike.
        together = MOST_TOGETHER if temperature_of(self._server.config) == 0 else 1
        parts = [waiting[first : first + together] for first in range(0, len(waiting), together)]
        tasks = [asyncio.ensure_future(self._ask_all(part)) for part in parts]
        for task in tasks:
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)
        return tasks

    async def _ask_all(self, questions: list[_Question]) -> None:
        try:
            answers = await self._answers([q.prompt for q in questions], questions[0].seed)
        except NoAnswer as error:
            if error.status in (400, 413, 422) and len(questions) > 1:
                # One prompt that is too long has the whole request refused: the others deserve an answer.
                await asyncio.gather(*(self._ask_all([question]) for question in questions))
                return
            for question in questions:
                _settle(question, error)
            return
        for question, answer in zip(questions, answers, strict=True):
            _settle(question, answer)

    async def _answers(self, prompts: list[str], seed: int) -> list[Answer]:
        import openai

        config = self._server.config
        try:
            raw = await self._server.client.completions.with_raw_response.create(
                model=self._server.model,
                prompt=prompts,
                max_tokens=1,
                temperature=temperature_of(config),
                seed=seed % 2**31,
                extra_headers=self._server.headers,
            )
            return _read(raw.content, len(prompts))
        except (openai.OpenAIError, ValueError) as error:
            raise self._server.no_answer(error) from None


def _settle(question: _Question, outcome: Answer | NoAnswer) -> None:
    if question.answer.done():  # who asked has given up
        return
    if isinstance(outcome, NoAnswer):
        question.answer.set_exception(outcome)
    else:
        question.answer.set_result(outcome)


def _read(content: bytes, count: int) -> list[Answer]:
    """The answers in the order of the prompts. Tokens are counted for all of them: each gets its share."""
    reply = read_json(content)
    choices = reply.get("choices")
    if not isinstance(choices, list) or len(choices) != count:
        raise NoAnswer(Trouble.GARBAGE, f"the answer is no completion of {count} prompts")
    texts = [""] * count
    for place, choice in enumerate(choices):
        index, text = _choice(choice, place)
        if 0 <= index < count:
            texts[index] = text
    share, rest = divmod(used_tokens(reply), count)
    return [Answer(text, share + (index < rest)) for index, text in enumerate(texts)]


def _choice(choice: Any, place: int) -> tuple[int, str]:
    """The index and the text; empty if there is none."""
    if not isinstance(choice, dict):
        return place, ""
    index, text = choice.get("index", place), choice.get("text")
    return index if isinstance(index, int) else place, text if isinstance(text, str) else ""
