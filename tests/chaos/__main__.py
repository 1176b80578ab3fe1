"""Kills and stops the processes of a real run at random moments, fills its disks, and checks what it leaves.

``python -m tests.chaos [--kills 20] [--minutes 30] [--seed N] [--roles "engine core,conductor"] [--two-nodes]
[--settings "rollout.transport=broadcast"]``. The seed is printed; with it the roles, signals and moments come again,
as far as the machine's speed allows. Exit status 1 if a group was lost or doubled, a reward or an advantage is not what
the records say, something hung, a run had to be gone on with by hand though it need not, or a process of the run was
left.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tests.chaos.audit import faults
from tests.chaos.chaos import FULL, SECOND_NODE, Chaos, Stroke
from tests.chaos.full_places import Place, in_own_namespace, mounted
from tests.chaos.two_nodes import TwoNodes
from tests.chaos.victims import ENDS_THE_RUN, ROLES
from tests.full.models import hasty_judge, hasty_policy

QUIET = (0.0, 6.0)
"""Seconds between a trained step and the next stroke."""
DISK, SHARED_MEMORY = "full disk", "full /dev/shm"
DISK_MEBIBYTES, SHARED_MEMORY_MEBIBYTES = 256, 3072
SETTINGS = """arithmetic judge=tiny task.terms=3 task.prompts=64 prompts_per_step=4 sampling.group_size=4
sampling.max_tokens=24 optimizer.lr=1e-5 max_staleness=1 steps=100000 checkpoint.every=3 evaluation.every=0
evaluation.prompts=8 trainer.workers=2 trainer.cpus=0.25 rollout.kv_cache_gib=0.1 judge.epochs=1000000 judge.deadline=8
algorithm=sgpo_corpo max_restarts=1000 trainer.max_failures=1000 rollout.engine_process=true judge.engine_process=true
name=chaos""".split()


def main() -> int:
    arguments = _arguments()
    seed = random.SystemRandom().randrange(10_000) if arguments.seed is None else arguments.seed
    with_places = in_own_namespace()
    roles = arguments.roles.split(",") if arguments.roles else _roles(arguments.two_nodes, with_places)
    if arguments.healed:
        roles, arguments.signals = [role for role in roles if role not in ENDS_THE_RUN], signal.SIGKILL.name
    print(f"seed {seed}; roles: {', '.join(roles)}")
    if not with_places:
        print("no disk is filled: this system gives no process file systems of its own")
    with (
        tempfile.TemporaryDirectory(prefix="chaos-") as folder,
        _places(Path(folder), with_places) as places,
        _two_nodes(arguments.two_nodes) as cluster,
    ):
        words = [
            *SETTINGS,
            *arguments.settings.split(),
            f"model={hasty_policy(Path(folder))}",
            f"judge.model={hasty_judge(Path(folder) / 'judge')}",
        ]
        storage = Path(folder) / "storage"
        chaos = Chaos(Path(folder), storage, random.Random(seed), words, places, cluster)
        chaos.begin()
        end = time.monotonic() + 60 * arguments.minutes
        for role, kind in _plan(chaos.rng, roles, arguments.signals.split(","), arguments.kills):
            if time.monotonic() > end:
                break
            time.sleep(chaos.rng.uniform(*QUIET))
            chaos.strike(role, kind)
        chaos.end()
        wrong = [*faults(chaos.run), *chaos.by_hand]
        _print_table(chaos.strokes)
        print(f"{len(chaos.strokes)} strokes, {chaos.steps} steps, seed {seed}")
        for line in wrong[:40]:
            print(f"WRONG: {line}")
        if wrong and chaos.command is not None:
            print(chaos.command.text[-3000:])
    hung = any(stroke.seconds is None for stroke in chaos.strokes)
    return int(bool(wrong) or hung or not chaos.strokes)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--minutes", type=float, default=60.0, help="no further stroke after this")
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--roles", default="", help="which roles are struck; all that there are, if left out")
    parser.add_argument("--signals", default="SIGKILL,SIGSTOP")
    parser.add_argument(
        "--healed", action="store_true", help="kills alone, of what a run heals by itself within a minute"
    )
    parser.add_argument("--two-nodes", action="store_true", help="on a cluster of two nodes that was there before")
    parser.add_argument("--settings", default="", help="further settings of the run, such as rollout.replicas=2")
    return parser.parse_args()


def _roles(two_nodes: bool, with_places: bool) -> list[str]:
    places = [DISK, SHARED_MEMORY] if with_places else []
    if two_nodes:  # whose head is not the run's own
        return [*(role for role in ROLES if role != "GCS"), SECOND_NODE, *places]
    return [*ROLES, *places]


@contextlib.contextmanager
def _two_nodes(wanted: bool) -> Iterator[TwoNodes | None]:
    if not wanted:
        yield None
        return
    cluster = TwoNodes()
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.end()


@contextlib.contextmanager
def _places(folder: Path, own: bool) -> Iterator[dict[str, Place]]:
    """What can be filled; the run's storage is one of them."""
    storage, shared = folder / "storage", Path("/dev/shm")
    storage.mkdir()
    if not own:
        yield {}
        return
    with mounted(storage, DISK_MEBIBYTES) as disk, mounted(shared, SHARED_MEMORY_MEBIBYTES) as memory:
        yield {DISK: disk, SHARED_MEMORY: memory}


def _plan(rng: random.Random, roles: list[str], signals: list[str], kills: int) -> list[tuple[str, str]]:
    """Every role in turn, in an order of chance."""
    plan: list[tuple[str, str]] = []
    while len(plan) < kills:
        plan += [(role, _kind(rng, role, signals)) for role in rng.sample(roles, len(roles))]
    return plan[:kills]


def _kind(rng: random.Random, role: str, signals: list[str]) -> str:
    if role in (DISK, SHARED_MEMORY):
        return FULL
    return signal.SIGKILL.name if role in (*ENDS_THE_RUN, SECOND_NODE) else rng.choice(signals)


def _print_table(strokes: list[Stroke]) -> None:
    print(f"{'role':<18} {'what':<8} {'strokes':>7} {'median s':>9} {'worst s':>8} {'hung':>5}")
    for role, kind in sorted({(stroke.role, stroke.kind) for stroke in strokes}):
        found = [stroke.seconds for stroke in strokes if (stroke.role, stroke.kind) == (role, kind)]
        seconds = [one for one in found if one is not None]
        middle, worst = (statistics.median(seconds), max(seconds)) if seconds else (float("nan"), float("nan"))
        print(f"{role:<18} {kind:<8} {len(found):>7} {middle:>9.1f} {worst:>8.1f} {len(found) - len(seconds):>5}")


if __name__ == "__main__":
    sys.exit(main())
