"""An evaluation whose model is a table: what it asks for, what it keeps when it is cut short, and how it goes on."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from raysgpo.evaluation.answers import AnswerRow, NoReply, Question, Reply, read_answers
from raysgpo.evaluation.catalogue import chosen_sets
from raysgpo.evaluation.evaluating import Evaluating
from raysgpo.evaluation.folder import EvaluationFolder
from raysgpo.evaluation.plan import Plan, PlannedSet, labelled
from raysgpo.evaluation.questions import load_set
from raysgpo.evaluation.scores import Scores
from raysgpo.output.json_lines import read_rows

pytestmark = pytest.mark.usefixtures("inline_grading")
MODELS = ("first", "second")


class Killed(BaseException):
    """The process ends here."""


@dataclass
class Table:
    """Its answer to question i, sample s is right where i + s is even; ``lost``: questions that get none."""

    kill_at: int | None = None
    lost: frozenset[str] = frozenset()
    asked: list[tuple[str, str, int, int]] = field(default_factory=list)
    """Set, question, sample and seed."""

    async def __call__(self, question: Question) -> Reply:
        if len(self.asked) == self.kill_at:
            raise Killed
        self.asked.append((question.of.name, question.problem.id, question.sample, question.seed))
        await asyncio.sleep(0)
        if question.problem.id in self.lost:
            raise NoReply("nobody is there")
        right = (int(question.problem.id[1:]) + question.sample) % 2 == 0
        text = rf"it is \boxed{{{question.problem.answer if right else 'x'}}}"
        return Reply(text, len(text), truncated=False)


def prepared(folder: Path, said: list[str] | None = None) -> Evaluating:
    """Three sets, of 4, 3 and 2 questions, the last of two answers each."""
    words = []
    for name, count in (("four", 4), ("three", 3), ("two", 2)):
        rows = [{"id": f"q{n}", "question": f"{n}+{n}=?", "answer": str(2 * n), "level": n % 2} for n in range(count)]
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        words.append(str(folder / f"{name}.jsonl"))
    settings = chosen_sets(words, {"two": {"samples": 2, "temperature": 0.6}, "four": {"labels": ["level"]}})
    sets = [load_set(one) for one in settings]
    plan = Plan(models=labelled(MODELS), sets=tuple(map(PlannedSet.of, sets)))
    place = EvaluationFolder.create(folder, "mine", plan)
    return Evaluating(plan, sets, place, (said if said is not None else []).append)


def run(evaluating: Evaluating, table: Table) -> Table:
    for model in evaluating.unanswered():
        asyncio.run(evaluating.ask(model, table, at_once=2))
    return table


def wanted_keys(model: str) -> list[tuple[str, str, str, int]]:
    counts = (("four", 4, 1), ("three", 3, 1), ("two", 2, 2))
    return [
        (model, name, f"q{n}", sample)
        for name, count, samples in counts
        for n in range(count)
        for sample in range(samples)
    ]


def finished(evaluating: Evaluating) -> tuple[Scores, Sequence[AnswerRow]]:
    return evaluating.finish(), list(read_answers(evaluating.folder.answers).values())


def test_every_answer_of_every_set_and_model_is_asked_once_and_kept(tmp_path: Path) -> None:
    evaluating = prepared(tmp_path)
    table = run(evaluating, Table())
    scores, rows = finished(evaluating)
    assert len(rows) == len(table.asked) == 2 * (4 + 3 + 2 * 2)
    assert len({seed for *_, seed in table.asked}) == 11, "both models get the same seeds, each answer its own"
    assert json.loads(evaluating.folder.scores.read_text()) == scores and scores.keys() == set(MODELS)
    assert scores["first"]["two"]["avg"]["value"] == 0.5 and scores["first"]["two"]["pass_at"]["2"] == 1.0
    assert scores["first"]["four"]["by_label"] == {"level=0": 1.0, "level=1": 0.0}
    first = next(read_rows(evaluating.folder.answers))
    assert list(first) == "model set id labels sample text tokens truncated correct answer failed".split()
    assert (first["answer"], first["correct"], first["labels"]) == ("0", True, {"level": "0"})


@pytest.mark.parametrize("kill_at", [0, 1, 5, 13, 21])
def test_killed_anywhere_it_goes_on_and_asks_nothing_twice(tmp_path: Path, kill_at: int) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    whole.mkdir()
    cut.mkdir()
    undisturbed = prepared(whole)
    run(undisturbed, Table())
    evaluating = prepared(cut)
    first = Table(kill_at)
    with pytest.raises(Killed):
        run(evaluating, first)
    kept = read_answers(evaluating.folder.answers)
    assert len(kept) >= kill_at - 2, "all but what was on its way"
    second = run(evaluating, Table())
    assert len(first.asked) + len(second.asked) == 22 + len(first.asked) - len(kept)
    missing = {key[1:] for model in MODELS for key in wanted_keys(model) if key not in kept}
    assert {key[:3] for key in second.asked} <= missing
    scores, rows = finished(evaluating)
    assert (scores, sorted(map(str, rows))) == (finished(undisturbed)[0], sorted(map(str, finished(undisturbed)[1])))


def test_what_never_came_counts_as_wrong_is_said_and_is_asked_again(tmp_path: Path) -> None:
    said: list[str] = []
    evaluating = prepared(tmp_path, said)
    run(evaluating, Table(lost=frozenset({"q0"})))
    scores, rows = finished(evaluating)
    lost = [row for row in rows if row.id == "q0"]
    assert len(lost) == 8 and all(
        (row.text, row.correct, row.failed) == (None, None, "nobody is there") for row in lost
    )
    assert scores["first"]["four"]["avg"]["value"] == 0.25 and scores["first"]["four"]["failed"] == 1
    assert said[-1].startswith(
        "warning: 8 of 22 answers have no verdict and count as wrong (the first: nobody is there)"
    )
    again = run(evaluating, Table())
    assert {key[1] for key in again.asked} == {"q0"} and len(again.asked) == 8
    assert finished(evaluating)[0]["first"]["four"]["avg"]["value"] == 0.5
    assert sum(1 for _ in read_rows(evaluating.folder.answers)) == 22, "one row an answer"
    assert evaluating.unanswered() == []
