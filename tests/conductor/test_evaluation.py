"""The evaluator with a sampler that is a table: what it asks for, what it counts, what it writes down."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from raysgpo.conductor.evaluation import Evaluation, Evaluator
from raysgpo.config.overrides import resolve
from raysgpo.groups.prepared import Prepared, Prompt
from raysgpo.groups.retrying_sampler import Answer, RetryingSampler, SamplingFailed
from raysgpo.records import Completion, SampleRequest
from raysgpo.tasks.arithmetic import ArithmeticTask
from tests.resolved import resolved

STEPS = 4


class Table:
    """The greedy answer to problem i is right if i is even; of the drawn ones the first i are. ``dead`` and ``slow``:
    the index of a problem that is never answered, and of one that is answered after 0.3 s."""

    def __init__(self, prompts: list[Prompt], dead: int | None = None, slow: int | None = None) -> None:
        self.prompts, self.dead, self.slow = prompts, dead, slow
        self.asked: list[SampleRequest] = []

    async def __call__(self, request: SampleRequest) -> Answer:
        self.asked.append(request)
        index = [prompt.token_ids for prompt in self.prompts].index(request.prompt_ids)
        if index == self.dead:
            raise SamplingFailed("nobody is there")
        await asyncio.sleep(0.3 if index == self.slow else 0)
        answer = self.prompts[index].problem.answer
        right = [index % 2 == 0] if request.temperature == 0 else [n < index for n in range(len(request.seeds_G))]
        yield [completion(f"#### {answer if one else 'x'}") for one in right]


def completion(text: str) -> Completion:
    ids_T = np.arange(len(text), dtype=np.int32)
    return Completion(ids_T, np.zeros(len(text), dtype=np.float32), "stop", text, ((1, len(text)),))


def evaluate(last: bool, *words: str, dead: int | None = None, slow: int | None = None) -> tuple[Evaluation, Table]:
    config = resolve({}, overrides=["evaluation.prompts=4", "rollout.attempts=1", "task.prompts=2", *words])
    task = ArithmeticTask(config.task, 4)
    held_out = [Prompt(problem, list(problem.prompt.encode())) for problem in task.held_out]
    table = Table(held_out, dead, slow)
    prepared = Prepared(resolved(config), task, [], held_out, STEPS)
    evaluator = Evaluator(prepared, RetryingSampler(table, config.rollout))
    return asyncio.run(evaluator.run(7, last=last)), table


def test_every_prompt_has_one_row_in_order() -> None:
    found, table = evaluate(False)
    ids = [prompt.problem.id for prompt in table.prompts]
    assert [(row["prompt_id"], row["correct"]) for row in found.answers] == list(
        zip(ids, [True, False, True, False], strict=True)
    )
    assert found.metrics["eval/accuracy"] == 0.5 and found.metrics["eval/failed"] == 0
    assert found.answers[1]["text"] == "#### x" and found.answers[1]["num_tokens"] == 6
    assert {request.min_version for request in table.asked} == {7}
    # The row is what the public file holds, and nothing of it is a metric.
    assert set(found.answers[0]) == {"prompt_id", "correct", "text", "num_tokens", "truncated", "samples_correct"}


def test_answers_are_drawn_after_the_last_step_alone() -> None:
    before, _ = evaluate(False, "evaluation.samples=4")
    assert [row["samples_correct"] for row in before.answers] == [None] * 4
    assert not any(name.startswith("eval/pass_at") for name in before.metrics)
    last, table = evaluate(True, "evaluation.samples=4", "evaluation.samples_temperature=0.7")
    assert [sum(row["samples_correct"]) for row in last.answers] == [0, 1, 2, 3]
    drawn = [request for request in table.asked if len(request.seeds_G) == 4]
    assert {request.temperature for request in drawn} == {0.7} and len({r.seeds_G for r in drawn}) == 4
    # pass@1: (0 + 1 + 2 + 3) / 16; pass@2: (0 + 3 + 5 + 6) / 24; pass@4: 3 of 4 have a right one.
    expected = {"eval/pass_at_1": 6 / 16, "eval/pass_at_2": 14 / 24, "eval/pass_at_4": 0.75}
    assert {name: last.metrics[name] for name in expected} == pytest.approx(expected)
    assert last.metrics["eval/accuracy"] == before.metrics["eval/accuracy"]
    # All of these problems are of one difficulty.
    assert last.metrics["eval/pass_at_2/difficulty_4"] == last.metrics["eval/pass_at_2"]


def test_a_prompt_without_an_answer_is_wrong_and_counted_and_null_in_its_row() -> None:
    found, _ = evaluate(True, "evaluation.samples=2", dead=2)
    assert [row["correct"] for row in found.answers] == [True, False, None, False]
    assert found.answers[2]["samples_correct"] is None and found.answers[2]["text"] is None
    assert (found.metrics["eval/accuracy"], found.metrics["eval/failed"]) == (0.25, 1)
    assert found.metrics["eval/pass_at_2"] == pytest.approx((0 + 1 + 0 + 1) / 4)


def test_evaluation_has_lengths_and_a_distribution_of_its_own() -> None:
    _, table = evaluate(
        True, "evaluation.samples=2", "evaluation.max_tokens=999", "evaluation.top_p=0.9", "evaluation.top_k=7"
    )
    assert {request.max_tokens for request in table.asked} == {999}
    greedy, drawn = ([r for r in table.asked if (r.temperature == 0) is is_greedy] for is_greedy in (True, False))
    assert {(r.top_p, r.top_k) for r in greedy} == {(1.0, 0)} and {(r.top_p, r.top_k) for r in drawn} == {(0.9, 7)}
    _, table = evaluate(False, "sampling.max_tokens=33")
    assert {request.max_tokens for request in table.asked} == {33}


def test_evaluation_has_a_deadline_of_its_own() -> None:
    found, _ = evaluate(False, "evaluation.deadline=0.1", slow=2)
    assert [row["correct"] for row in found.answers] == [True, False, None, False]
    assert found.metrics["eval/failed"] == 1
    found, _ = evaluate(False, slow=2)
    assert [row["correct"] for row in found.answers] == [True, False, True, False]
