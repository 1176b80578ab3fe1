"""Kills and stops the processes of a real run at random moments, and checks what it leaves.

``python -m tests.chaos [--kills 20] [--minutes 30] [--seed N] [--roles "engine core,conductor"]``. The seed is printed;
with it the roles, signals and moments come again, as far as the machine's speed allows. Exit status 1 if a group was
lost or doubled, a reward or an advantage is not what the records say, something hung, a run had to be gone on with by
hand though it need not, or a process of the run was left.
"""

from __future__ import annotations

import argparse
import random
import signal
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from raysgpo.output.json_lines import read_rows
from raysgpo.output.run_folder import RunFolder
from tests.chaos.audit import faults
from tests.chaos.victims import ENDS_THE_RUN, ROLES, Seen, family, those_of
from tests.full.conftest import ROOT, Command, start_command
from tests.full.models import hasty_judge, hasty_policy

TRAIN = str(ROOT / "jobs" / "train.py")
HANG = 300.0
"""Seconds without a trained step that count as a hang."""
QUIET = (0.0, 6.0)
"""Seconds between a trained step and the next stroke."""
AFTERLIFE = 10.0
"""Seconds after its end in which the last process of a run is gone."""
SETTINGS = """arithmetic judge=tiny task.terms=3 task.prompts=64 prompts_per_step=4 sampling.group_size=4
sampling.max_tokens=24 optimizer.lr=1e-5 max_staleness=1 steps=100000 checkpoint.every=3 evaluation.every=0
evaluation.prompts=8 trainer.workers=2 trainer.cpus=0.25 rollout.kv_cache_gib=0.1 judge.epochs=1000000 judge.deadline=8
algorithm=sgpo_corpo max_restarts=1000 trainer.max_failures=1000 name=chaos""".split()


@dataclass(frozen=True, slots=True)
class Stroke:
    role: str
    signal: str
    seconds: float | None
    """To the next trained step; None: it hung."""


@dataclass(slots=True)
class Chaos:
    """One run under fire."""

    folder: Path
    rng: random.Random
    words: list[str]
    command: Command | None = None
    strokes: list[Stroke] = field(default_factory=list)
    by_hand: list[str] = field(default_factory=list)
    """Why a run ended that need not have."""
    seen: set[Seen] = field(default_factory=set)

    @property
    def run(self) -> RunFolder:
        return RunFolder(self.folder / "runs" / "chaos-001")

    @property
    def steps(self) -> int:
        return sum(1 for _ in read_rows(self.run.metrics))

    def begin(self) -> None:
        self.command = start_command(self.folder / "elsewhere", TRAIN, *self.words, f"storage={self.folder}")
        self._await_steps(2)

    def go_on(self) -> None:
        words = ["resume=chaos-001", f"storage={self.folder}"]
        self.command = start_command(self.folder / "elsewhere", TRAIN, *words)

    def processes(self) -> list[Seen]:
        assert self.command is not None
        found = family(self.command.process.pid)
        self.seen.update(found)
        return found

    def strike(self, role: str, number: signal.Signals) -> None:
        """Hit one process of the role, and wait until a step is trained again."""
        victims = those_of(role, self.processes())
        if not victims:
            return
        victim = self.rng.choice(victims)
        before, begun = self.steps, time.monotonic()
        victim.strike(number)
        print(f"{number.name} {role} (pid {victim.pid}) after step {before} ...", end=" ", flush=True)
        seconds = self._await_steps(2, role)
        print("hung" if seconds is None else f"{seconds:.1f} s", flush=True)
        self.strokes.append(Stroke(role, number.name, seconds))
        if seconds is None:
            victim.strike(signal.SIGKILL)
        if number == signal.SIGSTOP and victim.alive and time.monotonic() - begun > 1:
            victim.strike(signal.SIGCONT)

    def _await_steps(self, more: int, role: str | None = None) -> float | None:
        """Seconds until so many further steps are recorded; a run that has ended is gone on with."""
        wanted, begun = self._newest() + more, time.monotonic()
        while self._newest() < wanted:
            assert self.command is not None
            if self.command.process.poll() is not None:
                assert self.run.config.exists(), f"the run never began: {self.command.text}"
                if role not in ENDS_THE_RUN:
                    self.by_hand.append(f"{role}: {self.command.text.strip().splitlines()[-4:]}")
                self._outlived()
                self.go_on()
                wanted = min(wanted, self._newest() + more)
            if time.monotonic() - begun > HANG:
                return None
            self.processes()
            time.sleep(0.1)
        return time.monotonic() - begun

    def _newest(self) -> int:
        newest = -1
        for row in read_rows(self.run.metrics):
            newest = int(row["step"])
        return newest

    def _outlived(self) -> list[Seen]:
        """Processes of a run that has ended, after their time."""
        until = time.monotonic() + AFTERLIFE
        while (left := [seen for seen in self.seen if seen.alive]) and time.monotonic() < until:
            time.sleep(0.2)
        if left:
            self.by_hand += [f"left behind: {seen.title[:80]}" for seen in left]
            for seen in left:
                seen.strike(signal.SIGKILL)
        self.seen.clear()
        return left

    def end(self) -> None:
        """Ctrl-C, and whatever is left."""
        assert self.command is not None
        self.processes()
        self.command.process.send_signal(signal.SIGINT)
        try:
            self.command.process.wait(180)
        except Exception:
            self.by_hand.append("it did not stop after Ctrl-C")
            self.command.process.kill()
        self._outlived()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--minutes", type=float, default=60.0, help="no further stroke after this")
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--roles", default=",".join(ROLES), help="which roles are struck")
    parser.add_argument("--signals", default="SIGKILL,SIGSTOP")
    arguments = parser.parse_args()
    seed = random.SystemRandom().randrange(10_000) if arguments.seed is None else arguments.seed
    roles, signals = arguments.roles.split(","), [signal.Signals[name] for name in arguments.signals.split(",")]
    print(f"seed {seed}")
    with tempfile.TemporaryDirectory(prefix="chaos-") as folder:
        policy, judge = hasty_policy(Path(folder)), hasty_judge(Path(folder) / "judge")
        words = [*SETTINGS, f"model={policy}", f"judge.model={judge}"]
        chaos = Chaos(Path(folder), random.Random(seed), words)
        chaos.begin()
        end = time.monotonic() + 60 * arguments.minutes
        for role, number in _plan(chaos.rng, roles, signals, arguments.kills):
            if time.monotonic() > end:
                break
            time.sleep(chaos.rng.uniform(*QUIET))
            chaos.strike(role, number)
        chaos.end()
        wrong = [*faults(chaos.run), *chaos.by_hand]
        _print_table(chaos.strokes)
        print(f"{len(chaos.strokes)} strokes, {chaos.steps} steps, seed {seed}")
        for line in wrong[:40]:
            print(f"WRONG: {line}")
        if wrong:
            print(chaos.command.text[-3000:] if chaos.command is not None else "")
        hung = any(stroke.seconds is None for stroke in chaos.strokes)
    return int(bool(wrong) or hung or not chaos.strokes)


def _plan(
    rng: random.Random, roles: list[str], signals: list[signal.Signals], kills: int
) -> list[tuple[str, signal.Signals]]:
    """Every role in turn, in an order of chance; a driver or a GCS is only killed."""
    plan: list[tuple[str, signal.Signals]] = []
    while len(plan) < kills:
        plan += [
            (role, signal.SIGKILL if role in ENDS_THE_RUN else rng.choice(signals))
            for role in rng.sample(roles, len(roles))
        ]
    return plan[:kills]


def _print_table(strokes: list[Stroke]) -> None:
    print(f"{'role':<18} {'signal':<8} {'strokes':>7} {'median s':>9} {'worst s':>8} {'hung':>5}")
    for role, number in sorted({(stroke.role, stroke.signal) for stroke in strokes}):
        found = [stroke.seconds for stroke in strokes if (stroke.role, stroke.signal) == (role, number)]
        seconds = [one for one in found if one is not None]
        middle, worst = (statistics.median(seconds), max(seconds)) if seconds else (float("nan"), float("nan"))
        print(f"{role:<18} {number:<8} {len(found):>7} {middle:>9.1f} {worst:>8.1f} {len(found) - len(seconds):>5}")


if __name__ == "__main__":
    sys.exit(main())
