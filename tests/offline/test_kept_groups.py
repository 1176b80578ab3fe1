"""Which groups are kept, and what right answers are worth."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from raysgpo.config import AlgorithmConfig, Config, OfflineConfig
from raysgpo.config.overrides import ConfigError, resolve
from raysgpo.offline.kept_groups import kept_groups, right_answers, selected
from raysgpo.records import Drop, Group, Rollout
from tests.offline.conftest import group, response

Make = Callable[..., Group]
GRPO = AlgorithmConfig()


@pytest.fixture
def graded(make_group: Make, make_rollout: Callable[..., Rollout]) -> Make:
    """``graded(position, [True, False])``: a group of right and wrong answers, with their plain rewards."""

    def make(position: int, correct: list[bool]) -> Group:
        rollouts = [
            make_rollout(f"{position}-{g}", correct=c, reward_parts={"correctness": float(c)})
            for g, c in enumerate(correct)
        ]
        return make_group(position, rollouts)

    return make


def test_failures_and_right_answers_part_the_file(graded: Make) -> None:
    groups = [graded(0, [False, False]), graded(1, [True, False]), graded(2, [True, True]), graded(3, [False, False])]
    failures = kept_groups(groups, OfflineConfig(), GRPO, "f")
    positive = kept_groups(groups, OfflineConfig(keep="positive"), GRPO, "f")
    assert [g.position for g in failures] == [0, 3] and [g.position for g in positive] == [1, 2]


@pytest.mark.parametrize(("keep", "correct"), [("all_negative", True), ("positive", False)])
def test_a_file_without_anything_to_keep_is_refused_with_a_way_out(keep: str, correct: bool, graded: Make) -> None:
    with pytest.raises(ValueError, match=r"^f: none of its 1 groups .* set offline\.keep="):
        kept_groups([graded(0, [correct, correct])], OfflineConfig(keep=keep), GRPO, "f")


def test_a_response_alone_has_nothing_to_be_compared_with(graded: Make) -> None:
    alone = [graded(4, [False])]
    with pytest.raises(ValueError, match=r"^f, row 5: a group of one response"):
        kept_groups(alone, OfflineConfig(), GRPO, "f")
    plain = AlgorithmConfig(baseline="none", scale="none")
    assert kept_groups(alone, OfflineConfig(), plain, "f") == alone
    assert kept_groups([graded(0, [True])], OfflineConfig(keep="positive"), GRPO, "f")


def test_every_right_answer_is_worth_one(graded: Make) -> None:
    left = right_answers(graded(0, [False, True, True]), GRPO, "one")
    assert [(r.text, r.advantage) for r in left.rollouts_G] == [("0-1", 1.0), ("0-2", 1.0)]
    assert right_answers(graded(0, [True, True]), GRPO, "one").dropped is None


def test_right_answers_have_the_groups_positive_advantages(graded: Make) -> None:
    """r = 1, 0, 0, 0: mean 1/4, sample std 1/2. r = 1, 1, 0, 0: mean 1/2, sample std sqrt(1/3)."""
    one = right_answers(graded(0, [True, False, False, False]), GRPO, "group")
    assert [r.advantage for r in one.rollouts_G] == pytest.approx([1.5], rel=1e-5)
    two = right_answers(graded(0, [True, True, False, False]), GRPO, "group")
    assert [r.advantage for r in two.rollouts_G] == pytest.approx([0.75**0.5] * 2, rel=1e-5)


def test_a_group_of_right_answers_alone_has_no_positive_advantage(graded: Make) -> None:
    left = right_answers(graded(0, [True, True]), GRPO, "group")
    assert (left.dropped, left.rollouts_G) == (Drop.NO_SIGNAL, ())


def offline(*words: str) -> Config:
    return resolve({"mode": "offline"}, overrides=["algorithm=sgpo", *words])


def test_the_setting_is_named_beside_the_row(file: Callable[..., str]) -> None:
    path = file(group(), group(response()))
    with pytest.raises(ConfigError, match=rf"^offline\.groups={path}, row 2: 1 responses"):
        selected(offline(f"offline.groups={path}"))
    with pytest.raises(ConfigError, match=rf"^offline\.groups={path}: none of its 1 groups has a right answer"):
        selected(offline(f"offline.groups={file(group())}", "offline.keep=positive"))
    assert selected(offline()) is None


def test_verdicts_without_what_tokens_are_counted_from_are_refused(file: Callable[..., str]) -> None:
    measured = {"reasoning_steps": 2, "given_steps": 0, "step_tokens": [3, 4], "votes": [1]}
    said = response(verdict="error", first_error=1, rts=0.5)
    path = file(group(said | measured, said | measured, judged=True), group(said, said, judged=True))
    assert len(selected(offline(f"offline.groups={path}")) or []) == 2
    for words in (["algorithm.partial_credit.rts=tokens"], ["algorithm.credit=prefix"]):
        with pytest.raises(ConfigError, match=r"row 2: it was judged, without the votes.* set offline\.rejudge=true"):
            selected(offline(f"offline.groups={path}", *words))
        assert len(selected(offline(f"offline.groups={path}", *words, "offline.rejudge=true")) or []) == 2


def test_right_answers_alone_have_no_first_error() -> None:
    with pytest.raises(
        ConfigError, match=r"algorithm\.credit=prefix with offline\.keep=positive.* algorithm\.credit=answer"
    ):
        offline("algorithm.credit=prefix", "offline.keep=positive")


def test_failures_need_a_signal_and_right_answers_need_no_judge() -> None:
    with pytest.raises(ConfigError, match=r"offline\.keep=all_negative .* set algorithm=sgpo"):
        offline("algorithm=grpo")
    assert not offline("offline.keep=positive").needs_judge and offline().needs_judge
    assert not offline("algorithm=grpo", "offline.keep=positive").needs_judge
    assert resolve({}, overrides=["offline.keep=all_negative"]).mode == "online"


def test_the_solutions_of_a_task_are_its_training_problems_each_answered_right(tmp_path: Path) -> None:
    config = resolve({"mode": "offline"}, overrides=["task.prompts=5", "algorithm=grpo", "offline.keep=solutions"])
    groups = selected(config)
    assert groups is not None and [one.position for one in groups] == list(range(5))
    assert [one.rollouts_G[0].text for one in groups] == [one.problem.reference for one in groups]
    assert all(one.rollouts_G[0].correct and one.rollouts_G[0].finish_reason == "stop" for one in groups)
    assert not config.needs_judge


def test_a_row_without_a_solution_is_named(tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text(
        '{"id": "a", "question": "1+1?", "answer": "2", "solution": "2"}\n{"id": "b", "question": "?", "answer": "1"}\n'
    )
    words = ["task.kind=math", f"task.path={rows}", "evaluation.prompts=1", "judge=none", "offline.keep=solutions"]
    eval_rows = tmp_path / "eval.jsonl"
    eval_rows.write_text('{"id": "e", "question": "1+2?", "answer": "3"}\n')
    with pytest.raises(ConfigError, match=r"1 of 2 rows lack a solution \(first: b\): add the field"):
        selected(resolve({"mode": "offline"}, overrides=[*words, f"task.eval_path={eval_rows}"]))
