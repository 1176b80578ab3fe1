"""Sampled groups: which are chosen, and how an answer stands in its steps."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raysgpo.output.group_json import group_row
from raysgpo.output.json_lines import JsonLines
from raysgpo.records import Role, Rollout, Segment, Verdict
from raysgpo.studies.reports.markdown import answers_table
from raysgpo.studies.reports.sampled import KINDS, AnswerStep, SampledGroup, sampled_groups
from raysgpo.tasks.arithmetic import split_lines
from tests.conftest import build_group, build_rollout

TEXT = "3+4=7\n7-2=6\n6+1=7\n#### 7"


def judged(text: str = TEXT, **changes: Any) -> Rollout:
    steps = split_lines(text)
    verdict: dict[str, Any] = {"verdict": Verdict.ERROR, "votes": (1, 1, None, 4), "first_error": 1, "rts": 0.25}
    lengths = {"reasoning_steps": len(steps), "step_tokens": (1,) * len(steps)}
    return build_rollout(text, tokens=len(steps), **{**lengths, **verdict, **changes})


def sampled(tmp_path: Path, rollouts: list[Rollout], **changes: Any) -> SampledGroup:
    file = JsonLines(tmp_path / "groups.jsonl")
    file.write(group_row(build_group(0, rollouts, **changes)))
    file.close()
    [group] = sampled_groups(tmp_path / "groups.jsonl", 1, split_lines)
    return group


def test_steps_are_marked_around_the_first_error_and_numbered_from_one(tmp_path: Path) -> None:
    [answer] = sampled(tmp_path, [judged()], judged=True).answers
    assert [(step.number, step.own, step.mark) for step in answer.steps] == [
        (1, "3+4=7\n", "sound"),
        (2, "7-2=6\n", "error"),
        (3, "6+1=7\n", "after"),
        (4, "#### 7", "after"),
    ]
    assert (answer.votes, answer.first_error) == ("2, 2, –, none", "2")  # noqa: RUF001


@pytest.mark.parametrize(
    ("verdict", "shown"), [(None, ""), (Verdict.LOST, "lost"), (Verdict.NONE_FOUND, "none"), (Verdict.ERROR, "2")]
)
def test_a_verdict_in_words(verdict: Verdict | None, shown: str, tmp_path: Path) -> None:
    error = 1 if verdict is Verdict.ERROR else None
    [answer] = sampled(tmp_path, [judged(verdict=verdict, first_error=error)]).answers
    assert answer.first_error == shown
    assert {step.mark for step in answer.steps} == ({"sound", "error", "after"} if error else {""})


def test_guidance_is_told_apart_in_the_middle_of_a_step(tmp_path: Path) -> None:
    guided = judged(guidance_characters=8)
    guidance = Segment.given(Role.GUIDANCE, [5, 6])
    guided = replace(guided, segments=(guided.segments[0], guidance, guided.segments[1]))
    group = sampled(tmp_path, [guided, judged()])
    first, second = group.answers
    assert [(step.given, step.own) for step in first.steps] == [
        ("3+4=7\n", ""), ("7-", "2=6\n"), ("", "6+1=7\n"), ("", "#### 7")
    ]  # fmt: skip
    assert not any(step.given for step in second.steps)
    column = answers_table(group).head.index("guidance")
    assert [row[column].text for row in answers_table(group).rows] == ["2", ""]


@given(st.lists(st.text("ab\n", min_size=0), min_size=1, max_size=4), st.integers(0, 30))
def test_no_character_of_an_answer_is_lost(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str], cut: int
) -> None:
    folder = tmp_path_factory.mktemp("lost")
    rollouts = [judged(text, guidance_characters=min(cut, len(text))) for text in texts]
    for text, answer in zip(texts, sampled(folder, rollouts).answers, strict=True):
        assert "".join(step.given + step.own for step in answer.steps) == text
        assert "".join(step.given for step in answer.steps) == text[:cut]


def test_an_answer_whose_cuts_are_not_those_of_the_record_stands_whole(tmp_path: Path) -> None:
    [answer] = sampled(tmp_path, [judged(guidance_characters=2, reasoning_steps=3)]).answers
    assert answer.whole and answer.steps == (AnswerStep(1, TEXT[:2], TEXT[2:], "", None),)


def test_every_kind_is_taken_from_every_third_and_the_same_ones_again(tmp_path: Path) -> None:
    file = JsonLines(tmp_path / "groups.jsonl")
    right, wrong = build_rollout("1", correct=True), build_rollout("2")
    for position in range(90):
        made = {0: [right, right], 1: [right, wrong], 2: [wrong, wrong], 3: [wrong, wrong], 4: []}[position % 5]
        file.write(group_row(build_group(position, made, step=position // 10, judged=position % 5 == 3)))
    file.close()
    for each in (1, 2):
        groups = sampled_groups(file.path, each, split_lines)
        found = [(group.part, group.kind) for group in groups]
        assert {pair: found.count(pair) for pair in found} == {
            (part, kind): each for part in ("early", "middle", "late") for kind in KINDS
        }
        assert [group.row["step"] for group in groups] == sorted(group.row["step"] for group in groups)
        parts = {"early": range(3), "middle": range(3, 6), "late": range(6, 9)}
        assert all(group.row["step"] in parts[group.part] for group in groups)
        assert groups == sampled_groups(file.path, each, split_lines)
