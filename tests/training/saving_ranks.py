"""Ranks that save as a script says, forked so that the imports are paid once.

Each line of standard input, "FOLDER WORLD", is answered by the worst exit status of its ranks.

FOLDER/job.pkl has {"model": path, "script": [words], "config": words, "shares": a share a rank, "meeting": a new file,
"store": address of the run in an object store or None, "environment": what finds it, "apart": whether each rank is on a
node of its own}. Of each rank what happened is in FOLDER/RANK.pkl: what its conductor was told, and what its words came
to.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import resource
import sys
import time
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch.distributed as dist
from torch import Tensor

from raysgpo.config import AlgorithmConfig, OptimizerConfig
from raysgpo.config.overrides import resolve
from raysgpo.output import room
from raysgpo.output.run_folder import RunFolder
from raysgpo.policy.policy import Policy
from raysgpo.policy.snapshot import Snapshot
from raysgpo.stores import checkpoint_upload
from raysgpo.training import checkpoints as checkpoints_file
from raysgpo.training.checkpoints import Checkpoints
from tests.resolved import resolved

SAID = "said"
"""A file that is there once a conductor was told something for the console."""


class Conductor:
    """Its handle: remembers what it was told, in order."""

    trained: int | None = None

    def __init__(self, happened: list[Any], top: Path) -> None:
        self._happened, self._top = happened, top

    def __getattr__(self, name: str) -> Any:
        def remote(*arguments: Any) -> Any:
            if name == "trained_steps":
                return self.trained
            self._happened.append((name, *arguments))
            if name == "say":
                (self._top / SAID).touch()
            return {"step": arguments[0], "accuracy": None} if name == "checkpoint_state" else None

        return SimpleNamespace(remote=remote)


class Rank:
    """What a word of the script does."""

    def __init__(self, rank: int, world: int, folder: Path, job: dict[str, Any]) -> None:
        self.rank, self.top = rank, folder
        self.share = job["shares"][rank]
        self.happened: list[Any] = []
        config = resolved(resolve({}, overrides=[*job["config"], f"trainer.workers={world}", "trainer.dtype=float32"]))
        self.policy = Policy.build(
            job["model"], config.trainer, OptimizerConfig(lr=1e-2), AlgorithmConfig(), 1.0, 10, world
        )
        if job["store"] is not None:
            os.environ.update(job["environment"])
        if job["apart"]:  # each rank on a node of its own
            folder = folder / f"node-{rank}"
            folder.mkdir(exist_ok=True)
            checkpoints_file.node_of_this_process = lambda: str(rank)
        run = RunFolder(folder, job["store"])
        self.conductor = Conductor(self.happened, self.top)
        where: Any = SimpleNamespace(run=run, config=config, conductor=self.conductor)
        self.checkpoints = Checkpoints(where, self.policy)

    def do(self, word: str) -> Any:
        name, _, argument = word.partition(" ")
        return getattr(self, name)(argument)

    def restore(self, _: str) -> int:
        return self.checkpoints.restore()

    def trained(self, steps: str) -> None:
        """As many are recorded."""
        self.conductor.trained = int(steps)

    def unheard(self, seconds: str) -> None:
        """How long the store may be silent."""
        checkpoint_upload.PATIENCE = checkpoints_file.STORE_PATIENCE = float(seconds)

    def wait(self, _: str) -> None:
        """Until what is being written is being sent, and sent."""
        assert self.checkpoints._upload is not None
        self.checkpoints._settle()
        self.checkpoints._upload.wait(60)

    def ready(self, file: str) -> None:
        """Of rank 0, for the test to see; the rest of its script waits until it was seen."""
        if self.rank == 0:
            (self.top / file).touch()
        while self.rank == 0 and (self.top / file).exists():
            time.sleep(0.05)

    def update(self, _: str) -> Any:
        return self.policy.update(self.share)["policy/loss"]

    def save(self, step: str) -> None:
        self.checkpoints.save(int(step), exported=False)

    def export(self, step: str) -> None:
        self.checkpoints.save(int(step), exported=True)

    def finish(self, _: str) -> str | None:
        try:
            self.checkpoints.finish()
        except Exception as error:
            return f"{type(error).__name__}: {error}"
        return None

    def written(self, _: str) -> dict[str, Any]:
        return dict(self.checkpoints.written())

    def weights(self, _: str) -> dict[str, Tensor]:
        return {name: value.clone() for name, value in self.policy.weights()}

    def impatient(self, seconds: str) -> None:
        room.PATIENCE_SECONDS, room.RETRY_SECONDS = float(seconds), 0.2

    def full(self, rank_and_bytes: str) -> None:
        """The disk of one rank takes no file of so many bytes or more."""
        rank, size = map(int, rank_and_bytes.split())
        if rank == self.rank:
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

    def room(self, _: str) -> None:
        """Every disk has room again."""
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))

    def room_once_said(self, _: str) -> None:
        """Every disk has room once a conductor was told that there is none."""
        while not (self.top / SAID).exists():
            time.sleep(0.05)
        self.room("")

    def slow(self, seconds: str) -> None:
        """Writing takes as long."""
        write = Snapshot.write

        def slowly(snapshot: Snapshot, *arguments: Any) -> Any:
            self.happened.append("writing")
            time.sleep(float(seconds))
            return write(snapshot, *arguments)

        Snapshot.write = slowly  # type: ignore[assignment,method-assign]

    def die_in_writing(self, rank: str) -> None:
        """As if killed once the shards are there."""
        write = Snapshot.write

        def dying(snapshot: Snapshot, *arguments: Any) -> Any:
            write(snapshot, *arguments)
            os._exit(9)

        if int(rank) == self.rank:
            Snapshot.write = dying  # type: ignore[assignment,method-assign]


def work(rank: int, world: int, folder: Path) -> None:
    job = pickle.loads((folder / "job.pkl").read_bytes())
    checkpoints_file.result = lambda pending, deadline=60.0: pending  # type: ignore[assignment,return-value]
    dist.init_process_group(
        "gloo", init_method=f"file://{job['meeting']}", rank=rank, world_size=world, timeout=timedelta(seconds=20)
    )
    this = Rank(rank, world, folder, job)
    found = [this.do(word) for word in job["script"]]
    (folder / f"{rank}.pkl").write_bytes(pickle.dumps({"happened": this.happened, "found": found}))
    dist.destroy_process_group()


def run(folder: Path, world: int) -> int:
    fork = multiprocessing.get_context("fork")
    ranks = [fork.Process(target=work, args=(rank, world, folder), daemon=True) for rank in range(world)]
    for rank in ranks:
        rank.start()
    while any(rank.is_alive() for rank in ranks):
        if any(rank.exitcode for rank in ranks):  # as Ray Train does: one that died takes the others with it
            for rank in ranks:
                rank.kill()
        time.sleep(0.02)
    return max(abs(rank.exitcode or 0) for rank in ranks)


if __name__ == "__main__":
    for line in sys.stdin:
        place, number = line.rsplit(maxsplit=1)
        print(run(Path(place), int(number)), flush=True)
