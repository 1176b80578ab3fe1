"""The command ``jobs/sft.py``."""

from __future__ import annotations

import re
import runpy
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from raysgpo.tiny.tiny_judge import TinyJudgeConfig, ensure_tiny_judge
from raysgpo.tiny.tiny_policy import TinyConfig, ensure_tiny_policy
from tests.policy.small import JUDGE as SMALL_JUDGE
from tests.policy.small import POLICY as SMALL

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """The command in this process: its exit status."""

    def call(*words: str) -> int:
        monkeypatch.setattr(sys, "argv", ["sft.py", *words])
        with pytest.raises(SystemExit) as ended:
            runpy.run_path(str(ROOT / "jobs" / "sft.py"), run_name="__main__")
        status = ended.value.code
        assert isinstance(status, int)
        return status

    return call


def words_of(config: TinyConfig | TinyJudgeConfig, prefix: str = "") -> list[str]:
    changed = config.model_dump(exclude_defaults=True, exclude={"policy"})
    return [f"{prefix}{key}={value}" for key, value in changed.items()]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["policy", "sed=1"], "sed: unknown key; did you mean seed?"),
        (["judge", "policy.sed=1"], "policy.sed: unknown key; did you mean policy.seed?"),
        (["slip_size=1"], "slip_size: say what it is for, such as: policy slip_size=1"),
        (
            ["polcy"],
            "'polcy': expected one of policy, long, judge, verifier, smollm2, trajectories first, then key=value",
        ),
        (["judge", "heads=0"], "heads=0: input should be greater than or equal to 1"),
    ],
)
def test_wrong_words_are_answered_with_how_to_mend_them(words: list[str], message: str) -> None:
    configure = runpy.run_path(str(ROOT / "raysgpo" / "command" / "sft.py"))["configure"]
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        configure(words)


def test_the_command_refuses_wrong_words(call: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    assert call("sed=1") == 2
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "error: sed: unknown key; known are model_cache\n")


@pytest.mark.slow
def test_the_command_prints_the_folder_of_the_policy(
    call: Callable[..., int], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert call("policy", f"model_cache={tmp_path}", *words_of(SMALL)) == 0
    folder = Path(capsys.readouterr().out.strip().splitlines()[-1])
    assert folder == ensure_tiny_policy(tmp_path, report=lambda line: pytest.fail(line), config=SMALL)


@pytest.mark.slow
def test_the_command_makes_a_judge_and_its_policy(
    call: Callable[..., int], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert call("judge", f"model_cache={tmp_path}", *words_of(SMALL_JUDGE), *words_of(SMALL, "policy.")) == 0
    folders = [Path(line) for line in capsys.readouterr().out.splitlines() if line.startswith(str(tmp_path))]
    never = pytest.fail
    assert folders == [
        ensure_tiny_policy(tmp_path, report=never, config=SMALL),
        ensure_tiny_judge(tmp_path, report=never, config=SMALL_JUDGE),
    ]


def test_trajectories_are_an_offline_run_on_the_solutions(
    call: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert call("trajectories", "arithmetic_long", "steps=40", "--dry-run") == 0
    lines = capsys.readouterr().out.splitlines()
    assert {"steps: 40", "  keep: solutions", "  schedule: none"} <= set(lines)
    assert call("trajectories", "arithmetic_long", "stepps=40") == 2
    assert "stepps: unknown key; did you mean steps?" in capsys.readouterr().err
