"""The command: what it says and refuses before anything starts, and that it never imports anything heavy for that."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from raysgpo.studies.comparison.runs import claim
from tests.command.test_cli import HEAVY, ROOT
from tests.studies.comparison.synthetic import write_all

LINE = "arithmetic steps=20 evaluation.every=5 --vary algorithm=grpo,sgpo"

Say = Callable[[str], tuple[int, str, str]]


@pytest.fixture
def compare(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT))
    from raysgpo.command import compare

    return compare


@pytest.fixture
def say(
    compare: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Say:
    """``say(line)``: exit status, standard output and error."""

    def run(line: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["compare.py", *line.split(), f"storage={tmp_path}"])
        status = int(compare.main())
        return status, *capsys.readouterr()

    return run


def test_a_dry_run_prints_the_plan_and_leaves_nothing(say: Say, tmp_path: Path) -> None:
    status, out, _ = say(f"{LINE} --seeds 0,1 --dry-run")
    assert status == 0 and list(tmp_path.iterdir()) == []
    lines = [line.split() for line in out.splitlines()]
    assert lines[0] == ["comparison:", str(tmp_path / "comparisons" / "arithmetic-algorithm")]
    assert ["setting", "algorithm=grpo", "algorithm=sgpo"] in lines
    assert ["algorithm.partial_credit.kind", "none", "sgpo"] in lines
    assert out.splitlines()[-1] == "2 variants x 2 seeds = 4 runs"


def test_the_names_of_many_variants_are_never_cut_off(say: Say) -> None:
    ratios = [f"0.{digit}" for digit in range(1, 10)]
    _, out, _ = say(f"arithmetic --vary guidance.ratio={','.join(ratios)} guidance=rdp --dry-run")
    [heads] = [line.split() for line in out.splitlines() if line.split()[:1] == ["setting"]]
    assert heads[1:] == [f"guidance.ratio={ratio}" for ratio in ratios]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            "--vary algorithm=grpo,sgpo",
            "name a recipe (arithmetic, arithmetic_long,",
        ),
        ("arithmetic", "--vary is missing"),
        ("arithmetic --vary algorithm=sgpo,sgpo", "'algorithm=sgpo' and 'algorithm=sgpo' differ in nothing"),
        ("arithmetic --vary model=/no/such,tiny", "model=/no/such: no such folder"),
        ("arithmetic algorithm=sgpo --vary judge=tiny,endpoint judge.base_url=http://h/v1 judge.model=tiny", "OPENAI"),
        ("arithmetic --vary algorithm=grpo,sgpo --report-only", "no comparison there yet"),
    ],
)
def test_what_is_wrong_is_one_line_before_anything_starts(
    line: str, message: str, say: Say, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    status, out, err = say(line)
    assert (status, out) == (2, "") and err.startswith("error: ") and message in err and err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_report_only_rebuilds_the_report_and_says_the_main_numbers(
    say: Say, compare: ModuleType, tmp_path: Path
) -> None:
    words = [*LINE.split(), f"storage={tmp_path}"]
    plan = compare.plan(compare.parser().parse_intermixed_args(words))
    claim(plan)
    write_all(plan, {"grpo": 0.3, "sgpo": 0.6})
    status, out, _ = say(f"{LINE} --report-only --target 0.3")
    assert status == 0 and (plan.folder / "report.html").is_file() and (plan.folder / "report.json").is_file()
    assert "algorithm=sgpo against algorithm=grpo, step 20: +" in out and "excludes zero" in out
    assert "steps to 30.0 %: −" in out  # noqa: RUF001
    assert out.splitlines()[-1] == f"report: {plan.folder / 'report.html'}"
    # Another command for the same folder is refused, also for the report alone.
    status, _, err = say(f"{LINE} optimizer.lr=0.5 --report-only")
    assert status == 2 and "other settings: optimizer.lr" in err


def test_a_target_is_a_share(compare: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    for text in ("60", "0", "x"):
        with pytest.raises(SystemExit):
            compare.parser().parse_args(["arithmetic", "--target", text])
        assert "is no accuracy" in capsys.readouterr().err


@pytest.mark.slow
def test_the_plan_needs_nothing_heavy() -> None:
    import subprocess

    code = f"import sys; import raysgpo.command.compare; sys.exit(any(name in sys.modules for name in {HEAVY!r}))"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, timeout=60).returncode == 0
