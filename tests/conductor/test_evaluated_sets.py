"""``evaluation.sets`` within a run: asked of the same weights, each with its own settings, by a sampler that is a
table."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from raysgpo.conductor.evaluation import Evaluation, Evaluator
from raysgpo.config.overrides import ConfigError, resolve
from raysgpo.groups.prepared import EncodedSet, Prepared, Prompt
from raysgpo.groups.retrying_sampler import Answer, RetryingSampler
from raysgpo.records import SampleRequest
from raysgpo.start.evaluated_sets import answers_of, longest_sequence, run_sets
from raysgpo.tasks.arithmetic import ArithmeticTask
from raysgpo.tasks.grader import InlineGrader
from raysgpo.tasks.math_grading import MathGrading
from tests.conductor.test_evaluation import completion
from tests.resolved import LONGEST, resolved

QUESTIONS = 3


@pytest.fixture
def words(tmp_path: Path) -> list[str]:
    """Two sets of three sums, whose answers are 0, 2 and 4: one asked once, one four times."""
    rows = [{"id": f"q{n}", "question": f"{n}+{n}=?", "answer": str(2 * n), "level": n} for n in range(QUESTIONS)]
    (tmp_path / "once.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "often.toml").write_text(
        'path = "once.jsonl"\nlabels = ["level"]\nsamples = 4\ntemperature = 0.6\ntop_p = 0.9\nmax_tokens = 9\n'
    )
    return [f"evaluation.sets=[{tmp_path}/once.jsonl,{tmp_path}/often.toml]", "evaluation.prompts=1", "task.prompts=2"]


@pytest.fixture(autouse=True)
def inline_grading(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a process, which takes seconds to start."""
    monkeypatch.setattr("raysgpo.evaluation.grading._grader", lambda runs_programs: InlineGrader(MathGrading()))


class Table:
    """Says 2 to everything but the held-out prompt."""

    def __init__(self) -> None:
        self.asked: list[SampleRequest] = []

    async def __call__(self, request: SampleRequest) -> Answer:
        self.asked.append(request)
        await asyncio.sleep(0)
        yield [completion(r"\boxed{2}") for _ in request.seeds_G]


def evaluated(words: list[str]) -> tuple[Evaluation, Table]:
    config = resolve({}, overrides=words)
    task = ArithmeticTask(config.task, 1)
    held_out = [Prompt(problem, [1, 2, 3]) for problem in task.held_out]
    sets = tuple(EncodedSet(one, {p.id: list(p.prompt.encode()) for p in one.problems}) for one in run_sets(config))
    prepared = replace(Prepared(resolved(config), task, [], held_out, 4), sets=sets)
    table = Table()
    evaluator = Evaluator(prepared, RetryingSampler(table, config.rollout))
    return asyncio.run(evaluator.run(7, last=False)), table


def test_each_set_is_asked_with_its_own_settings_of_the_same_weights(words: list[str]) -> None:
    found, table = evaluated(words)
    of_sets = [request for request in table.asked if request.prompt_ids != [1, 2, 3]]
    kinds = Counter((r.temperature, r.top_p, r.max_tokens, r.min_version) for r in of_sets)
    length = len(b"0+0=?\nPut the final answer in \\boxed{}.")
    assert kinds == {(0.6, 0.9, 9, 7): 4 * QUESTIONS, (0.0, 1.0, LONGEST - length, 7): QUESTIONS}
    assert len({request.seeds_G for request in of_sets}) == len(of_sets)
    assert found.metrics["eval/once/avg"] == pytest.approx(1 / 3) == found.metrics["eval/often/pass_at_4"]
    assert found.metrics["eval/often/avg/level=1"] == 1.0 and found.metrics["eval/often/maj_at_4"] == pytest.approx(
        1 / 3
    )
    assert "eval/accuracy" in found.metrics and len(found.answers) == 1


def test_every_answer_is_a_row(words: list[str]) -> None:
    found, _ = evaluated(words)
    rows = [(row["set"], row["id"], row["sample"], row["correct"]) for row in found.set_answers]
    assert rows == [
        *(("often", f"q{n}", sample, n == 1) for n in range(QUESTIONS) for sample in range(4)),
        *(("once", f"q{n}", 0, n == 1) for n in range(QUESTIONS)),
    ]
    assert "model" not in found.set_answers[0] and found.set_answers[0]["labels"] == {"level": "0"}


def test_without_sets_nothing_else_is_asked() -> None:
    found, table = evaluated(["evaluation.prompts=1", "task.prompts=2"])
    assert len(table.asked) == 1 and found.set_answers == []


def test_how_long_and_how_many_the_answers_are(words: list[str]) -> None:
    once, often = (
        EncodedSet(one, {p.id: [0] * 30 for p in one.problems}) for one in run_sets(resolve({}, overrides=words))
    )
    assert (longest_sequence(often, 512), longest_sequence(once, 512)) == (39, 512)
    assert answers_of([once, often]) == 5 * QUESTIONS


def test_a_set_that_a_run_cannot_grade_or_find_is_one_line() -> None:
    for word, message in (
        ("gradeschool", "evaluation.sets=gradeschool: an examiner grades it, and a run has none"),
        ("aime42", "sets=aime42: no such set"),
    ):
        with pytest.raises(ConfigError, match=message):
            list(run_sets(resolve({}, overrides=[f"evaluation.sets=[{word}]"])))
