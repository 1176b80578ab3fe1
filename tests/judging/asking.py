"""What the tests of the endpoint judge ask, and how."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Coroutine
from typing import Any

from raysgpo.config import JudgeConfig
from raysgpo.judging.endpoint import EndpointJudge
from raysgpo.judging.judge import Judgement
from raysgpo.records import Problem

PROBLEM = Problem("problem-id-91", "3+4-2=?", "5", "3+4=7\n7-2=5\n#### 5", {"source": "metadata-of-row"})
STEPS = ["3+4=7\n", "7-2=6\n", "#### 6"]


def judge_at(url: str, key: str | None = None, model: str = "judge", **settings: Any) -> EndpointJudge:
    defaults = {"kind": "endpoint", "retries": 2, "call_deadline": 5.0, "max_tokens": 99}
    return EndpointJudge(JudgeConfig.model_validate(defaults | settings), url, model, key)


def run(judge: EndpointJudge, work: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    async def body() -> Any:
        try:
            return await work()
        finally:
            await judge.close()

    return asyncio.run(asyncio.wait_for(body(), timeout=30))


def ask(judge: EndpointJudge, seed: int = 1, steps: list[str] = STEPS) -> Judgement:
    return run(judge, lambda: judge(PROBLEM, steps, seed))


def closed_port() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}/v1"
