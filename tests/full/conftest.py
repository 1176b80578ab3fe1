"""Runs of the real stack for tests: a policy that is made in seconds, and the command line as a user has it.

A run costs half a minute whatever it does, since processes must start; so as many tests as can look
at the records of the same one (``finished``).
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psutil
import pytest
from filelock import FileLock

from raysgpo.config import Config
from raysgpo.output.json_lines import read_rows
from raysgpo.output.run_folder import RunFolder
from raysgpo.output.run_lock import RunLock
from tests.full.models import hasty_judge, hasty_policy

ROOT = Path(__file__).parents[2]
DEADLINE = 900.0
"""Seconds that anything here may take."""
STEPS = 4
"""Of the run that most tests look at."""
UPDATES = 2
"""That a step of it makes."""
JUDGED = 7
"""Steps that the battered run judges."""


@dataclass(slots=True)
class Command:
    """A command of ours that is under way, with its output in a file."""

    process: subprocess.Popen[bytes]
    output: Path

    @property
    def text(self) -> str:
        """Standard output and error so far."""
        return self.output.read_text(encoding="utf-8", errors="replace")

    def wait(self) -> int:
        """The exit status."""
        return self.process.wait(DEADLINE)

    def wait_until(self, condition: Callable[[], Any], what: str) -> Any:
        """What ``condition`` gives, once it gives something while the command is under way."""
        end = time.monotonic() + DEADLINE
        while not (found := condition()):
            assert self.process.poll() is None, f"it ended while we waited for {what}:\n{self.text}"
            assert time.monotonic() < end, f"no {what} within {DEADLINE:g} s:\n{self.text}"
            time.sleep(0.05)
        return found

    def kill(self, *titles: str) -> None:
        """Kills the one process below this one whose title contains every one of ``titles``."""
        found = []
        for process in psutil.Process(self.process.pid).children(recursive=True):
            with contextlib.suppress(psutil.Error):  # it went in this moment
                title = " ".join(process.cmdline())
                if all(part in title for part in titles):
                    found.append((process, title))
        assert len(found) == 1, f"one process of {titles}, not {[title for _, title in found]}"
        found[0][0].kill()

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(20)


def clean_environment(**more: str) -> dict[str, str]:
    """Ours without what a Ray session of this process has put there; a cluster of its own for each run."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    cheaper = {
        "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",
        "RAY_prestart_worker_first_driver": "0",
    }  # processes to start
    return kept | {"RAY_ADDRESS": "local", "OMP_NUM_THREADS": "1"} | cheaper | more


def start_command(folder: Path, *words: str, environment: dict[str, str] | None = None) -> Command:
    """``python WORDS`` in an empty folder, as from any place on the disk."""
    folder.mkdir(parents=True, exist_ok=True)
    output = folder / f"output-{len(list(folder.glob('output-*')))}.txt"
    with output.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, *words],
            cwd=folder,
            stdout=file,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env=environment or clean_environment(),
        )
    return Command(process, output)


def run_to_end(folder: Path, *words: str) -> tuple[int, str]:
    """Exit status and output of ``python WORDS``."""
    command = start_command(folder, *words)
    try:
        return command.wait(), command.text
    finally:
        command.end()


@contextlib.contextmanager
def trained_here(config: Config) -> Iterator[RunFolder]:
    """A run made of its parts on this process's Ray, trained to its end; the parts stay up in the block."""
    from raysgpo.groups.prepared import StartState
    from raysgpo.session.moving_parts import running_parts
    from raysgpo.session.serving_parts import serving_parts
    from raysgpo.start.data_report import write_report
    from raysgpo.start.preparation import prepare
    from raysgpo.start.resume import open_folder

    with RunLock(print) as lock:
        run = open_folder(config, lock, print)
        prepared = write_report(prepare(config, say=print), run, print)
        with (
            serving_parts(prepared.config, run, None, print) as serving,
            running_parts(prepared, run, StartState(), serving, print) as parts,
        ):
            end = time.monotonic() + DEADLINE
            while parts.trainer.running:
                assert time.monotonic() < end, f"not done within {DEADLINE:g} s"
                time.sleep(0.1)
            assert parts.trainer.failure is None, parts.trainer.failure
            yield run


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A policy that has begun to add: often wrong, sometimes right. Made once for all test processes."""
    shared = (
        tmp_path_factory.getbasetemp().parent
        if "PYTEST_XDIST_WORKER" in os.environ
        else tmp_path_factory.mktemp("tiny")
    )
    with FileLock(shared / "tiny.lock"):
        return hasty_policy(shared)


@pytest.fixture(scope="session")
def small(tiny: Path) -> list[str]:
    """Settings of a small run of the embedded default."""
    return [
        "arithmetic",
        f"model={tiny}",
        "judge=rule",
        "task.terms=3",
        "task.prompts=64",
        "prompts_per_step=4",
        "sampling.group_size=4",
        "sampling.max_tokens=24",
        "optimizer.lr=3e-4",
        "optimizer.warmup_steps=0",
        "evaluation.prompts=8",
        "records.tokens=true",
        "checkpoint.every=1",
        "checkpoint.keep=100",
        "rollout.kv_cache_gib=0.1",
        "rollout.start_deadline=800",
        "judge.start_deadline=800",
    ]


@dataclass(frozen=True, slots=True)
class Finished:
    """A run that is over, by its exit status, its output and its folder."""

    status: int
    output: str
    run: RunFolder

    @property
    def metrics(self) -> list[dict[str, Any]]:
        return list(read_rows(self.run.metrics))

    @property
    def groups(self) -> list[dict[str, Any]]:
        return list(read_rows(self.run.groups))


@pytest.fixture(scope="session")
def finished(small: list[str], tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """One run of four steps under S = 0, from the command line to its end.

    Half of its rollouts are guided, and each step makes two updates.
    """
    storage = tmp_path_factory.mktemp("storage")
    words = [str(ROOT / "jobs" / "train.py"), *small, f"storage={storage}", f"steps={STEPS}"]
    words += ["guidance=g2rpo_a", "guidance.ratio=0.5", "guidance.length=4", "guidance.max_length=5"]
    words += [f"optimizer.updates_per_step={UPDATES}"]
    status, output = run_to_end(tmp_path_factory.mktemp("elsewhere"), *words)
    folders = sorted((storage / "runs").glob("*"))
    assert len(folders) == 1, output
    return Finished(status, output, RunFolder(folders[0]))


@dataclass(frozen=True, slots=True)
class Battered(Finished):
    """A run that lost processes on its way, and was then stopped by Ctrl-C."""

    judge: Path
    """The checkpoint of its judge."""
    judged_well: int
    """Steps that were over when the judge's replica was killed."""
    replica_had: int
    """Steps that were over when the rollout replica was killed."""


@pytest.fixture(scope="session")
def judge(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A judge that was taught for seconds: it says letters, and is often wrong."""
    return hasty_judge(tmp_path_factory.mktemp("judge"))


@pytest.fixture(scope="session")
def battered(small: list[str], judge: Path, tmp_path_factory: pytest.TempPathFactory) -> Battered:
    """A run under S = 1 whose judge is a replica on the cluster, killed while it judges.

    Judging being over, it loses its train worker, then its rollout replica; then comes Ctrl-C.
    """
    storage = tmp_path_factory.mktemp("battered")
    words = ["max_staleness=1", "steps=1000", "checkpoint.every=2", "evaluation.every=0", f"storage={storage}"]
    words += ["algorithm=sgpo_corpo", "judge=tiny", f"judge.model={judge}", f"judge.steps={JUDGED}"]
    words += ["judge.deadline=15", "rollout.engine_process=true"]  # a process, as on GPUs
    others = [word for word in small if word != "judge=rule"]
    command = start_command(storage / "elsewhere", str(ROOT / "jobs" / "train.py"), *others, *words)
    run = RunFolder(storage / "runs" / "arithmetic-001")

    def steps() -> int:
        return len(list(read_rows(run.metrics)))

    def wait_for(more: int, when: str) -> None:
        wanted = steps() + more
        command.wait_until(lambda: steps() >= wanted, f"{more} steps {when}")

    try:
        wait_for(3, "at the start")
        judged_well = steps()
        command.kill("ray::ServeReplica", "-judge:")
        command.wait_until(lambda: "judging is over" in command.text, "end of judging")
        command.kill("ray::RayTrainWorker")
        wait_for(3, "after the worker's death")
        replica_had = steps()
        command.kill("ray::ServeReplica", "-rollout:")
        wait_for(3, "after the replica's death")
        command.process.send_signal(signal.SIGINT)
        return Battered(command.wait(), command.text, run, judge, judged_well, replica_had)
    finally:
        command.end()


def checksums_by_version(run: RunFolder) -> dict[int, dict[str, str]]:
    """Weight version to the checksums of the checkpoint that holds those weights."""
    from transformers import AutoModelForCausalLM

    from raysgpo.output import checkpoint
    from raysgpo.weights.checksums import named_checksums

    found = {}
    with TemporaryDirectory() as folder:
        for step in checkpoint.steps(run.checkpoints):
            state = checkpoint.read_state(checkpoint.folder_of(run.checkpoints, step))
            model = AutoModelForCausalLM.from_pretrained(exported(run, step, Path(folder)))
            found[state["version"]] = named_checksums(model.named_parameters())
    return found


def exported(run: RunFolder, step: int, folder: Path) -> Path:
    """The policy of that checkpoint, every bit of it."""
    from raysgpo.output import checkpoint
    from raysgpo.policy.export import export

    export(checkpoint.folder_of(run.checkpoints, step), folder / str(step), "float32")
    return folder / str(step)
