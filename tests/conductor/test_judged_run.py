"""A run whose every group is all-negative, and a judge that does everything wrong that a judge can do."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from raysgpo.judging.address import JudgeAddress
from raysgpo.output.json_lines import read_rows
from tests.conductor.conftest import Start
from tests.conductor.fakes import FakeRun
from tests.judging.judge_server import Fault, JudgeServer, content, gullible, hang, raw, status
from tests.patience import PATIENCE

pytestmark = pytest.mark.ray

KEY = "sk-never-to-be-written"
DEADLINE = 5.0
FAULTS: list[tuple[Fault, str | None]] = [
    (hang(), "judge/timeouts"),
    (content("I cannot say."), "judge/parse_failures"),
    (content(r"\boxed{99}"), "judge/parse_failures"),
    (content(""), "judge/parse_failures"),
    (raw(b"\x00\xff<html>"), "judge/errors"),
    (status(500), "judge/errors"),
    (status(429), "judge/errors"),
    (content("x" * 10**6 + r" \boxed{1}"), None),
]
"""What the judge does from step 1 on, and what each of its votes is counted as then (None: as a vote)."""
DEAD = len(FAULTS) + 1
"""The step from which on there is no judge at all."""


def first_bad(steps: list[str]) -> int:
    return next(index for index, step in enumerate(steps) if "bad" in step)


@pytest.fixture(scope="module")
def run(start_shared_run: Start) -> Iterator[FakeRun]:
    """Two groups of two a step; whatever must hold while it runs is asserted here."""
    with JudgeServer(gullible(first_bad), key=KEY) as server:
        words = ["judge=endpoint", "judge.model=judge", f"judge.base_url={server.base_url}", "judge.epochs=100"]
        words += [f"judge.deadline={DEADLINE}", "judge.retries=0", "evaluation.every=0", "checkpoint.every=0"]
        address = JudgeAddress(server.base_url, "judge", SecretStr(KEY))
        run: FakeRun = start_shared_run(DEAD + 1, *words, judge=address, hopeless=True, held=(1,))
        run.publish(0)
        until = time.monotonic() + PATIENCE
        while not server.questions:
            assert time.monotonic() < until, "a group is judged while another still generates"
            time.sleep(0.05)
        run.release()
        run.whole_step(0)
        for step, (fault, _) in enumerate(FAULTS, 1):
            server.always = fault
            finish(run, step)
    finish(run, DEAD)
    run.call("close")
    yield run


def finish(run: FakeRun, step: int) -> None:
    start = time.monotonic()
    run.whole_step(step)
    assert time.monotonic() - start < DEADLINE + 20, f"step {step} waited for the judge longer than its deadline"


def metrics(run: FakeRun) -> list[dict[str, Any]]:
    return list(read_rows(run.folder.metrics))


def test_a_judge_that_works_gives_an_all_negative_group_its_signal(run: FakeRun) -> None:
    groups = [group for group in read_rows(run.folder.groups) if group["step"] == 0]
    assert [group["judged"] for group in groups] == [True, True]
    for group in groups:
        assert [rollout["first_error"] for rollout in group["rollouts"]] == [0, 1]
        assert [rollout["rts"] for rollout in group["rollouts"]] == pytest.approx([0, 1 / 3])
        assert group["rollouts"][0]["advantage"] < 0 < group["rollouts"][1]["advantage"]
    assert (metrics(run)[0]["judge/calls"], metrics(run)[0]["judge/tokens"]) == (4, 4 * 37)


@pytest.mark.parametrize("step", range(1, DEAD))
def test_every_fault_is_counted_as_what_it_is(run: FakeRun, step: int) -> None:
    counted = FAULTS[step - 1][1]
    row = metrics(run)[step]
    lost = {name: row[name] for name in ("judge/parse_failures", "judge/timeouts", "judge/errors")}
    assert lost == {name: 4 if name == counted else 0 for name in lost}
    assert row["judge/lost"] == (0 if counted is None else 4)
    assert row["judge/groups"] == (0 if counted else 2), "a group without any verdict counts as unjudged"


def test_a_judge_that_died_costs_votes_and_not_the_run(run: FakeRun) -> None:
    row = metrics(run)[DEAD]
    assert (row["judge/errors"], row["judge/lost"], row["groups/trained"]) == (4, 4, 0)


def test_the_console_says_once_that_votes_are_lost(run: FakeRun) -> None:
    lines = [line for line in run.call("status", 0).messages if "the judge lost" in line]
    assert len(lines) == 1 and lines[0].startswith("step 2: the judge lost 4 of 4 votes (4 timeouts)")


def test_the_key_is_in_no_file_of_the_run(run: FakeRun) -> None:
    files = [path for path in Path(run.folder.path).rglob("*") if path.is_file()]
    assert len(files) >= 3
    assert not [path for path in files if KEY.encode() in path.read_bytes()]
