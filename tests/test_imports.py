"""Cycles are looked for again once an import is over."""

from __future__ import annotations

import gc

import pytest

from raysgpo.imports import large_import


def test_no_cycle_is_looked_for_while_it_imports_and_again_afterwards() -> None:
    assert gc.isenabled()
    with large_import():
        assert not gc.isenabled()
        with large_import():
            pass
        assert not gc.isenabled()
    assert gc.isenabled()


def test_an_import_that_fails_leaves_all_as_it_was() -> None:
    with pytest.raises(ImportError), large_import():
        raise ImportError
    assert gc.isenabled()
