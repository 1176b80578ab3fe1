"""What judging has cost survives what a checkpoint does not cover."""

from __future__ import annotations

from pathlib import Path

import pytest

from raysgpo.conductor.judge_account import JudgeAccount
from raysgpo.groups.prepared import StartState
from raysgpo.output.run_folder import RunFolder

pytestmark = pytest.mark.ray


def test_a_resumed_run_knows_what_was_spent_since_its_checkpoint(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    JudgeAccount(run).write({"calls": 40, "tokens": 900})
    start = StartState(step=2, controllers={"judge_budget": {"calls": 16, "tokens": 1000}, "epoch_ranks": {"a": 1}})
    found = JudgeAccount(run).brought_up_to_date(start)
    assert found.controllers == {"judge_budget": {"calls": 40, "tokens": 1000}, "epoch_ranks": {"a": 1}}
    assert (found.step, found.solved) == (2, ())


def test_what_is_written_last_stands_alone(tmp_path: Path) -> None:
    account = JudgeAccount(RunFolder(tmp_path))
    account.write({"calls": 10.0**15, "tokens": 10.0**15})
    account.write({"calls": 4, "tokens": 9})
    assert account.brought_up_to_date(StartState()).controllers == {"judge_budget": {"calls": 4, "tokens": 9}}


@pytest.mark.parametrize("text", ["", "[1]", '{"calls": "many"}', "{"])
def test_an_account_that_cannot_be_read_costs_the_account_alone(text: str, tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    run.judge_spent.write_text(text)
    start = StartState(controllers={"judge_budget": {"calls": 16, "tokens": 1}})
    assert JudgeAccount(run).brought_up_to_date(start) == start


def test_without_anything_spent_nothing_changes(tmp_path: Path) -> None:
    assert JudgeAccount(RunFolder(tmp_path)).brought_up_to_date(StartState()) == StartState()
