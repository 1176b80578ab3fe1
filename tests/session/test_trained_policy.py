"""What a run says and does with its policy at its end, and the command that exports any checkpoint."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from transformers import AutoModelForCausalLM

import jobs.export
from raysgpo.config import AlgorithmConfig, Config, OptimizerConfig
from raysgpo.config.overrides import ConfigError, dump, resolve
from raysgpo.output.run_folder import RunFolder
from raysgpo.policy.policy import Policy
from raysgpo.session import trained_policy as trained_policy_file
from raysgpo.session.trained_policy import check_upload, tell_policy
from raysgpo.stores.stored_checkpoints import StoredCheckpoints
from raysgpo.stores.stored_model import fetch_model
from tests.output.checkpoints import write_checkpoint
from tests.output.full_disk import no_file_beyond
from tests.policy.conftest import qwen2, saved  # noqa: F401  a fixture
from tests.resolved import resolved
from tests.stores.s3_server import S3Server

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def policy(qwen2: str) -> Any:  # noqa: F811
    begun = not dist.is_initialized()
    if begun:
        dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    trainer = resolved(resolve({}, overrides=["trainer.dtype=float32"])).trainer
    yield Policy.build(qwen2, trainer, OptimizerConfig(), AlgorithmConfig(), 1.0, 10, world=1)
    if begun:
        dist.destroy_process_group()


@pytest.fixture
def run(policy: Policy, tmp_path: Path) -> RunFolder:
    """It has the checkpoints 2 (the better one) and 4, and no export."""
    folder = RunFolder.create(tmp_path, "made")
    folder.config.write_text(dump(Config()))
    for step, accuracy in ((2, 0.75), (4, 0.5)):
        write_checkpoint(folder.checkpoints, step, partial(saved, policy), {"accuracy": accuracy})
    return folder


def told(run: RunFolder, *words: str) -> list[str]:
    lines: list[str] = []
    tell_policy(run, resolve({}, overrides=list(words)), lines.append)
    return lines


def test_an_export_that_a_crash_left_out_is_made_and_the_better_checkpoint_named(run: RunFolder) -> None:
    better = f"better by held-out accuracy: step 2; export it with: python jobs/export.py {run.path} --step 2"
    assert told(run) == [f"trained policy: {run.path}/exports/step-000004", better]
    before = (run.export(4) / "model.safetensors").stat()
    assert told(run)[0] == f"trained policy: {run.path}/exports/step-000004"
    assert (run.export(4) / "model.safetensors").stat() == before, "one that is there stays"


class Hub:
    """The part of huggingface_hub that we call."""

    def __init__(self, fails: bool = False) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self._fails = fails

    def __getattr__(self, name: str) -> Any:
        def call(*arguments: Any, **named: Any) -> None:
            self.calls.append((name, {"arguments": arguments, **named}))
            if self._fails:
                raise ConnectionError("403 Forbidden: no right to write\nmore of it")

        return call


@pytest.mark.parametrize("fails", [False, True])
def test_the_policy_is_uploaded_if_that_is_asked_for(
    fails: bool, run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = Hub(fails)
    monkeypatch.setattr(trained_policy_file, "HfApi", lambda: hub)
    lines = told(run, "checkpoint.upload=me/mine")[2:]
    policy = run.export(4)
    failed = f"not uploaded: 403 Forbidden: no right to write; try again with: hf upload me/mine {policy}"
    assert lines == ["uploading it to the hub as me/mine ...", failed if fails else "uploaded: me/mine"]
    [(name, given)] = hub.calls
    assert (name, given["repo_id"], given["folder_path"]) == ("upload_folder", "me/mine", policy)


def test_the_right_to_upload_is_asked_for_before_anything_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    hub, config = Hub(), resolve({}, overrides=["checkpoint.upload=me/mine"])
    monkeypatch.setattr(trained_policy_file, "HfApi", lambda: hub)
    monkeypatch.setattr(trained_policy_file, "get_token", lambda: None)
    with pytest.raises(ConfigError, match=r"upload=me/mine: there is no token; run hf auth login, or set HF_TOKEN"):
        check_upload(config)
    monkeypatch.setattr(trained_policy_file, "get_token", lambda: "hf_secret")
    check_upload(config)
    assert hub.calls == [("create_repo", {"arguments": ("me/mine",), "private": True, "exist_ok": True})]
    check_upload(resolve({}))
    assert len(hub.calls) == 1
    monkeypatch.setattr(trained_policy_file, "HfApi", lambda: Hub(fails=True))
    with pytest.raises(ConfigError, match=r"me/mine: the hub does not let us write there: 403 Forbidden: no right"):
        check_upload(config)
    with pytest.raises(ConfigError, match=r"checkpoint\.upload"):
        resolve({}, overrides=["checkpoint.upload=a name"])


def export(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    monkeypatch.setattr(sys, "argv", ["export.py", *words])
    status = jobs.export.main()
    seen = capsys.readouterr()
    return status, (seen.out + seen.err).strip()


def test_any_checkpoint_is_exported_by_command(
    run: RunFolder, policy: Policy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert export(monkeypatch, capsys, str(run.path)) == (0, str(run.export(4)))
    assert export(monkeypatch, capsys, str(run.path), "--step", "2") == (0, str(run.export(2)))
    to = tmp_path / "elsewhere" / "policy"
    words = ("made-001", "--storage", str(tmp_path), "--best", "--dtype", "float32", "--to", str(to))
    assert export(monkeypatch, capsys, *words) == (0, str(to))
    found = dict(AutoModelForCausalLM.from_pretrained(to).named_parameters())
    assert all(torch.equal(found[name], value) for name, value in policy.weights())


def test_what_cannot_be_exported_is_one_line(
    run: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    name = str(run.path)
    there = f"error: {name}: no checkpoint of step 3; there are: 2, 4"
    assert export(monkeypatch, capsys, name, "--step", "3") == (2, there)
    full = f"error: --to {tmp_path}: there is something already; give a folder that is empty or not there"
    assert export(monkeypatch, capsys, name, "--to", str(tmp_path)) == (2, full)
    with no_file_beyond(10_000):
        status, said = export(monkeypatch, capsys, name)
    assert status == 1 and said.startswith(f"error: {run.export(4)}: ") and said.endswith("(File too large)")
    for step in (2, 4):
        write_checkpoint(run.checkpoints, step, keep=9)
    assert export(monkeypatch, capsys, name, "--best")[1].endswith("(evaluation.every); give --step")
    assert export(monkeypatch, capsys, name)[1].endswith("it is not a checkpoint of a run")
    empty = RunFolder.create(tmp_path, "empty")
    empty.config.write_text(dump(Config()))
    assert export(monkeypatch, capsys, str(empty.path)) == (2, f"error: {empty.path}: it has no checkpoint yet")
    assert export(monkeypatch, capsys, "nowhere")[0] == 2


def test_of_a_run_in_an_object_store_the_policy_is_made_if_need_be_sent_and_named_by_its_address(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    server = S3Server(tmp_path / "s3")
    try:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        stored = RunFolder(run.path, f"s3://bucket/runs/{run.path.name}")
        address = f"{stored.store}/exports/step-000004"
        first = told(stored)
        assert first[0] == f"trained policy: {address}"
        assert StoredCheckpoints(stored).steps() == [4], "the checkpoint was not there before"
        folder = fetch_model(address, tmp_path / "scratch")
        assert AutoModelForCausalLM.from_pretrained(folder).dtype is torch.bfloat16
        sent = (server.bucket / address.removeprefix("s3://bucket/") / "config.json").stat()
        assert told(stored) == first
        assert (server.bucket / address.removeprefix("s3://bucket/") / "config.json").stat() == sent
    finally:
        server.stop()
    lines = told(stored)
    assert lines[0].startswith("warning: ") and f"trained policy: {run.export(4)}" in lines
