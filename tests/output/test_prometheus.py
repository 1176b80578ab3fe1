"""Every number has a name in Prometheus, by its naming practice, and the page lists it."""

from __future__ import annotations

import re

import pytest

from raysgpo.output.prometheus import OF_THE_RUN, SUMS, Series, help_text, samples, series, table
from tests.metrics_page import PAGE, PROMETHEUS, defined


def exported() -> dict[str, Series]:
    return {metric: one for metric in defined() if (one := series(metric)) is not None}


def test_every_number_of_the_page_has_a_series_of_its_own() -> None:
    left_out = {metric for metric in defined() if series(metric) is None}
    assert left_out == SUMS
    lines = [(one.name, one.labels) for one in (*exported().values(), *OF_THE_RUN)]
    assert len(set(lines)) == len(lines) > 100


def test_the_page_lists_them() -> None:
    """``python -m raysgpo.output.prometheus`` prints the table."""
    assert table() in PAGE.read_text(encoding="utf-8").partition(PROMETHEUS)[2]


def test_names_and_labels_are_such_as_prometheus_takes_and_a_name_has_one_kind_and_the_same_labels() -> None:
    kinds: dict[str, set[tuple[str, tuple[str, ...]]]] = {}
    for one in exported().values():
        assert re.fullmatch(r"raysgpo(_[a-z0-9]+)+", one.name), one
        assert all(re.fullmatch(r"[a-z]+", name) and name not in ("run", "folder") for name, _ in one.labels)
        assert one.name.endswith("_total") == (one.kind == "counter"), one
        kinds.setdefault(one.name, set()).add((one.kind, one.label_names))
    assert all(len(found) == 1 for found in kinds.values()), kinds


@pytest.mark.parametrize("word, unit", [("seconds", "seconds"), ("bytes", "bytes"), ("share", "ratio")])
def test_a_unit_stands_last(word: str, unit: str) -> None:
    found = [one.name.removesuffix("_total") for metric, one in exported().items() if metric.endswith(word)]
    assert found and all(name.endswith(f"_{unit}") for name in found), found


def test_each_name_has_a_help_of_its_own_in_ascii() -> None:
    texts = {one.name: help_text(one.name) for one in (*exported().values(), *OF_THE_RUN)}
    assert len(set(texts.values())) == len(texts) and all(text.isascii() for text in texts.values())
    assert texts["raysgpo_accuracy_ratio"] == "raysgpo: accuracy/mean of docs/metrics.md"
    assert "groups/too_old" in texts["raysgpo_groups_total"]


def test_base_units_alone() -> None:
    assert list(samples({"step": 4, "start/host_gib/rank_1": 0.5, "time/sync": 2.0, "judge/rts_mean": None})) == [
        (Series("raysgpo_start_host_bytes", (("rank", "1"),), unit=2**30), 2**29),
        (Series("raysgpo_phase_seconds", (("phase", "sync"),)), 2.0),
        (Series("raysgpo_judge_rts_ratio"), None),
    ]
    assert not any(re.search(r"_(gib|ms|percent|share|minutes)(_|$)", one.name) for one in exported().values())


def test_what_a_run_names_is_a_label() -> None:
    names = {
        "eval/accuracy/difficulty_3": ("raysgpo_eval_label_accuracy_ratio", {"label": "difficulty_3"}),
        "eval/pass_at_8": ("raysgpo_eval_pass_ratio", {"k": "8"}),
        "eval/pass_at_8/one right": ("raysgpo_eval_label_pass_ratio", {"k": "8", "label": "one right"}),
        "eval/aime24/avg": ("raysgpo_eval_set_score_ratio", {"set": "aime24"}),
        "eval/math500/avg/level=5": ("raysgpo_eval_set_label_score_ratio", {"set": "math500", "label": "level=5"}),
        "eval/aime24/maj_at_16": ("raysgpo_eval_set_majority_ratio", {"set": "aime24", "k": "16"}),
        "readings/rating_a_mean": ("raysgpo_reading_mean", {"reading": "rating_a"}),
        "policy/clip_share/update_2": ("raysgpo_update_clipped_ratio", {"update": "2"}),
        "policy/skipped/update_2": ("raysgpo_update_skipped_updates_total", {"update": "2"}),
        "advantage/wrong_positive_share": ("raysgpo_rollouts_ratio", {"answer": "wrong", "advantage": "positive"}),
        "groups/too_old": ("raysgpo_groups_total", {"fate": "too_old"}),
    }
    for metric, (name, labels) in names.items():
        one = series(metric)
        assert one is not None and (one.name, dict(one.labels)) == (name, labels)
    assert series("policy/nothing/update_2") is None and series("nothing") is None
