"""Answers of 32k tokens at 20 tokens a second, the clock and the deadlines sixty times as fast: none is lost, though a
replica is killed half-way."""

from __future__ import annotations

import os
import signal
import time

import pytest
import ray
import torch

from raysgpo.config import RolloutConfig
from raysgpo.config.deadlines import TOKEN
from raysgpo.output.json_lines import read_rows
from raysgpo.serving.application import delete
from raysgpo.weights.store import start_weight_store
from raysgpo.weights.store_transport import StoreTransport
from tests.conductor.conftest import Start
from tests.rollouts import deploy_rollout
from tests.serving.fake_engine import fake_engine

pytestmark = pytest.mark.scale

FASTER = 60
TOKENS, RATE = 32_768, 20 * FASTER
P, G = 8, 4
LOOKS = 20
"""A second: the fake's tokens come together so often."""


def test_no_answer_of_32k_tokens_is_lost(start_run: Start, capsys: pytest.CaptureFixture[str]) -> None:
    deadline = TOKEN / FASTER
    engine = {
        "answers": ["x" * TOKENS],
        "max_model_len": 2 * TOKENS,
        "token_seconds": 1 / RATE,
        "together": RATE // LOOKS,
    }
    rollout = RolloutConfig(
        replicas=2, cpus=0.1, kv_cache_gib=0.1, start_deadline=60, token_deadline=deadline, engine=engine
    )
    transport = StoreTransport(start_weight_store())
    handle = deploy_rollout("model", rollout, transport, engine=fake_engine, name="long")
    try:
        run = start_run(
            1, f"prompts_per_step={P}", f"sampling.group_size={G}", f"sampling.max_tokens={TOKENS}", "algorithm=grpo",
            "evaluation.every=0", f"rollout.token_deadline={deadline}", rollout=handle,
        )  # fmt: skip
        run.publish(0)
        assert transport.sender(handle).publish(run.version, [("w", torch.zeros(3))], deadline=20).complete
        started, step = time.monotonic(), run.conductor.step.remote(0, 0, 1)
        time.sleep(TOKENS / RATE / 2)
        state, _ = handle.broadcast("state").results(timeout_s=10)
        os.kill(state.pid, signal.SIGKILL)
        ray.get(step, timeout=300)
        seconds = time.monotonic() - started
        run.publish(1)
        run.trained(0)
    finally:
        delete("long", deadline=5)
    rows = list(read_rows(run.folder.groups))
    assert [row["position"] for row in rows] == list(range(P)) and "failed" not in {row["dropped"] for row in rows}
    assert [len(row["rollouts"]) for row in rows] == [G] * P
    assert {r["num_tokens"] for row in rows for r in row["rollouts"]} == {TOKENS}
    again = [row["position"] for row in rows if row["rollouts"][0]["attempt"] > 0]
    assert 0 < len(again) < P, "those of the replica that was killed, and no others"
    with capsys.disabled():
        print(f"\n{P * G} answers of {TOKENS:,} tokens in {seconds:.0f} s at {RATE:,} tokens/s a stream; "
              f"rollout.token_deadline={deadline:g} s; sampled again: {len(again)} of {P} groups")  # fmt: skip
