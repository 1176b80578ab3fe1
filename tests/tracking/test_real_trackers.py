"""Weights & Biases and MLflow themselves, offline: what they have kept is read back by their own readers."""

from __future__ import annotations

import importlib
import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from raysgpo.command.checks import check_trackers
from raysgpo.config import Config
from raysgpo.config.overrides import ConfigError, resolve
from raysgpo.config.trackers import TRACKERS
from raysgpo.output.run_folder import RunFolder
from raysgpo.tracking.trackers import Trackers

pytestmark = pytest.mark.slow


def needs(name: str) -> pytest.MarkDecorator:
    kind = TRACKERS[name]
    reason = f"{kind.package} is not installed: pip install raysgpo[{kind.extra}]"
    return pytest.mark.skipif(not kind.installed, reason=reason)


def tracked(run: RunFolder, name: str, step: int, rows: list[dict[str, Any]]) -> list[str]:
    """What the console is told of a run, or of its resumption after ``step`` steps."""
    config = resolve(Config(), overrides=[f"records.trackers={name}", "seed=7"])
    check_trackers(config)
    said: list[str] = []
    with Trackers(config, run, step, said.append) as trackers:
        for row in rows:
            trackers.row(row)
    return said


BEGUN: list[dict[str, Any]] = [
    {"step": 0, "accuracy/mean": 0.25, "judge/rts_mean": None},
    {"step": 1, "accuracy/mean": 0.5},
]
RESUMED: list[dict[str, Any]] = [{"step": 1, "accuracy/mean": 0.75}, {"step": 2, "eval/accuracy/算术": 1.0}]


@needs("mlflow")
def test_mlflow_has_the_numbers_the_settings_and_one_run_after_a_resumption(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    run = RunFolder(tmp_path / "arithmetic-001")
    run.path.mkdir()
    [told] = tracked(run, "mlflow", 0, BEGUN)
    assert tracked(run, "mlflow", 1, RESUMED) == [told]
    client = importlib.import_module("mlflow").MlflowClient(tracking_uri=f"sqlite:///{run.trackers / 'mlflow.db'}")
    [kept] = client.search_runs([client.get_experiment_by_name("raysgpo").experiment_id])
    assert kept.info.run_id in told and kept.info.run_name == "arithmetic-001" and kept.info.status == "FINISHED"
    history = client.get_metric_history(kept.info.run_id, "accuracy/mean")
    assert [(point.step, point.value) for point in history] == [(0, 0.25), (1, 0.5), (1, 0.75)]
    assert kept.data.metrics["eval/accuracy/算术"] == 1.0 and "judge/rts_mean" not in kept.data.metrics
    assert kept.data.params["seed"] == "7" and kept.data.params["records.trackers"] == "['mlflow']"


@needs("mlflow")
def test_mlflow_at_another_address_begins_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = RunFolder(tmp_path / "arithmetic-001")
    run.path.mkdir()
    told = []
    for name in ("a", "b"):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / name}.db")
        told += tracked(run, "mlflow", 0, BEGUN)
    assert len(told) == 2 and told[0].rpartition(" ")[2] != told[1].rpartition(" ")[2]


@needs("wandb")
def test_wandb_has_the_numbers_the_settings_and_one_run_after_a_resumption(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    run = RunFolder(tmp_path / "arithmetic-001")
    run.path.mkdir()
    [told] = tracked(run, "wandb", 0, BEGUN)
    assert told == f"wandb: offline, in {run.trackers / 'wandb'}"
    assert tracked(run, "wandb", 1, RESUMED) == [told]
    identity = (run.trackers / "wandb.id").read_text().strip()
    files = sorted((run.trackers / "wandb").glob(f"offline-run-*-{identity}/run-{identity}.wandb"))
    assert len(files) == 2, "wandb sync makes one run of both"
    rows = [row for file in files for row in history(file)]
    assert [(row["step"], row.get("accuracy/mean")) for row in rows] == [(0, 0.25), (1, 0.5), (1, 0.75), (2, None)]
    assert rows[3]["eval/accuracy/算术"] == 1.0 and "judge/rts_mean" not in rows[0]


BLOCK, HEAD = 32768, 7
"""Of W&B's files: LevelDB's log, whose first head is the file's own."""


def history(file: Path) -> list[dict[str, Any]]:
    """Rows of a file of W&B's."""
    messages: Any = importlib.import_module("wandb.proto.wandb_internal_pb2")
    rows = []
    for data in log_records(file.read_bytes()):
        record = messages.Record.FromString(data)
        if record.WhichOneof("record_type") == "history":
            rows.append({"".join(i.nested_key) or i.key: json.loads(i.value_json) for i in record.history.item})
    return rows


def log_records(content: bytes) -> Iterator[bytes]:
    """A piece is: checksum (4 bytes), length (2), kind (1: whole, 2: first, 3: in between, 4: last), what it holds."""
    at, whole = HEAD, b""
    while at + HEAD <= len(content):
        if BLOCK - at % BLOCK < HEAD:  # no head fits into the rest of the block
            at += BLOCK - at % BLOCK
            continue
        _, length, kind = struct.unpack_from("<IHB", content, at)
        whole += content[at + HEAD : at + HEAD + length]
        at += HEAD + length
        if kind in (1, 4):
            yield whole
            whole = b""


@needs("wandb")
def test_wandb_without_a_key_is_refused_before_anything_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WANDB_API_KEY", "WANDB_MODE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    with pytest.raises(ConfigError, match="no key for Weights & Biases: set WANDB_API_KEY"):
        check_trackers(resolve(Config(), overrides=["records.trackers=wandb"]))
