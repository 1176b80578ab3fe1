"""When a run starts again by itself, from where, and when it does not."""

from __future__ import annotations

from pathlib import Path

import pytest

from raysgpo.config import Config
from raysgpo.config.overrides import ConfigError
from raysgpo.groups.prepared import StartState
from raysgpo.output.run_folder import RunFolder
from raysgpo.session import healing as healing_file
from raysgpo.session.healing import Healing
from raysgpo.session.interrupts import Interrupts
from tests.output.checkpoints import write_checkpoint

pytestmark = pytest.mark.ray


class Run:
    """Attempts that fail as they are told: by an error, after a step, with a checkpoint at each of ``every``."""

    def __init__(
        self, folder: Path, *attempts: tuple[int, BaseException | None], most: int = 3, every: int = 1
    ) -> None:
        self.folder, self.attempts = RunFolder(folder), list(attempts)
        self.said: list[str] = []
        self.starts: list[int] = []
        self.every = every
        self.interrupts = Interrupts(self.said.append)
        self.config = Config(max_restarts=most)

    def go(self) -> None:
        healing = Healing(self.config, self.folder, StartState(), self.interrupts, self.said.append)
        for start in healing:
            with healing:
                self.starts.append(start.step)
                step, error = self.attempts.pop(0)
                if step:
                    self.record(step)
                if step and step % self.every == 0:
                    state = {"step": step, "position": step, "version": step, "solved": [], "controllers": {}}
                    write_checkpoint(self.folder.checkpoints, step, state=state, keep=1)
                if error is not None:
                    raise error

    def record(self, steps: int) -> None:
        self.folder.path.mkdir(exist_ok=True)
        rows = "".join(f'{{"step": {step}}}\n' for step in range(steps))
        self.folder.metrics.write_text(rows, encoding="utf-8")


def test_each_attempt_goes_on_from_the_last_checkpoint(tmp_path: Path) -> None:
    run = Run(tmp_path, (0, OSError("one")), (4, OSError("two")), (6, ValueError("three")), (9, None))
    run.go()
    assert run.starts == [0, 0, 4, 6]
    assert run.said == [
        "OSError: one; starting again after step 0 by itself (1 of max_restarts=3 within an hour)",
        "OSError: two; starting again after step 4 by itself (2 of max_restarts=3 within an hour)",
        "ValueError: three; starting again after step 6 by itself (3 of max_restarts=3 within an hour)",
    ]


def test_the_number_within_an_hour_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failing = [(step, OSError(str(step))) for step in range(1, 9)]
    run = Run(tmp_path / "a", *failing, most=2)
    with pytest.raises(OSError, match="3"):
        run.go()
    monkeypatch.setattr(healing_file, "WINDOW", 0.0)
    slow = Run(tmp_path / "b", *failing, (9, None), most=1)
    slow.go()
    assert len(slow.starts) == 9


def test_a_failure_that_comes_again_the_same_way_ends_the_run(tmp_path: Path) -> None:
    run = Run(tmp_path, (2, OSError("bad")), (0, OSError("bad")), (0, None), most=9)
    with pytest.raises(OSError, match="bad"):
        run.go()
    assert run.starts == [0, 2]
    moved = Run(tmp_path / "moved", (2, OSError("bad")), (3, OSError("bad")), (0, None))
    moved.go()
    assert moved.starts == [0, 2, 3], "a step further it is another failure"


def test_a_failure_a_step_further_under_the_same_checkpoint_is_another_one(tmp_path: Path) -> None:
    killed = OSError("killed")
    run = Run(tmp_path, (4, killed), (5, killed), (6, killed), (7, None), most=9, every=4)
    run.go()
    assert run.starts == [0, 4, 4, 4]


@pytest.mark.parametrize("error", [ConfigError("model=x: no"), KeyboardInterrupt()])
def test_what_the_user_did_is_not_healed(error: BaseException, tmp_path: Path) -> None:
    run = Run(tmp_path, (0, error), (0, None))
    with pytest.raises(type(error)):
        run.go()


def test_a_run_that_is_being_stopped_is_not_started_again(tmp_path: Path) -> None:
    run = Run(tmp_path, (0, OSError("late")), (0, None))
    run.interrupts.count = 1
    with pytest.raises(OSError, match="late"):
        run.go()
