"""A completion judge: what is asked at once goes out in one request, and each gets its own answer."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Sequence

import pytest

from raysgpo.config import JudgeConfig
from raysgpo.judging import completions as completions_file
from raysgpo.judging.compact import compact_prompt
from raysgpo.judging.completions import MOST_TOGETHER
from raysgpo.judging.endpoint import EndpointJudge
from raysgpo.judging.judge import Failure, Judgement
from raysgpo.records import Problem
from raysgpo.tiny.tokenizer import byte_tokenizer
from tests.judging.judge_server import TOKENS, Exchange, JudgeServer, completions, raw, status, when

pytestmark = pytest.mark.slow

PROBLEM = Problem("p", "3+4-2=?", "5", "3+4=7\n7-2=5\n#### 5")


def config(**settings: object) -> JudgeConfig:
    return JudgeConfig(
        kind="endpoint", model="judge", prompt="compact", base_url="http://x", **{"concurrency": 1000, **settings}
    )


def answers(server: JudgeServer, responses: Sequence[Sequence[str]], **settings: object) -> list[Judgement]:
    async def run() -> list[Judgement]:
        judge = EndpointJudge(config(**settings), server.base_url, "judge", None)
        try:
            return await asyncio.gather(*(judge(PROBLEM, steps, seed) for seed, steps in enumerate(responses)))
        finally:
            await judge.close()

    return asyncio.run(run())


def first_of(wanted: dict[str, str]) -> JudgeServer:
    """Knows prompts by heart."""
    return JudgeServer(continue_prompt=lambda prompt: wanted[prompt])


def test_a_group_is_one_request_and_every_answer_finds_its_question() -> None:
    responses = [[f"3+4={n}\n", "#### 1"] for n in range(8)]
    wanted = {compact_prompt(PROBLEM, steps): "ab"[n % 2] for n, steps in enumerate(responses)}
    with first_of(wanted) as server:
        found = answers(server, responses)
        assert [j.position for j in found] == [n % 2 for n in range(8)]
        assert [len(question.body["prompt"]) for question in server.requests] == [8]
        assert [j.tokens for j in found] == [TOKENS] * 8


def test_more_than_fit_go_out_in_several_requests() -> None:
    responses = [[f"3+4={n}\n"] for n in range(MOST_TOGETHER + 3)]
    with JudgeServer(continue_prompt=lambda prompt: "a") as server:
        assert {j.position for j in answers(server, responses)} == {0}
        assert sorted(len(q.body["prompt"]) for q in server.requests) == [3, MOST_TOGETHER]


async def until(ready: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not ready():
        assert time.monotonic() < end
        await asyncio.sleep(0.01)


async def in_turns(server: JudgeServer, count: int, then: Callable[[int], Awaitable[None]]) -> list[Judgement]:
    """That many questions, with what there is to wait for after each (by how many are asked)."""
    judge = EndpointJudge(config(), server.base_url, "judge", None)
    tasks = []
    for number in range(count):
        tasks.append(asyncio.ensure_future(judge(PROBLEM, [f"3+4={number}\n"], number)))
        await then(number + 1)
    found = await asyncio.gather(*tasks)
    await judge.close()
    return found


def test_what_is_asked_while_a_request_is_under_way_goes_out_together_behind_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(completions_file, "PATIENCE_SECONDS", 60.0)
    asked_all = threading.Event()

    async def then(asked: int) -> None:
        await until(lambda: bool(server.requests))
        await asyncio.sleep(2 * completions_file.GATHER_SECONDS)
        if asked == 4:
            asked_all.set()

    with JudgeServer(continue_prompt=lambda prompt: "a", always=when(asked_all.is_set)) as server:
        assert {j.position for j in asyncio.run(in_turns(server, 4, then))} == {0} and server.busiest == 1
        assert [len(question.body["prompt"]) for question in server.requests] == [1, 3]


def test_a_slow_request_is_not_waited_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(completions_file, "PATIENCE_SECONDS", 0.1)

    async def then(asked: int) -> None:
        await until(lambda: len(server.requests) == asked)  # of which none is answered

    with JudgeServer(continue_prompt=lambda prompt: "a", always=when(lambda: len(server.requests) == 3)) as server:
        assert len(asyncio.run(in_turns(server, 3, then))) == 3
        assert [len(question.body["prompt"]) for question in server.requests] == [1, 1, 1] and server.busiest == 3


def test_sampled_votes_go_out_alone_with_their_seeds() -> None:
    with JudgeServer(continue_prompt=lambda prompt: "a") as server:
        answers(server, [["3+4=8\n"]] * 3, votes=3)
        assert sorted(q.body["seed"] for q in server.requests) == [0, 1, 2]
        assert [q.body["temperature"] for q in server.requests] == [1.0] * 3


@pytest.mark.parametrize(
    ("body", "failure"),
    [
        (b"{}", Failure.ERROR),
        (b"<html>", Failure.ERROR),
        (completions(["a"]), Failure.ERROR),
        (completions(["a", "a", "a"]), Failure.ERROR),
        (completions(["", None]), Failure.UNREADABLE),
        (completions(["g", "1"]), Failure.UNREADABLE),
        (b'{"choices": [1, null]}', Failure.UNREADABLE),
    ],
)
def test_whatever_comes_back_is_a_counted_failure(body: bytes, failure: Failure) -> None:
    with JudgeServer(always=raw(body)) as server:
        found = answers(server, [["3+4=8\n"], ["3+4=9\n"]])
    assert [(j.position, j.failure) for j in found] == [(None, failure)] * 2


def test_an_error_of_the_request_is_one_of_every_vote_in_it(short_pauses: None) -> None:
    with JudgeServer(always=status(500)) as server:
        found = answers(server, [["3+4=8\n"], ["3+4=9\n"]], retries=2)
        assert [j.failure for j in found] == [Failure.ERROR] * 2
        assert len(server.requests) == 3


def test_a_prompt_that_is_refused_costs_its_own_vote_alone() -> None:
    def too_long(exchange: Exchange) -> None:
        if any(len(prompt) > 200 for prompt in exchange.question.body["prompt"]):
            return status(400, error={"message": "This model's maximum context length is 200 tokens"})(exchange)
        return exchange.answer()

    with JudgeServer(continue_prompt=lambda prompt: "a", always=too_long) as server:
        found = answers(server, [["3+4=8\n"], ["3" * 300], ["3+4=9\n"]])
    assert [j.failure for j in found] == [None, Failure.ERROR, None]


def test_a_question_that_is_given_up_leaves_the_others_their_answers() -> None:
    given_up = threading.Event()

    async def run(server: JudgeServer) -> list[object]:
        judge = EndpointJudge(config(), server.base_url, "judge", None)
        tasks = [asyncio.ensure_future(judge(PROBLEM, [f"3+4={n}\n"], n)) for n in range(3)]
        await until(lambda: bool(server.requests))
        tasks[1].cancel()
        given_up.set()
        found = await asyncio.gather(*tasks, return_exceptions=True)
        await judge.close()
        return [j.position if isinstance(j, Judgement) else type(j) for j in found]

    with JudgeServer(continue_prompt=lambda prompt: "a", always=when(given_up.is_set)) as server:
        assert asyncio.run(run(server)) == [0, asyncio.CancelledError, 0]


def test_the_prompt_is_the_turn_that_the_chat_template_makes_of_the_table() -> None:
    from raysgpo.judging.compact import compact_table

    steps = ["3+4=8\n", "#### 8"]
    turn = [{"role": "user", "content": compact_table(PROBLEM, steps)}]
    rendered = byte_tokenizer(100).apply_chat_template(turn, add_generation_prompt=True, tokenize=False)
    assert compact_prompt(PROBLEM, steps) == rendered
