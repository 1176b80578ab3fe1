"""Training on what another run recorded: the texts of its failures alone, judged once, no replica while it trains."""

from __future__ import annotations

import json
import math
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import jobs.offline
from raysgpo.groups.order import Order
from raysgpo.offline import run as offline_run
from raysgpo.output import checkpoint
from raysgpo.output.json_lines import read_rows
from raysgpo.output.run_folder import RunFolder
from tests.full.conftest import ROOT, Finished, run_to_end

pytestmark = [pytest.mark.full, pytest.mark.timeout(1800)]

OFFLINE = str(ROOT / "jobs" / "offline.py")
EPOCHS = 2
A_STEP = 4
BYTES = 256
"""Token ids below this are bytes of a text."""


@dataclass(frozen=True, slots=True)
class Offline(Finished):
    source: list[dict[str, Any]]
    """The rows that it was given."""

    @property
    def judged(self) -> list[dict[str, Any]]:
        return list(read_rows(self.run.judged))


@pytest.fixture(scope="module")
def offline(finished: Finished, small: list[str], tmp_path_factory: pytest.TempPathFactory) -> Offline:
    """One run on the texts of ``finished``, whose tokens and judgements are taken away."""
    folder = tmp_path_factory.mktemp("offline")
    rows = finished.groups
    for row in rows:
        row["judged"] = False
        for rollout in row["rollouts"]:
            del rollout["segments"]
    file = folder / "texts.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    words = [f"offline.groups={file}", f"offline.epochs={EPOCHS}", f"storage={folder}"]
    status, output = run_to_end(folder / "elsewhere", OFFLINE, *small, *words)
    assert status == 0, output
    return Offline(status, output, RunFolder(folder / "runs" / "arithmetic-offline-001"), rows)


def tokens(rollout: dict[str, Any], name: str) -> list[Any]:
    return [value for segment in rollout["segments"] for value in segment[name]]


def test_every_failure_is_judged_and_nothing_else_is_kept(offline: Offline) -> None:
    failures = [at for at, row in enumerate(offline.source) if row["all_negative"]]
    assert [row["position"] for row in offline.judged] == failures
    assert all(row["judged"] for row in offline.judged)
    for row in offline.judged:
        assert [r["text"] for r in row["rollouts"]] == [r["text"] for r in offline.source[row["position"]]["rollouts"]]


def test_texts_get_the_tokens_and_the_logprobs_that_the_sampler_had(finished: Finished, offline: Offline) -> None:
    """The first step of the other run was sampled from the weights that this one starts from."""
    compared = 0
    for row in offline.judged:
        if row["dropped"] is not None:
            continue  # without a signal it is not trained on, so nobody asks for its logprobs
        before = finished.groups[row["position"]]
        for rollout, sampled in zip(row["rollouts"], before["rollouts"], strict=True):
            if any(token >= BYTES for token in sampled["segments"][-1]["token_ids"][:-1]):
                continue  # it sampled a special token, which no text shows
            if "\ufffd" in sampled["text"]:
                continue  # it sampled bytes that are no UTF-8, which a text shows all alike
            assert tokens(rollout, "token_ids") == tokens(sampled, "token_ids")
            assert tokens(rollout, "loss_weight") == tokens(sampled, "loss_weight")
            if before["step"] == 0:
                np.testing.assert_allclose(tokens(rollout, "logprobs"), tokens(sampled, "logprobs"), atol=1e-4)
                compared += 1
    assert compared >= A_STEP


def test_it_trains_on_the_groups_with_a_signal_once_an_epoch(offline: Offline) -> None:
    learnable = [row for row in offline.judged if row["dropped"] is None]
    steps = math.ceil(EPOCHS * len(learnable) / A_STEP)
    assert [row["step"] for row in offline.metrics] == list(range(steps))
    order = Order(len(learnable), 0)
    wanted = [learnable[order.at(position)[1]] for position in range(A_STEP * steps)]
    texts = [[rollout["text"] for rollout in row["rollouts"]] for row in offline.groups]
    assert texts == [[rollout["text"] for rollout in row["rollouts"]] for row in wanted]
    first = offline.metrics[0]
    assert first["groups/trained"] == A_STEP and first["policy/grad_norm"] > 0 and first["staleness/max"] == 0
    assert first["policy/mismatch_abs"] < 1e-6, "the first step is on-policy: its logprobs are the trainer's own"
    assert "sync/replicas" not in first, "no replica is there to take the weights"
    assert checkpoint.steps(offline.run.checkpoints)[0] == steps


def test_it_evaluates_before_and_after_and_says_so(finished: Finished, offline: Offline) -> None:
    before, after = read_rows(offline.run.evaluations)
    other = next(row for row in read_rows(finished.run.evaluations) if row["step"] == 0)
    assert (before["step"], before["eval/accuracy"]) == (0, other["eval/accuracy"])
    assert after["step"] == len(offline.metrics)
    lines = offline.output.splitlines()
    told = f"held-out accuracy: {before['eval/accuracy']:.1%} -> {after['eval/accuracy']:.1%} (of 8)"
    assert lines[-2] == told
    assert lines[-1].startswith("trained policy: ") and Path(lines[-1].split(": ")[1]).is_dir()
    assert offline.run.curves.is_file()


def test_a_run_that_is_complete_does_nothing_again(
    offline: Offline, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [offline.run.judged, offline.run.metrics, offline.run.evaluations]
    before = [path.read_text() for path in files]
    monkeypatch.setattr(offline_run, "ray_session", None)  # Ray is not even started
    monkeypatch.setattr(sys, "argv", [OFFLINE, f"resume={offline.run.path}"])
    assert jobs.offline.main() == 0
    assert [path.read_text() for path in files] == before
    output = capsys.readouterr().out
    first, *_, held_out, policy = output.splitlines()
    steps = len(offline.metrics)
    assert first == f"nothing to do: {offline.run.path} has its {steps} steps and its evaluations"
    assert "starting" not in output and [held_out, policy] == offline.output.splitlines()[-2:]
