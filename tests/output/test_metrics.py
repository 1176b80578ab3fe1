"""The numbers of a step, worked by hand; and the page of them is complete."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raysgpo.output.metrics import (
    Solved,
    StepTimes,
    evaluation_metrics,
    group_metrics,
    guidance_metrics,
    problem_labels,
    success_metrics,
    success_place,
    time_metrics,
    union_seconds,
)
from raysgpo.output.update_metrics import NO_UPDATE
from raysgpo.records import Drop, Group, Problem, Role, Rollout, Segment, Verdict
from tests.metrics_page import defined

ELSEWHERE = """train/workers train/problems_solved_ever sync/replicas sync/failures sync/bytes rollout/replicas
sync/meeting_seconds sync/publish_seconds sync/push_seconds sync/epochs sync/sent_bytes eval/accuracy
eval/accuracy/difficulty_N eval/accuracy/CATEGORY eval/prompts eval/failed eval/weight_version
eval/pass_at_K eval/SET/avg eval/SET/avg/LABEL eval/SET/pass_at_K eval/SET/maj_at_K eval/SET/truncated
eval/SET/failed readings/NAME_mean readings/NAME_std readings/unread_share start/host_gib/rank_N
start/device_gib/rank_N checkpoint/seconds checkpoint/bytes
store/seconds store/bytes store/failures store/step
curriculum/target curriculum/difficulty time/idle_cores""".split()
"""What only some runs have, or what the conductor knows."""

INTERVALS = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)).map(sorted).map(tuple), max_size=8)


@pytest.fixture
def groups(make_rollout: Callable[..., Rollout], make_group: Callable[..., Group]) -> list[Group]:
    """One mixed, one all-negative and judged, one without signal, one failed."""
    mixed = [
        make_rollout(tokens=2, correct=True, reward_parts={"correctness": 1.0}, advantage=1.0),
        make_rollout(tokens=4, reward_parts={"correctness": 0.1}, advantage=-1.0),
    ]
    judged = [
        make_rollout(
            tokens=6,
            finish_reason="length",
            verdict=Verdict.NONE_FOUND,
            votes=(2, None, 2),
            rts=1.0,
            credit=0.9,
            advantage=0.5,
            attempt=2,
        ),
        make_rollout(tokens=4, verdict=Verdict.ERROR, votes=(0, 0, 1), rts=0.25, credit=0.1, advantage=-0.5),
    ]
    dull = [make_rollout(tokens=1), make_rollout(tokens=1, verdict=Verdict.LOST, votes=(None,), in_baseline=False)]
    return [
        make_group(0, mixed, counts={"grader/timeouts": 2}),
        make_group(
            1,
            judged,
            judge=True,
            judged=True,
            age=2,
            sample_interval=(10.0, 12.0),
            judge_interval=(12.0, 13.0),
            counts={"judge/calls": 4, "judge/cached": 2, "judge/tokens": 300, "judge/seconds": 1.0},
        ),
        make_group(
            2,
            dull,
            dropped=Drop.NO_SIGNAL,
            age=1,
            sample_interval=(11.0, 12.5),
            counts={"judge/calls": 1, "judge/errors": 1, "judge/seconds": 0.5},
        ),
        make_group(3, dropped=Drop.FAILED, sample_interval=(10.0, 11.0)),
    ]


def test_a_step_worked_by_hand(groups: list[Group]) -> None:
    expected = {
        "accuracy/mean": 1 / 6,
        "reward/mean": 2.1 / 6,
        "groups/trained": 2,
        "groups/dropped": 2,
        "groups/no_signal": 1,
        "groups/failed": 1,
        "groups/filtered": 0,
        "groups/too_old": 0,
        "groups/all_negative_share": 2 / 3,
        "groups/degenerate_share": 1 / 3,
        "groups/judged_share": 1 / 2,
        "failures/truncated_share": 1 / 6,
        "failures/finished_share": 4 / 6,
        "judge/allowed": 1,
        "judge/groups": 1,
        "judge/calls": 5,
        "judge/cached": 2,
        "judge/parse_failures": 0,
        "judge/timeouts": 0,
        "judge/errors": 1,
        "judge/tokens": 300,
        "judge/seconds": 0.3,
        "judge/lost": 2,
        "judge/vote_agreement": (1 + 2 / 3) / 2,
        "judge/none_found": 1,
        "judge/none_found_share": 0.0,
        "judge/rts_mean": 0.625,
        "judge/rts_truncated": 1.0,
        "judge/rts_finished": 0.25,
        "groups/sampled": 4,
        "groups/equal_rewards": 0,
        "groups/no_reward": 0,
        "advantage/right_positive_share": 1 / 6,
        "advantage/right_negative_share": 0.0,
        "advantage/wrong_negative_share": 2 / 6,
        "advantage/positive_mass": 1.5,
        "advantage/negative_mass": 1.5,
        "advantage/r_count": 1.0,
        "advantage/wrong_positive_share": 1 / 6,
        "advantage/wrong_positive_rate": 1 / 5,
        "advantage/abs_mean": 0.5,
        "advantage/std": (2.5 / 6) ** 0.5,
        "entropy/sampled": 0.5,
        "tokens/sampled": 18,
        "tokens/completion": 3.0,
        "tokens/truncated_share": 1 / 6,
        "staleness/mean": 1.0,
        "staleness/max": 2,
        "grader/failures": 2,
        "sampling/retries": 2,
    }
    assert group_metrics(groups) == pytest.approx(expected)


def test_the_order_of_the_groups_does_not_matter(groups: list[Group]) -> None:
    assert group_metrics(groups[::-1]) == pytest.approx(group_metrics(groups))


def test_rates_over_nothing_are_none_and_counts_are_zero(groups: list[Group]) -> None:
    metrics = group_metrics([groups[3]])
    some = {name: value for name, value in metrics.items() if value}
    assert some == {"groups/dropped": 1, "groups/failed": 1, "groups/sampled": 1}
    none = {name for name, value in metrics.items() if value is None}
    rates = (
        "_share",
        "_rate",
        "mean",
        "agreement",
        "seconds",
        "/std",
        "/r_count",
        "/completion",
        "/max",
        "entropy/sampled",
    )
    assert none == {name for name in metrics if name.endswith((*rates, "rts_truncated", "rts_finished"))}
    right = replace(groups[0], rollouts_G=groups[0].rollouts_G[:1])
    assert group_metrics([right])["advantage/wrong_positive_rate"] is None


def test_phases_that_overlap_count_once_and_other_is_what_no_phase_covers(groups: list[Group]) -> None:
    times = StepTimes(start=9.0, end=20.0, wait=(9.0, 13.5), train=(14.0, 16.0), sync=(16.0, 17.0))
    expected = {
        "time/step": 11.0,
        "time/sample": 2.5,
        "time/judge": 1.0,
        "time/train": 2.0,
        "time/sync": 1.0,
        "time/wait": 4.5,
        "time/eval": 0.0,
        "time/checkpoint": 0.0,
        "time/judge_alone": 0.5,
        # 9-10 before sampling, 13-14 between judge and training, 17-20 after the sync.
        "time/other": 5.0,
        "tokens/per_second": 18 / 11,
    }
    assert time_metrics(groups, times) == pytest.approx(expected)
    late = replace(times, evaluate=(17.0, 19.0), checkpoint=(8.0, 9.5))
    assert time_metrics(groups, late)["time/other"] == pytest.approx(2.5)
    assert time_metrics(groups, late)["time/checkpoint"] == pytest.approx(0.5)


def test_the_page_defines_every_number_of_a_step_and_no_other(groups: list[Group]) -> None:
    times = StepTimes(0.0, 1.0, (0.0, 0.0), (0.0, 0.0), (0.0, 0.0))
    written = [*group_metrics(groups), *guidance_metrics(groups), *success_metrics(groups)]
    written += [*time_metrics(groups, times), *NO_UPDATE, *ELSEWHERE]
    assert len(written) == len(set(written))
    assert defined() == set(written)


@given(INTERVALS, st.integers(0, 40), st.integers(0, 40))
def test_union_seconds_counts_each_moment_once(intervals: list[tuple[int, int]], start: int, end: int) -> None:
    seconds = {second for low, high in intervals for second in range(max(low, start), min(high, end))}
    assert union_seconds(intervals, start, end) == len(seconds)


@given(INTERVALS, INTERVALS)
def test_union_seconds_of_two_sets_lies_between_the_larger_and_the_sum(
    first: list[tuple[int, int]], second: list[tuple[int, int]]
) -> None:
    one, two, both = (union_seconds(part, 0, 40) for part in (first, second, first + second))
    assert max(one, two) <= both <= one + two


def test_problems_solved_count_once_and_for_ever(groups: list[Group]) -> None:
    solved = Solved({"from before"})
    assert [solved.add([groups[0]]), solved.add([groups[1]]), solved.add(groups)] == [2, 2, 2]
    assert solved.ids == {"from before", "p0"}


def test_held_out_accuracy_by_difficulty_and_category() -> None:
    found: list[dict[str, object]] = [
        {"difficulty": 3},
        {"difficulty": 4, "category": "math/both"},
        {"difficulty": 4},
        {},
    ]
    labels_P = [problem_labels(Problem("p", "", "", None, metadata)) for metadata in found]
    assert evaluation_metrics(labels_P, [True, False, True, False]) == {
        "eval/accuracy": 0.5,
        "eval/prompts": 4,
        "eval/accuracy/difficulty_3": 1.0,
        "eval/accuracy/difficulty_4": 0.5,
        "eval/accuracy/math/both": 0.0,
    }
    assert evaluation_metrics([], [])["eval/accuracy"] is None


def test_what_the_verifier_read_is_averaged_over_the_rollouts_that_have_it(
    make_rollout: Callable[..., Rollout], make_group: Callable[..., Group]
) -> None:
    found = [{"a": 2.0}, {"a": 6.0, "b": 1.0}, {}, {"a": 4.0}, None]
    rollouts = [make_rollout(readings=readings) for readings in found]
    metrics = group_metrics([make_group(0, rollouts)])
    assert {name: value for name, value in metrics.items() if name.startswith("readings/")} == {
        "readings/unread_share": 0.25,
        "readings/a_mean": 4.0,
        "readings/a_std": pytest.approx((8 / 3) ** 0.5),
        "readings/b_mean": 1.0,
        "readings/b_std": 0.0,
    }


@given(st.lists(st.tuples(st.integers(1, 3), st.booleans()), min_size=1, max_size=30))
def test_accuracies_by_difficulty_average_to_the_whole(answers: list[tuple[int, bool]]) -> None:
    metrics = evaluation_metrics([[f"difficulty_{level}"] for level, _ in answers], [right for _, right in answers])

    def weighted() -> Iterator[float]:
        for level in {level for level, _ in answers}:
            share = np.mean([d == level for d, _ in answers])
            yield float(share) * float(metrics[f"eval/accuracy/difficulty_{level}"] or 0)

    assert sum(weighted()) == pytest.approx(metrics["eval/accuracy"])


def guided(rollout: Rollout, tokens: int) -> Rollout:
    given = Segment.given(Role.GUIDANCE, [5] * tokens)
    return replace(rollout, segments=(rollout.segments[0], given, *rollout.segments[1:]))


def test_guided_and_unguided_rollouts_apart(
    make_rollout: Callable[..., Rollout], make_group: Callable[..., Group]
) -> None:
    first = [
        guided(make_rollout(correct=True, advantage=3.0), 4),
        guided(make_rollout(advantage=1.0), 2),
        make_rollout(advantage=-1.0),
        make_rollout(advantage=-3.0),
    ]
    second = [guided(make_rollout(advantage=-1.0), 3), make_rollout(correct=True, advantage=2.0)]
    groups = [
        make_group(0, first, guidance_length=4.5),
        make_group(1, second, guidance_length=3.5, dropped=Drop.TOO_OLD),
        make_group(2, dropped=Drop.FAILED, guidance_length=99.0),
    ]
    assert guidance_metrics(groups) == pytest.approx(
        {
            "accuracy/guided": 1 / 3,
            "accuracy/unguided": 1 / 3,
            "advantage/std_guided": np.std([3, 1, -1]),
            "advantage/std_unguided": np.std([-1, -3, 2]),
            "guidance/length": 4.0,
            "guidance/share": 0.5,
            "guidance/tokens": 3.0,
        }
    )


def test_without_guidance_all_rollouts_are_unguided(groups: list[Group]) -> None:
    found, all_of_them = guidance_metrics(groups), group_metrics(groups)
    assert found["accuracy/unguided"] == all_of_them["accuracy/mean"]
    assert found["advantage/std_unguided"] == all_of_them["advantage/std"]
    assert found["guidance/share"] == 0
    nothing = ("accuracy/guided", "advantage/std_guided", "guidance/length", "guidance/tokens")
    assert [found[name] for name in nothing] == [None] * 4
    assert set(guidance_metrics([]).values()) == {None}


def test_a_problem_counts_as_solved_where_nothing_was_given(
    make_rollout: Callable[..., Rollout], make_group: Callable[..., Group]
) -> None:
    solved = Solved()
    assert solved.add([make_group(0, [guided(make_rollout(correct=True), 2), make_rollout()])]) == 0
    assert solved.add([make_group(0, [make_rollout(correct=True)])]) == 1


def test_a_level_is_a_label_as_a_difficulty_is() -> None:
    assert problem_labels(Problem("p", "?", "1", None, {"level": 3, "category": "geometry"})) == ("level_3", "geometry")
    assert problem_labels(Problem("p", "?", "1", None, {"difficulty": 2})) == ("difficulty_2",)


def test_groups_by_their_success_worked_by_hand(
    make_rollout: Callable[..., Rollout], make_group: Callable[..., Group]
) -> None:
    def group(right: int, wrong: int, guided_right: int = 0) -> Group:
        free = [make_rollout(correct=True)] * right + [make_rollout()] * wrong
        first = make_rollout(correct=True)
        guided = replace(first, segments=(Segment.given(Role.GUIDANCE, [1]), *first.segments))
        return make_group(0, [guided] * guided_right + free)

    groups = [group(0, 4), group(0, 4, guided_right=4), group(1, 7), group(2, 2), group(4, 0), group(0, 0, 2)]
    found = success_metrics([*groups, make_group(0, dropped=Drop.FAILED)])
    assert found == pytest.approx(
        {
            "success/0": 2 / 6,
            "success/0_20": 1 / 6,
            "success/20_40": 0,
            "success/40_60": 1 / 6,
            "success/60_80": 0,
            "success/80_100": 0,
            "success/100": 2 / 6,
        }
    )
    assert set(success_metrics([]).values()) == {None}


@given(st.integers(1, 40), st.integers(0, 40))
def test_the_places_of_success_are_symmetric_and_rise(answers: int, right: int) -> None:
    right = min(right, answers)
    place = success_place(right / answers)
    assert place + success_place((answers - right) / answers) == 6
    assert (place == 0) == (right == 0) and (place == 6) == (right == answers)
    if 0 < right < answers:
        assert 100 * right / answers == pytest.approx(20 * place - 10, abs=10.0 + 1e-9)
