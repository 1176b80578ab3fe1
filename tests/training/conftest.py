"""Ranks that save together: real processes, forked of one that has imported everything."""

from __future__ import annotations

import itertools
import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.policy.conftest import qwen2, sequences, shares  # noqa: F401  fixtures

Ranks = Callable[..., list[dict[str, Any]]]


@pytest.fixture(scope="module")
def forge() -> Iterator[subprocess.Popen[str]]:
    """The process of which the ranks are forked."""
    file = Path(__file__).with_name("saving_ranks.py")
    path = os.pathsep.join(filter(None, [str(file.parents[2]), os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, str(file)], env=environment, stdin=pipe, stdout=pipe, text=True) as process:
        yield process
        process.kill()


@pytest.fixture
def ranks(forge: subprocess.Popen[str], qwen2: str, sequences: Any, shares: Any, tmp_path: Path) -> Ranks:  # noqa: F811
    """``ranks(world, *script, config=(), status=0)``: what each rank found; the run's folder is ``tmp_path``."""
    meetings = itertools.count()

    def run(
        world: int,
        *script: str,
        config: tuple[str, ...] = (),
        status: int = 0,
        store: str | None = None,
        environment: dict[str, str] | None = None,
        apart: bool = False,
    ) -> list[dict[str, Any]]:
        meeting = tmp_path / f".meeting-{next(meetings)}"
        (tmp_path / "job.pkl").write_bytes(
            pickle.dumps(
                {
                    "model": qwen2,
                    "script": list(script),
                    "config": list(config),
                    "shares": shares(sequences(6, seed=1), world),
                    "meeting": str(meeting),
                    "store": store,
                    "environment": environment,
                    "apart": apart,
                }
            )
        )
        assert forge.stdin is not None and forge.stdout is not None
        forge.stdin.write(f"{tmp_path} {world}\n")
        forge.stdin.flush()
        assert int(forge.stdout.readline()) == status
        meeting.unlink(missing_ok=True)
        if status:
            return []
        return [pickle.loads((tmp_path / f"{rank}.pkl").read_bytes()) for rank in range(world)]

    return run
