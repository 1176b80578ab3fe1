"""Verdicts on disk: what comes back is what was said, and by whom."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from raysgpo.config import JudgeConfig
from raysgpo.judging.judge import Failure
from raysgpo.records import Problem
from raysgpo.studies.judge_quality.labelled import LabelledRow
from raysgpo.studies.judge_quality.quality import Scored
from raysgpo.studies.judge_quality.verdicts_file import HOW, VerdictsFile, judge_digest

JUDGE = JudgeConfig(kind="endpoint", model="m", base_url="http://h/v1")
NO_LOSS = {failure.value: 0 for failure in Failure}
OTHER: dict[str, Any] = {
    "kind": "replicas",
    "spoiled": 0.5,
    "spoiled_as": "late",
    "model": "n",
    "prompt": "compact",
    "base_url": "http://i/v1",
    "votes": 2,
    "max_tokens": 5,
    "structured": False,
    "reference": "answer",
    "temperature": 0.5,
    "top_p": 0.5,
    "reasoning_effort": "low",
    "chat_template_kwargs": {"enable_thinking": False},
    "max_characters": 5,
    "engine": {"dtype": "float32"},
}
"""Another value of each setting that an answer follows from."""

ASKED_OTHERWISE: dict[str, Any] = {
    **dict.fromkeys(("deadline", "call_deadline", "start_deadline", "epochs", "cpus", "gpus", "kv_cache_gib"), 9.0),
    **dict.fromkeys(("steps", "retries", "concurrency", "max_calls", "max_run_tokens", "threads", "max_model_len"), 9),
    "required": False,
    "engine_process": True,
    "api_key_env": None,
    "replicas": (2, 3),
    "label_selector": {"role": "judge"},
}


def scored(name: str, *votes: int | None, lost: dict[str, int] | None = None, first_error: int | None = 1) -> Scored:
    row = LabelledRow(Problem(name, f"{name}?", "1", None), ("a\n", "b\n", "c"), first_error)
    said = tuple(f"so \\boxed{{{vote}}}\u2028" for vote in votes)
    return Scored(row, votes, 0.1 + 0.2, 7, NO_LOSS | (lost or {}), said)


def test_what_was_said_comes_back_to_the_bit_in_another_process(tmp_path: Path) -> None:
    path = tmp_path / "judges.verdicts.jsonl"
    first = [scored("a", 0, 1), scored("b", None, 3, lost={"parse_failures": 1})]
    file = VerdictsFile(path)
    for one in first:
        file.add(JUDGE, one)
    rows = [one.row for one in first]
    assert VerdictsFile(path).kept(JUDGE, rows) == first
    assert VerdictsFile(path).kept(JudgeConfig(kind="rule"), rows) == []
    relabelled = [replace(row, first_error=None) for row in rows]
    assert [one.votes for one in VerdictsFile(path).kept(JUDGE, relabelled)] == [(0, 1), (None, 3)]
    changed = [replace(row, steps=("a\n", "x")) for row in rows]
    assert VerdictsFile(path).kept(JUDGE, changed) == []


@pytest.mark.parametrize("reason", ["timeouts", "errors"])
def test_a_vote_that_did_not_come_is_asked_again_and_the_later_line_holds(tmp_path: Path, reason: str) -> None:
    path = tmp_path / "judges.verdicts.jsonl"
    lost, later = scored("a", None, lost={reason: 1}), scored("a", 2)
    VerdictsFile(path).add(JUDGE, lost)
    assert VerdictsFile(path).kept(JUDGE, [lost.row]) == []
    VerdictsFile(path).add(JUDGE, later)
    assert VerdictsFile(path).kept(JUDGE, [lost.row]) == [later]


def test_a_line_that_was_cut_off_costs_itself_alone(tmp_path: Path) -> None:
    path = tmp_path / "judges.verdicts.jsonl"
    file = VerdictsFile(path)
    file.add(JUDGE, scored("a", 1))
    file.add(JUDGE, scored("b", 1))
    path.write_bytes(path.read_bytes()[:-9])
    rows = [scored(name, 1).row for name in "ab"]
    assert [one.row.problem.id for one in VerdictsFile(path).kept(JUDGE, rows)] == ["a"]
    VerdictsFile(path).add(JUDGE, scored("b", 1))
    assert len(VerdictsFile(path).kept(JUDGE, rows)) == 2


def test_a_judge_is_known_by_every_setting_that_its_answers_follow_from() -> None:
    assert set(OTHER) | set(HOW.split()) == set(JudgeConfig.model_fields), "a new setting is one or the other"
    assert not set(OTHER) & set(HOW.split())
    others = [judge_digest(JUDGE.model_copy(update={key: value})) for key, value in OTHER.items()]
    assert len({judge_digest(JUDGE), *others}) == len(OTHER) + 1
    assert set(ASKED_OTHERWISE) == set(HOW.split())
    assert judge_digest(JUDGE.model_copy(update=ASKED_OTHERWISE)) == judge_digest(JUDGE)
