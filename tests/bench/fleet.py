"""What a push and a new epoch cost against the number of replicas: 1 to 256 in one process, without actors.

python tests/bench/fleet.py [--most 256] [--mib 8] [--rounds 3]

epoch      roll call, and a new group of gloo that all replicas join
push       the next version in the same group: written, broadcast and answered for
cpu        seconds of CPU of the whole process in that push, which is that of the trainer's side and of all receivers

Without engines and Serve: what they add is constant a replica (``tests/bench/sync.py``).
"""

from __future__ import annotations

import argparse
import asyncio
import resource
import statistics
import threading
import time
from typing import Any

import torch

from raysgpo.weights import sender
from raysgpo.weights.sender import Sender
from raysgpo.weights.store_transport import StoreTransport
from raysgpo.weights.transport import PushReport
from tests.serving.local_store import LocalStore
from tests.weights.fleet import Fleet, Replica

SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)


def all_files() -> None:
    """As many as this process may open: a pair of ranks that has talked holds two, for both its ends are here."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def measured(count: int, tensors: dict[str, torch.Tensor], rounds: int) -> tuple[PushReport, list[float], list[float]]:
    made: Any = StoreTransport(LocalStore(), checksums=False, group="gloo").sender(
        Fleet(*(Replica(f"{index:04}") for index in range(count)))
    )
    assert isinstance(made, Sender)
    first = made.publish(0, tensors.items(), 120)
    assert first.complete, first.failures
    walls, cpus = [], []
    for version in range(1, rounds + 1):
        wall, cpu = time.perf_counter(), time.process_time()
        report = made.publish(version, tensors.items(), 120)
        assert report.complete and report.epochs == 1, report.failures
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
    assert made._epochs is not None
    made._epochs.leave()
    return first, walls, cpus


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--most", type=int, default=256)
    parser.add_argument("--mib", type=float, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    all_files()
    torch.set_num_threads(1)
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, daemon=True).start()
    sender.result = lambda call, deadline: asyncio.run_coroutine_threadsafe(call, loop).result(deadline)  # type: ignore
    tensors = {f"w{index}": torch.randn(int(arguments.mib * 2**20 / 4 / 8)) for index in range(8)}
    print(f"{arguments.mib:g} MiB of weights, medians of {arguments.rounds}")
    print(f"{'replicas':>8}{'epoch s':>10}{'push s':>10}{'ms a replica':>14}{'cpu s':>9}")
    for count in (size for size in SIZES if size <= arguments.most):
        first, walls, cpus = measured(count, tensors, arguments.rounds)
        push, cpu = statistics.median(walls), statistics.median(cpus)
        print(
            f"{count:>8}{first.meeting_seconds:>10.2f}{push:>10.3f}{push / count * 1000:>14.2f}{cpu:>9.2f}", flush=True
        )


if __name__ == "__main__":
    main()
