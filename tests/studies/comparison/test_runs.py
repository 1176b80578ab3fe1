"""Running a comparison: what is finished stays, what was interrupted goes on, and other settings are refused."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from raysgpo.config.overrides import ConfigError, load, resolve
from raysgpo.output.exit_status import DONE, FAILED, STOPPED, WRONG_SETTING
from raysgpo.studies.comparison.plan import Plan
from raysgpo.studies.comparison.runs import claim, finished, run_all
from tests.studies.comparison.synthetic import plan_in

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
TRAINER = [sys.executable, str(Path(__file__).parent / "trainer.py")]
NAMES = [f"algorithm-{name}-seed{seed}" for seed in (0, 1) for name in ("grpo", "sgpo")]


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    return plan_in(tmp_path, seeds="0,1")


def calls(plan: Plan) -> list[int]:
    """How often each run was begun or gone on with."""
    files = [plan.run_path(run) / "calls" for run in plan.runs]
    return [len(file.read_text().splitlines()) if file.exists() else 0 for file in files]


def behave(plan: Plan, name: str, word: str) -> None:
    (plan.folder / "runs").mkdir(parents=True, exist_ok=True)
    (plan.folder / "runs" / f"{name}.behave").write_text(word)


def test_every_run_has_its_settings_and_runs_once(plan: Plan) -> None:
    lines: list[str] = []
    assert run_all(plan, TRAINER, lines.append) == DONE
    assert [run.slug for run in plan.runs] == NAMES and calls(plan) == [1] * 4
    for run in plan.runs:
        assert resolve(load(plan.run_path(run) / "config.yaml")) == run.config
        assert finished(plan.run_path(run))
    assert lines[0] == "run 1 of 4: algorithm=grpo, seed 0"
    assert run_all(plan, TRAINER, lines.append) == DONE
    assert calls(plan) == [1] * 4 and lines[-1].endswith("finished before")


def test_a_failed_run_keeps_no_other_from_running_and_is_tried_again_by_the_same_command(plan: Plan) -> None:
    behave(plan, NAMES[1], "1")
    lines: list[str] = []
    assert run_all(plan, TRAINER, lines.append) == FAILED
    assert calls(plan) == [1] * 4 and "failed with exit status 1" in "\n".join(lines)
    behave(plan, NAMES[1], "0")
    assert run_all(plan, TRAINER, lines.append) == DONE
    assert calls(plan) == [1, 2, 1, 1]


def test_a_wrong_setting_ends_it_at_once(plan: Plan) -> None:
    behave(plan, NAMES[0], "2")
    assert run_all(plan, TRAINER, print) == WRONG_SETTING
    assert calls(plan) == [1, 0, 0, 0]


def test_more_seeds_go_on_with_the_runs_there_are(plan: Plan, tmp_path: Path) -> None:
    assert run_all(plan, TRAINER, print) == DONE
    more = plan_in(tmp_path, seeds="0,1,2")
    assert run_all(more, TRAINER, print) == DONE and calls(more) == [1] * 6


@pytest.mark.parametrize(
    ("vary", "words", "message"),
    [
        ("algorithm=grpo,sgpo", ("optimizer.lr=0.1",), r"optimizer\.lr is .* there and 0\.1 here"),
        ("algorithm=sgpo,grpo", (), "its variants are algorithm=grpo, algorithm=sgpo, not algorithm=sgpo, algo"),
    ],
)
def test_other_settings_for_the_same_folder_are_refused(
    vary: str, words: tuple[str, ...], message: str, plan: Plan, tmp_path: Path
) -> None:
    claim(plan)
    other = plan_in(tmp_path, vary, words=words)
    assert other.folder == plan.folder
    with pytest.raises(ConfigError, match=message):
        run_all(other, TRAINER, print)
    assert calls(other) == [0] * 6


DRIVER = f"""
import sys
from pathlib import Path
from raysgpo.studies.comparison.runs import run_all
from tests.studies.comparison.synthetic import plan_in
sys.exit(run_all(plan_in(Path(sys.argv[1]), seeds="0,1"), {TRAINER!r}, print))
"""


def wait_for(path: Path) -> None:
    until = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < until, f"{path} never came"
        time.sleep(0.02)


def test_ctrl_c_reaches_the_run_once_and_the_same_command_goes_on_with_it(plan: Plan, tmp_path: Path) -> None:
    behave(plan, NAMES[1], "wait")
    path = plan.run_path(plan.runs[1])
    command = subprocess.Popen([sys.executable, "-c", DRIVER, str(tmp_path)], cwd=ROOT)
    try:
        wait_for(path / "waiting")
        with pytest.raises(ConfigError, match="another process works on this comparison"):
            run_all(plan, TRAINER, print)
        command.send_signal(signal.SIGINT)
        assert command.wait(60) == STOPPED
    finally:
        command.kill()
    assert (path / "stopped").exists() and not finished(path)
    assert calls(plan) == [1, 1, 0, 0]
    behave(plan, NAMES[1], "0")
    assert run_all(plan, TRAINER, print) == DONE and calls(plan) == [1, 2, 1, 1]


def test_a_run_that_outlives_its_killed_comparison_keeps_the_folder(plan: Plan, tmp_path: Path) -> None:
    behave(plan, NAMES[0], "wait")
    path = plan.run_path(plan.runs[0])
    command = subprocess.Popen([sys.executable, "-c", DRIVER, str(tmp_path)], cwd=ROOT)
    wait_for(path / "waiting")
    [orphan] = [int(line) for line in subprocess.check_output(["pgrep", "-P", str(command.pid)], text=True).split()]
    command.kill()
    command.wait(60)
    try:
        with pytest.raises(ConfigError, match="another process works on this comparison"):
            run_all(plan, TRAINER, print)
    finally:
        subprocess.run(["kill", "-INT", str(orphan)], check=True)
    wait_for(path / "stopped")
    behave(plan, NAMES[0], "0")
    until = time.monotonic() + 30
    while True:  # the orphan lets go when it is gone
        try:
            assert run_all(plan, TRAINER, print) == DONE
            break
        except ConfigError:
            assert time.monotonic() < until
            time.sleep(0.05)
    assert calls(plan) == [2, 1, 1, 1]
