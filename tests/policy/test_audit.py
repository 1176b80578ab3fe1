"""The audit of a sceptic: it finds every preset's numbers from the records alone, and any that were changed."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from raysgpo.config import Config
from raysgpo.config.overrides import dump
from raysgpo.config.presets import PRESETS
from raysgpo.output.group_json import group_row
from raysgpo.output.update_metrics import over_updates
from raysgpo.policy.policy import Policy
from raysgpo.policy.shares import step_shares, update_shares, with_logprobs
from raysgpo.records import Group
from tests.preset_groups import finished_groups, settings

pytestmark = pytest.mark.slow

JOB = Path(__file__).parents[2] / "raysgpo" / "command" / "audit.py"
FURTHER = {
    "": [],
    "sampled": ["algorithm.denominator=sampled", "algorithm.refill=false"],
    "format": ["task.format_reward=0.25"],
    "format to all": ["task.format_reward=0.25", "algorithm.bonus=all"],
    "tokens": ["algorithm.partial_credit.rts=tokens"],
    "weights": ["algorithm.positive_weight=2", "algorithm.negative_weight=0.5"],
    "step's std": ["algorithm.scale=step_std"],
    "overlong": ["algorithm.soft_overlong=1.0"],
    "masked": ["algorithm.mask_truncated=true"],
    "capped": ["algorithm.max_negative_mass=0.5"],
    "sequences": ["algorithm.aggregation=sequence-mean"],
    "groups": ["algorithm.aggregation=group-token-mean"],
    "prefix": ["algorithm.credit=prefix"],
    "split": ["algorithm.credit=split"],
    "prefix of a capped step": ["algorithm.credit=prefix", "algorithm.max_negative_mass=0.5"],
    "split of a step without a ratio": ["algorithm.credit=split", "algorithm.surrogate=log_prob"],
    "split of sequences": ["algorithm.credit=split", "algorithm.aggregation=sequence-mean"],
    "split under a threshold": ["algorithm=sgpo_corpo", "algorithm.credit=split"],
    "updates": ["optimizer.updates_per_step=2", "algorithm.denominator=sampled"],
}


@pytest.fixture(scope="module")
def audit() -> ModuleType:
    spec = importlib.util.spec_from_file_location("audit_job", JOB)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def on_policy(policy: Policy, config: Config) -> list[Group]:
    """The groups of a step with the policy's own logprobs, as if it had sampled them."""
    groups = finished_groups(config)
    kept = [group for group in groups if group.dropped is None]
    [share] = update_shares(0, kept, config, world=1)
    scored = iter(with_logprobs(kept, config, [policy.logprobs(share)]))
    return [next(scored) if group.dropped is None else group for group in groups]


@pytest.fixture
def recorded(one_rank: None, qwen2: str, tmp_path: Path) -> Any:
    """Makes a run of one step by a real policy; gives its folder."""

    def make(preset: str, words: list[str]) -> Path:
        config = settings(preset, [*words, "trainer.dtype=float32"])
        policy = Policy.build(qwen2, config.trainer, config.optimizer, config.algorithm, 1.0, 10, world=1)
        groups = on_policy(policy, config)
        metrics = over_updates(
            [(policy.update(share), share.num_tokens) for [share] in step_shares(0, groups, config, world=1)]
        )
        folder = tmp_path / "run"
        folder.mkdir()
        (folder / "config.yaml").write_text(dump(config))
        rows = [json.dumps(group_row(group, tokens=True)) for group in groups]
        (folder / "groups.jsonl").write_text("\n".join(rows) + "\n")
        (folder / "metrics.jsonl").write_text(json.dumps({"step": 0, **metrics}) + "\n")
        return folder

    return make


def run(audit: ModuleType, folder: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(sys, "argv", ["audit.py", str(folder)])
    return int(audit.main())


def test_nothing_of_ours_is_imported() -> None:
    assert "import raysgpo" not in JOB.read_text() and "from raysgpo" not in JOB.read_text()


@pytest.mark.parametrize(
    ("preset", "further"), [*((name, "") for name in PRESETS), *(("sgpo", name) for name in FURTHER if name)]
)
def test_every_number_of_every_preset_follows_from_the_records(
    preset: str,
    further: str,
    audit: ModuleType,
    recorded: Any,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    status = run(audit, recorded(preset, FURTHER[further]), monkeypatch)
    shown = capsys.readouterr().out
    assert status == 0, shown
    kinds = 6 if any("algorithm.credit" in word for word in FURTHER[further]) else 5
    assert shown.count("equal") == kinds and "nothing to compare" not in shown, shown


@pytest.mark.parametrize(
    ("file", "keys", "said"),
    [
        ("groups.jsonl", ("rollouts", 0, "reward"), "answer 1"),
        ("groups.jsonl", ("rollouts", 1, "advantage"), "answer 2"),
        ("groups.jsonl", ("dropped",), "(kept)"),
        ("metrics.jsonl", ("policy/denominator",), "step 0"),
        ("metrics.jsonl", ("policy/loss",), "step 0"),
    ],
)
def test_what_was_changed_is_found_and_named(
    file: str,
    keys: tuple[Any, ...],
    said: str,
    audit: ModuleType,
    recorded: Any,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = recorded("sgpo", [])
    first, *rest = (folder / file).read_text().splitlines()
    row = json.loads(first)
    place = row
    for key in keys[:-1]:
        place = place[key]
    assert row.get("dropped", "no_signal") == "no_signal", "the first group has no signal"
    place[keys[-1]] = None if keys[-1] == "dropped" else place[keys[-1]] + 0.01
    (folder / file).write_text("\n".join([json.dumps(row), *rest]) + "\n")
    assert run(audit, folder, monkeypatch) == 1
    shown = capsys.readouterr().out
    assert "DIFFER" in shown and said in shown


def test_what_is_no_run_is_one_line(
    audit: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(audit, tmp_path / "nothing", monkeypatch) == 2
    assert capsys.readouterr().err.startswith(f"error: {tmp_path / 'nothing'}: no run with a groups.jsonl")
