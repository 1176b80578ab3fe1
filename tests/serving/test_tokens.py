"""Tokens are counted where vLLM sees them, and watched for while there is work."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from raysgpo.serving.token_count import TokenCount
from raysgpo.serving.token_watch import TokenWatch


class Processor:
    """vLLM's, as far as it is counted before; remembers what came through."""

    def __init__(self) -> None:
        self.seen: list[tuple[Any, ...]] = []

    def process_outputs(self, outputs: list[Any], timestamp: float, weight_version: str | None = None) -> str:
        self.seen.append((len(outputs), timestamp, weight_version))
        return "processed"


def test_every_new_token_is_counted_and_nothing_else_changes() -> None:
    processor = Processor()
    count = TokenCount(processor)
    outputs = [SimpleNamespace(new_token_ids=ids) for ids in ([1], [2, 3], [])]
    assert processor.process_outputs(outputs, 0.5, weight_version="7") == "processed"
    assert processor.process_outputs(outputs[:1], 1.0) == "processed"
    assert (count.made, processor.seen) == (4, [(3, 0.5, "7"), (1, 1.0, None)])


def test_time_without_a_token_counts_only_while_there_is_work() -> None:
    now, made = [0.0], [0]
    watch = TokenWatch(lambda: made[0], lambda: now[0])

    def idle(seconds: float, at_work: bool = True, tokens: int = 0) -> float:
        now[0] += seconds
        made[0] += tokens
        return watch.idle(at_work)

    assert idle(100, at_work=False) == 0, "it had nothing to do"
    assert [idle(5), idle(5)] == [5, 10]
    assert idle(5, tokens=1) == 0
    assert [idle(5), idle(5, at_work=False), idle(5)] == [5, 0, 5]
