"""What the data says of a problem's difficulty, and which problems stay."""

from __future__ import annotations

import pytest

from raysgpo.config import CurriculumConfig
from raysgpo.groups.curriculum import chosen, filtered, order_ranks, ranks
from raysgpo.records import Problem


def problems(field: str, *values: object) -> list[Problem]:
    return [Problem(f"row-{i}", "?", "1", metadata={field: value}) for i, value in enumerate(values)]


def test_a_difficulty_ranks_as_it_is() -> None:
    config = CurriculumConfig(order="difficulty")
    assert ranks(problems("difficulty", 3, 1, 2.5), config) == [3, 1, 2.5]


def test_a_tier_ranks_by_its_place() -> None:
    config = CurriculumConfig(order="tier", field="source")
    rows = problems("source", "olympiads", "cn_contest", "amc_aime", "olympiads_ref", "aops_forum")
    assert ranks(rows, config) == [3, 0, 2, 4, 1]
    own = CurriculumConfig(order="tier", field="source", tiers=("low", "high"))
    assert ranks(problems("source", "high", "low"), own) == [1, 0]


@pytest.mark.parametrize(
    ("order", "value", "expected"),
    [
        ("difficulty", "hard", "do not have a number there"),
        ("difficulty", None, "do not have a number there"),
        ("difficulty", True, "do not have a number there"),
        ("difficulty", 10**400, "do not have a number there"),
        ("tier", "imo", "do not have one of cn_contest, aops_forum, amc_aime, olympiads, olympiads_ref"),
    ],
)
def test_rows_that_cannot_be_ranked_are_named(order: str, value: object, expected: str) -> None:
    config = CurriculumConfig(order=order)
    good = 1 if order == "difficulty" else "amc_aime"
    with pytest.raises(ValueError, match="set curriculum=random") as caught:
        chosen(problems("difficulty", good, value, good, value), config)
    assert "2 of 4 training rows (row-1, row-3)" in str(caught.value) and expected in str(caught.value)


@pytest.mark.parametrize("order", ["random", "success"])
def test_where_the_data_does_not_decide_it_need_not_say_anything(order: str) -> None:
    config = CurriculumConfig(order=order)
    assert order_ranks(problems("difficulty", None), config) is None
    assert chosen(problems("difficulty", None), config) == [0]


def test_the_hard_ones_are_left_out_in_any_order() -> None:
    rows = problems("difficulty", 4, 2, 3, 5)
    for order in ("random", "difficulty", "success"):
        config = CurriculumConfig(order=order, remove_above=3)
        assert chosen(rows, config) == [1, 2]
    tiers = problems("source", "olympiads", "cn_contest", "amc_aime")
    assert chosen(tiers, CurriculumConfig(field="source", remove_above="amc_aime")) == [1, 2]


def test_if_none_stays_it_says_so() -> None:
    with pytest.raises(ValueError, match=r"curriculum\.remove_above=1.0: all of the 2 training prompts are harder"):
        chosen(problems("difficulty", 2, 3), CurriculumConfig(remove_above=1))


def test_the_harder_half_of_those_that_stay_takes_the_places_of_the_hard_ones() -> None:
    """Five above 3: of rows 1, 3 and 4 the harder two take their places, the hardest first."""
    rows = problems("difficulty", 5, 1, 5, 3, 2, 5, 5, 5)
    config = CurriculumConfig(replace_above=3)
    assert filtered(rows, config, seed=0) == [1, 3, 4, 3, 4, 3, 4, 3]
    assert filtered(rows, CurriculumConfig(remove_above=3), seed=0) == [1, 3, 4]
    assert filtered(rows[3:5], config, seed=0) == [0, 1], "there is nothing to replace"


def test_which_of_equal_ones_stand_again_is_the_seeds() -> None:
    rows = problems("difficulty", *([3] * 50), *([5] * 10))
    drawn = [filtered(rows, CurriculumConfig(replace_above=3), seed) for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]
    assert all(len(set(indices[50:])) == 10 for indices in drawn)


def test_a_level_is_a_number_however_it_is_written() -> None:
    config = CurriculumConfig(**CurriculumConfig.presets["level"])
    assert ranks(problems("level", "Level 5", "Level 1", 3, "4", "level 2.5"), config) == [5, 1, 3, 4, 2.5]
    with pytest.raises(ValueError, match="1 of 2 training rows"):
        ranks(problems("level", "Level 5", "Level ?"), config)
