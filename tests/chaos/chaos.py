"""One run under fire: what is done to it, and what is waited for."""

from __future__ import annotations

import random
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from raysgpo.output.json_lines import read_rows
from raysgpo.output.run_folder import RunFolder
from tests.chaos.full_places import Place
from tests.chaos.two_nodes import TwoNodes
from tests.chaos.victims import AGENTS, ENDS_THE_RUN, Seen, family, of_the_run, those_of
from tests.full.conftest import ROOT, Command, start_command

TRAIN = str(ROOT / "jobs" / "train.py")
HANG = 300.0
"""Seconds without a trained step that count as a hang."""
FURTHER = 5
"""Steps that are to be trained after a stroke: more than were under way, so that what was struck is needed."""
LOOK = 0.25
"""Seconds between two looks at the run."""
AFTERLIFE = 10.0
"""Seconds after its end in which the last process of a run is gone."""
AGENTS_LEAVE = 75.0
"""Seconds in which Ray's own agents of a cluster that was killed are gone."""
FULL_FOR = (3.0, 25.0)
"""Seconds that a file system stays full."""
ENDING = 180.0
"""Seconds from Ctrl-C to the end."""
FULL = "full"
"""What is done to a place, as SIGKILL is to a process."""
SECOND_NODE = "second node"


@dataclass(frozen=True, slots=True)
class Stroke:
    role: str
    kind: str
    """A signal, or ``full``."""
    seconds: float | None
    """To the FURTHER-th trained step after it, or after there was room again; None: it hung."""


def _nothing() -> None:
    pass


@dataclass(slots=True)
class Chaos:
    """``words`` start the run ``chaos-001`` under ``storage``."""

    folder: Path
    storage: Path
    rng: random.Random
    words: list[str]
    places: dict[str, Place]
    """Role to what can be filled."""
    cluster: TwoNodes | None
    """None: the run has a Ray of its own."""
    command: Command | None = None
    strokes: list[Stroke] = field(default_factory=list)
    by_hand: list[str] = field(default_factory=list)
    """Why a run ended that need not have, and what was left of one."""
    seen: set[Seen] = field(default_factory=set)
    agents: list[Seen] = field(default_factory=list)
    """Of clusters that were killed."""

    @property
    def run(self) -> RunFolder:
        return RunFolder(self.storage / "runs" / "chaos-001")

    @property
    def steps(self) -> int:
        """Trained so far, as recorded."""
        return sum(1 for _ in read_rows(self.run.metrics))

    def begin(self) -> None:
        self._command(*self.words)
        self._await_steps(2)

    def strike(self, role: str, kind: str) -> None:
        """Hit one thing of the role, and wait until FURTHER steps are trained."""
        if (struck := self._struck(role, kind)) is None:
            return
        first, undo = struck
        print(f"{kind} {role} after step {self.steps} ...", end=" ", flush=True)
        seconds = self._await_steps(FURTHER, role, first)
        undo()
        print("hung" if seconds is None else f"{seconds:.1f} s", flush=True)
        self.strokes.append(Stroke(role, kind, seconds))
        assert seconds is not None or self.command is not None
        if seconds is None and self.command is not None:  # it is ended as a user would, and gone on with
            self.command.end()
            self._outlived()
            self._go_on()

    def end(self) -> None:
        """Ctrl-C, and whatever is left."""
        assert self.command is not None
        self._processes()
        self.command.process.send_signal(signal.SIGINT)
        try:
            self.command.process.wait(ENDING)
        except subprocess.TimeoutExpired:
            self.by_hand.append("it did not stop after Ctrl-C")
            self.command.process.kill()
        self._outlived()
        until = time.monotonic() + AGENTS_LEAVE
        while any(seen.alive for seen in self.agents) and time.monotonic() < until and self.cluster is None:
            time.sleep(LOOK)
        if self.cluster is None:
            self.by_hand += [f"left behind: {seen.title_now}" for seen in self.agents if seen.alive]

    def _struck(self, role: str, kind: str) -> tuple[Callable[[], None], Callable[[], None]] | None:
        """Does it; what is left to do before the clock runs and after it; None if there is nobody of this role."""
        if role in self.places:
            place, until = self.places[role], self.rng.uniform(*FULL_FOR)
            place.fill()
            return lambda: self._free(place, until), _nothing
        if role == SECOND_NODE:
            assert self.cluster is not None
            self.cluster.lose_node()
            return self.cluster.add_node, _nothing
        victims = those_of(role, self._processes())
        if not victims:
            return None
        victim = self.rng.choice(victims)
        victim.strike(signal.Signals[kind])
        return _nothing, lambda: victim.strike(signal.SIGCONT)  # one that nobody has missed comes back

    def _free(self, place: Place, seconds: float) -> None:
        """Others may free a little meanwhile: it is filled again."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            time.sleep(LOOK)
            place.fill()
        place.free()

    def _await_steps(
        self, more: int, role: str | None = None, first: Callable[[], None] = lambda: None
    ) -> float | None:
        """Seconds until so many further steps are recorded; a run that has ended is gone on with."""
        if first is not None:
            first()
        wanted, begun = self._newest() + more, time.monotonic()
        while self._newest() < wanted:
            assert self.command is not None
            if self.command.process.poll() is not None:
                assert self.run.config.exists(), f"the run never began: {self.command.text}"
                if role not in ENDS_THE_RUN:
                    self.by_hand.append(f"{role}: {self.command.text.strip().splitlines()[-4:]}")
                self._outlived()
                self._go_on()
                wanted = min(wanted, self._newest() + more)
            if time.monotonic() - begun > HANG:
                return None
            self._processes()
            time.sleep(LOOK)
        return time.monotonic() - begun

    def _newest(self) -> int:
        return max((int(row["step"]) for row in read_rows(self.run.metrics)), default=-1)

    def _go_on(self) -> None:
        self._command("resume=chaos-001")

    def _command(self, *words: str) -> None:
        environment = self.cluster.environment if self.cluster is not None else None
        storage = f"storage={self.storage}"
        self.command = start_command(self.folder / "elsewhere", TRAIN, *words, storage, environment=environment)

    def _processes(self) -> list[Seen]:
        assert self.command is not None
        pids = [self.command.process.pid, *(self.cluster.pids if self.cluster is not None else [])]
        found = family(pids)
        self.seen.update(found)
        return found

    def _outlived(self) -> None:
        """Notes, and ends, the processes of a run that has ended, after their time."""
        until = time.monotonic() + AFTERLIFE
        while (left := self._left()) and time.monotonic() < until:
            time.sleep(LOOK)
        self.by_hand += [f"left behind: {seen.title_now[:80]}" for seen in left]
        for seen in left:
            seen.strike(signal.SIGKILL)
        self.agents += [seen for seen in self.seen if seen.alive]
        self.seen.clear()

    def _left(self) -> list[Seen]:
        alive = [seen for seen in self.seen if seen.alive and seen.title_now.strip() not in AGENTS]
        if self.cluster is None:
            return alive
        return [seen for seen in alive if of_the_run(seen.title_now)]
