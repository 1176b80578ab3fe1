"""Replicas are killed, stopped, join and leave at random moments of a run whose weights are broadcast.

python -m tests.scale.strokes [--strokes 50] [--real] [--seed 1]

    killed       by SIGKILL, in the middle of a broadcast
    stopped      by SIGSTOP, likewise; with --real the process of its engine
    joined       another is killed while answers are under way at S = 0; its replacement joins in mid-step,
                 and is asked before any push has told it of the weights
    left         Serve takes one away while answers are under way, for there is little left to do, and brings it back

The trainer is this process, and groups.jsonl is all that is believed at the end: no position lost or doubled, no token
of another version than its step's. Printed: seconds from the stroke to the end of the step that it fell into, or of the
next, and until all replicas take part in a push again.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import psutil
import torch

from raysgpo.config import RolloutConfig
from raysgpo.output.json_lines import read_rows
from raysgpo.records import SampleRequest
from raysgpo.serving import autoscaling, deployment
from raysgpo.serving.application import delete
from raysgpo.serving.engine import VllmEngine
from raysgpo.session.ray_session import ray_session
from raysgpo.weights import group, sender
from raysgpo.weights.checksums import named_checksums
from raysgpo.weights.store import start_weight_store
from raysgpo.weights.store_transport import StoreTransport
from raysgpo.weights.transport import PushReport
from tests.conductor.fakes import FakeRun
from tests.group_audit import faults
from tests.rollouts import Sampled, deploy_rollout
from tests.serving.fake_engine import fake_engine

P, G, TOKENS = 6, 2, 24
LONG = 200
"""Tokens of an answer that is asked for beside the run's."""
GATHERING = 0.4
"""Seconds that the trainer takes to gather, so that a stroke can fall into a broadcast."""
LOAD = 8
"""Such answers at a time."""
RECOVERY = 180.0
"""Seconds after which a stroke counts as hung."""
NAME = "strokes"
Found = list[tuple[float, float]]
"""Of each stroke, seconds to the next step done and to a push that all replicas took."""


def hurried(real: bool) -> None:
    """A Serve that notices within seconds, chunks that are given up soon, and tensors that are chunks by themselves."""
    deployment.HEALTH_TIMEOUT = 5.0 if real else 3.0
    autoscaling.LOOK_BACK = {"look_back_period_s": 1.0, "metrics_interval_s": 0.2}
    group.CHUNK_PATIENCE = 3.0 if real else 1.0
    sender.SEND_CHUNK = 1


class Strokes:
    """A run with replicas to strike at."""

    def __init__(self, folder: Path, seed: int, real: bool, replicas: tuple[int, int], steps: int) -> None:
        self.real, self.draw = real, random.Random(seed)
        self.most, self.now, self.elastic = replicas[1], 0, replicas[0] < replicas[1]
        rollout = RolloutConfig(
            replicas=replicas, cpus=0.1, kv_cache_gib=0.1, threads=1, start_deadline=120, update_deadline=20,
            upscale_delay=0.5, downscale_delay=1.0, engine_process=True,
            engine={} if real else {"token_seconds": 0.02, "answers": ["x" * LONG]},
        )  # fmt: skip
        self.transport = StoreTransport(start_weight_store(), group="gloo")
        model = str(folder / "model")
        if real:
            from tests.serving.test_vllm import random_policy, save

            save(random_policy(0), Path(model))
        engine = VllmEngine if real else fake_engine
        self.handle = deploy_rollout(model, rollout, self.transport, name=NAME, groups=P, engine=engine)
        (folder / "run").mkdir()
        self.run = FakeRun(
            folder / "run", steps, f"prompts_per_step={P}", f"sampling.group_size={G}", "evaluation.every=0",
            f"sampling.max_tokens={TOKENS}", "algorithm=grpo", "task.prompts=200", "rollout.start_deadline=120",
            "checkpoint.every=100000", f"rollout.replicas=[{replicas[0]},{replicas[1]}]", rollout=self.handle,
        )  # fmt: skip
        self.sender = self.transport.sender(self.handle)
        assert (first := self.publish(0)).complete, first

    def tensors(self, version: int) -> dict[str, torch.Tensor]:
        if self.real:
            from tests.serving.test_vllm import random_policy

            return {name: p.detach() for name, p in random_policy(version).named_parameters()}
        return {f"w{index}": torch.full((2**16,), float(version + index)) for index in range(12)}

    def publish(self, step: int, strike: Callable[[], None] | None = None) -> PushReport:
        version = self.run.version = self.run.call("next_version", step)
        tensors = self.tensors(version)
        at = self.draw.randrange(1, len(tensors))

        def gathered() -> Iterator[tuple[str, torch.Tensor]]:
            for index, named in enumerate(tensors.items()):
                time.sleep(self.draw.uniform(0, 2 * GATHERING / len(tensors)))
                if strike is not None and index == at:
                    strike()
                yield named

        report = self.sender.publish(version, gathered(), 20)
        self.run.call("published", version, step, 1)
        return report

    def step(self, strike: Callable[[], None] | None = None) -> PushReport:
        """``strike``: in the middle of its broadcast."""
        self.run.step(self.now)
        report = self.publish(self.now + 1, strike)
        self.run.trained(self.now)
        self.now += 1
        return report

    def states(self) -> list[Any]:
        said = self.handle.broadcast("state").results(timeout_s=10, return_exceptions=True)
        return [state for state in said if not isinstance(state, Exception)]

    def victim(self, sign: signal.Signals) -> Callable[[], None]:
        """One replica, or its engine, to be struck by calling it."""
        pid = self.draw.choice(self.states()).pid
        if self.real and sign == signal.SIGSTOP:
            [pid] = [child.pid for child in psutil.Process(pid).children() if "VLLM" in " ".join(child.cmdline())]
        return lambda: os.kill(pid, sign)

    def recovered(self, struck: float, done: float) -> tuple[float, float]:
        """Steps until all replicas take part again."""
        asked: list[Any] = []
        while len((report := self.step()).landed) < self.most or not report.complete:
            if self.elastic:  # a load that calls for another replica
                asked = [*asked[-LOAD:], *(self.ask(LONG) for _ in range(LOAD))]
            assert time.monotonic() - struck < RECOVERY, f"hung: {report}"
        self.check_weights()
        return done - struck, time.monotonic() - struck

    def check_weights(self) -> None:
        expected = named_checksums(self.tensors(self.run.version).items())
        found = self.handle.broadcast("state", True).results(timeout_s=10, return_exceptions=True)
        assert found and all(state.checksums == expected for state in found)

    def in_a_broadcast(self, sign: signal.Signals) -> tuple[float, float]:
        strike, at = self.victim(sign), []

        def struck() -> None:
            at.append(time.monotonic())
            strike()

        self.step(struck)
        self.step()
        return self.recovered(at[0], time.monotonic())

    def in_mid_step(self) -> tuple[float, float]:
        strike, at = self.victim(signal.SIGKILL), []

        def later() -> None:
            time.sleep(self.draw.uniform(0.05, 0.5))
            at.append(time.monotonic())
            strike()

        thread = threading.Thread(target=later)
        thread.start()
        self.step()
        thread.join()
        return self.recovered(at[0], time.monotonic())

    def one_leaves(self) -> tuple[float, float]:
        """The trainer pauses, with answers under way, until Serve has taken one away; then there is work again."""
        started = time.monotonic()
        waiting = [self.ask(LONG) for _ in range(2)]
        while len(self.states()) == self.most:
            assert time.monotonic() - started < RECOVERY, "nobody leaves"
            time.sleep(0.1)
        left = time.monotonic()
        assert all(len(one.token_ids_T) for sampled in waiting for one in sampled.result(timeout_s=30))
        self.step()
        return self.recovered(left, time.monotonic())

    def ask(self, tokens: int) -> Sampled:
        seed = self.draw.randrange(2**20)
        return Sampled(self.handle, SampleRequest([1, 2, 3], (seed,), tokens, 1.0, min_version=self.run.version))

    def audit(self) -> list[str]:
        return faults(list(read_rows(self.run.folder.groups)), self.now, P, 0)

    def close(self) -> None:
        self.run.close()
        delete(NAME, deadline=2)


KINDS: dict[str, Callable[[Strokes], tuple[float, float]]] = {
    "killed": lambda run: run.in_a_broadcast(signal.SIGKILL),
    "stopped": lambda run: run.in_a_broadcast(signal.SIGSTOP),
    "joined": Strokes.in_mid_step,
    "left": Strokes.one_leaves,
}


def struck(kind: str, strokes: int, real: bool, seed: int) -> tuple[Found, list[str], int]:
    """(seconds of each stroke, what groups.jsonl says against the run, number of its groups)."""
    with tempfile.TemporaryDirectory() as folder:
        replicas = (1, 2) if kind == "left" else (2, 2)
        run = Strokes(Path(folder), seed, real, replicas, steps=200 * strokes)
        try:
            if kind == "left":
                run.recovered(time.monotonic(), time.monotonic())
            found = [KINDS[kind](run) for _ in range(strokes)]
            return found, run.audit(), run.now * P
        finally:
            run.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--strokes", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--real", action="store_true")
    parser.add_argument("--kinds", default=",".join(KINDS))
    arguments = parser.parse_args()
    hurried(arguments.real)
    print(f"{'':<9}{'strokes':>8}{'groups':>8}   next step, median and worst s   all again   faults")
    out = sys.stdout
    with ray_session(), redirect_stdout(out):
        for kind in arguments.kinds.split(","):
            found, wrong, groups = struck(kind, arguments.strokes, arguments.real, arguments.seed)
            (next_step, again) = zip(*found, strict=True)
            numbers = f"{statistics.median(next_step):>10.1f}{max(next_step):>8.1f}{'':>13}"
            numbers += f"{statistics.median(again):>8.1f}{max(again):>8.1f}{len(wrong):>7}"
            print(f"{kind:<9}{len(found):>8}{groups:>8}   {numbers}", *wrong[:5], sep="\n", flush=True)


if __name__ == "__main__":
    main()
