"""A process of a run imports nothing that it does not use: a start is little else than imports."""

from __future__ import annotations

import subprocess
import sys

import pytest

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
