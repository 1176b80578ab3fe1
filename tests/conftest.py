"""What tests share: one Ray session for all that need Ray, and groups made by hand."""

from __future__ import annotations

import atexit
import gc
import os
import signal
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import settings
from xdist.scheduler import LoadScopeScheduling

from raysgpo.records import Group, Problem, Role, Rollout, Segment

SHARE_A_RUN = {
    "finished": {"test_run.py", "test_replay_run.py", "test_resumed_job.py", "test_offline_run.py"},
    "battered": {"test_survival.py", "test_judged_run.py"},
}
"""Fixture of a run of the real stack to the files whose tests look at it."""

# The commands that tests start run the package that is tested, whichever checkout is installed.
ROOT = Path(__file__).parents[1]
os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])

# A background job of a shell ignores Ctrl-C, and so would the commands that tests start and interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# The test processes share the cores: more threads in each would wait for one another.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# A process for each run that no test looks at.
os.environ.setdefault("RAY_TRAIN_ENABLE_PREEMPTION_WATCHER", "0")

# A busy machine makes one example slow, which says nothing of the code.
settings.register_profile("raysgpo", deadline=None)
settings.load_profile("raysgpo")


class Scheduling(LoadScopeScheduling):
    """Of ``pytest --numprocesses``: a file stays in one process, and so do the files that share one run."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return shared_run(Path(file)) or file


def shared_run(file: Path) -> str | None:
    """The run that the tests of a file look at together with others."""
    if file.parent.name != "full":
        return None
    return next((run for run, files in SHARE_A_RUN.items() if file.name in files), None)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Scheduling:
    config.option.loadscopereorder = False  # by number of tests, the longest run would come last
    return Scheduling(config, log)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Imports leave little garbage, and looking for it takes a fifth of the collection. What they made stays to
    the end, so neither the tests nor pytest's own clean-up need look there."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        atexit.register(gc.unfreeze)  # the interpreter's own clean-up may look
        gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes longest first, so that no process waits for the other at the end."""
    items.sort(key=lambda item: (shared_run(item.path) is None, item.get_closest_marker("full") is None))


@pytest.fixture(scope="session")
def ray_session() -> Iterator[None]:
    """Ray on this machine with two logical CPUs, private to the test run."""
    import ray
    from ray import serve

    ray.init(
        address="local",
        num_cpus=2,
        include_dashboard=False,
        log_to_driver=False,
        object_store_memory=512 * 2**20,
        _system_config={"metrics_report_interval_ms": 1000},
        runtime_env={"env_vars": {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}},
    )
    yield
    serve.shutdown()
    ray.shutdown()


def build_rollout(text: str = "ok", tokens: int = 3, prompt: int = 2, **changes: Any) -> Rollout:
    """A finished rollout: ``prompt`` given tokens and ``tokens`` sampled ones, by the weights of version 1."""
    sampled_T = np.arange(10, 10 + tokens, dtype=np.int32)
    whole = Rollout(
        segments=(
            Segment.given(Role.PROMPT, list(range(1, prompt + 1))),
            Segment.sampled(sampled_T, np.full(tokens, -0.5, dtype=np.float32)),
        ),
        text=text,
        finish_reason="stop",
        seed=7,
        weight_versions=((1, tokens),),
        correct=False,
        reward_parts={"correctness": 0.0},
        reasoning_steps=1,
    )
    return replace(whole, **changes)


def build_group(position: int = 0, rollouts: Sequence[Rollout] = (), **changes: Any) -> Group:
    """A group of one problem a position; step 0 unless said otherwise."""
    problem = Problem(f"p{position}", "1+1=?", "2", "1+1=2\n#### 2", {"difficulty": 2})
    return replace(Group(position, 0, 0, problem, tuple(rollouts)), **changes)


@pytest.fixture(scope="session")
def make_rollout() -> Callable[..., Rollout]:
    """``make_rollout(text, tokens=3, **fields)``: see ``build_rollout``."""
    return build_rollout


@pytest.fixture(scope="session")
def make_group() -> Callable[..., Group]:
    """``make_group(position, rollouts, **fields)``: see ``build_group``."""
    return build_group
