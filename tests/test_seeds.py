"""Seeds by hashing: stable for ever, valid everywhere, never shared by neighbours."""

from __future__ import annotations

import hashlib
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from raysgpo.seeds import derive_seed

PARTS = st.lists(st.one_of(st.integers(), st.text()), max_size=4)


@given(PARTS)
def test_a_seed_fits_every_library(parts: list[int | str]) -> None:
    assert 0 <= derive_seed(*parts) < 2**31


def test_the_value_is_fixed_so_that_a_run_can_be_resumed_by_a_later_version() -> None:
    digest = hashlib.sha256(b"str:rollout\x1fint:0").digest()
    assert derive_seed("rollout", 0) == int.from_bytes(digest[:4], "big") // 2
    assert derive_seed("rollout", 0) == 1093957261


def test_every_part_its_type_and_its_place_count() -> None:
    named: list[tuple[int | str, ...]] = [("a", 1), ("a", 2), (1, "a"), ("a", "1"), ("a1",), ("a",), ()]
    seeds = [derive_seed(*parts) for parts in named]
    assert len(set(seeds)) == len(seeds)


def test_neighbouring_seeds_share_no_stream() -> None:
    """vLLM adds the index of a parallel sample to the seed: no two may lie within a group's size."""
    seeds = sorted(derive_seed("rollout", 0, 0, f"problem {p}", g) for p in range(100) for g in range(8))
    assert all(b - a > 8 for a, b in pairwise(seeds))
