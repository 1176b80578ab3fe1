"""A process of a run imports nothing that it does not use, and looks for no cycles meanwhile."""

from __future__ import annotations

import gc
import subprocess
import sys

import pytest

from raysgpo.imports import large_import

ACTORS = "raysgpo.conductor.conductor, raysgpo.conductor.group_worker, raysgpo.serving.replica"
GRADING = ("math_verify", "sympy")
MODELS = ("torch", "transformers", "vllm")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("modules", "without"),
    [
        ("raysgpo.run", ("matplotlib", "vllm")),
        (ACTORS, ("matplotlib", *GRADING, *MODELS)),
        ("raysgpo.training.entry", ("matplotlib", *GRADING, *MODELS, "ray")),
    ],
)
def test_what_a_process_does_not_use_it_does_not_import(modules: str, without: tuple[str, ...]) -> None:
    program = f"import sys, {modules}; print(sorted({set(without)} & sys.modules.keys()))"
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert (found.stdout.strip(), found.returncode) == ("[]", 0), found.stderr


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
