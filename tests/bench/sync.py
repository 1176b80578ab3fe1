"""Where the seconds of a weight sync go on one machine, against a copy of its bytes.

python tests/bench/sync.py MODEL [--replicas 1] [--rounds 3] [--dtype float32] [--threads 2] [--broadcast] [--random]

meet       roll call, and a new group where one is needed
write      tensors and their checksums into memory that the engines map; with --broadcast, sent as well
push       the replicas pause, load layer by layer, and answer

Through Ray Serve, as in a run, but with the trainer's part in this process. ``a copy`` is one of the same bytes into
fresh memory. Peaks of memory are printed with it: --random takes MODEL's config.json alone.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from contextlib import redirect_stdout
from typing import Any

import psutil
import ray
import torch
from ray import serve
from transformers import AutoConfig, AutoModelForCausalLM

from raysgpo.config import RolloutConfig
from raysgpo.serving.application import delete
from raysgpo.session.ray_session import ray_session
from raysgpo.weights.store import start_weight_store
from raysgpo.weights.store_transport import StoreTransport
from raysgpo.weights.transport import PushReport
from tests.rollouts import deploy_rollout

MIB = 2**20


def policy_of(model: str, dtype: torch.dtype, random: bool) -> Any:
    if random:
        return AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(model), dtype=dtype)
    return AutoModelForCausalLM.from_pretrained(model, dtype=dtype)


def copy_seconds(policy: Any) -> float:
    arrays = [p.detach().contiguous().view(torch.uint8).numpy() for p in policy.parameters()]
    started = time.perf_counter()
    bytearray(b"").join(array.data for array in arrays)
    return time.perf_counter() - started


def memory(ours: psutil.Process) -> dict[str, dict[str, float]]:
    """MiB by process of this session: its peak so far, and what it holds now of its own and of shared memory."""
    found: dict[str, dict[str, float]] = {"the trainer's part": held(ours.pid)}
    for process in psutil.process_iter(["cmdline", "create_time"]):
        title = " ".join(process.info["cmdline"] or [])
        for what in ("ray::ServeReplica:rollout", "VLLM::", "ray::WeightStore"):
            if what in title and process.info["create_time"] > ours.create_time():
                found[f"{what.removeprefix('ray::')} {process.pid}"] = held(process.pid)
    return found


def held(pid: int) -> dict[str, float]:
    with open(f"/proc/{pid}/status") as status:
        fields = dict(line.split(":", 1) for line in status)
    names = {"peak": "VmHWM", "own": "RssAnon", "shared": "RssShmem"}
    return {name: int(fields[field].split()[0]) / 1024 for name, field in names.items()}


def line(name: str, seconds: float, copy: float) -> str:
    return f"  {name:<8}{seconds:>8.3f} s{seconds / copy:>8.1f} copies"


def measure(arguments: argparse.Namespace) -> None:
    dtype = getattr(torch, arguments.dtype)
    transport = StoreTransport(
        start_weight_store(), checksums=not arguments.no_checksums, group="gloo" if arguments.broadcast else None
    )
    rollout = RolloutConfig(
        replicas=arguments.replicas,
        max_model_len=64,
        kv_cache_gib=0.25,
        threads=arguments.threads,
        dtype=arguments.dtype,
        cpus=0.5,
        start_deadline=600,
        update_deadline=120,
        engine={"load_format": "dummy"} if arguments.random else {},
    )
    handle = deploy_rollout(arguments.model, rollout, transport)
    policy = policy_of(arguments.model, dtype, arguments.random)
    sender = transport.sender(handle)
    before = memory(psutil.Process())
    reports: list[PushReport] = []
    for version in range(arguments.rounds + 1):
        reports.append(sender.publish(version, policy.named_parameters(), 120))
        assert reports[-1].complete, reports[-1].failures
    after = memory(psutil.Process())
    copy = statistics.median(copy_seconds(policy) for _ in range(3))
    print(f"{reports[-1].num_bytes / MIB:,.0f} MiB, {arguments.replicas} replicas, a copy {copy:.3f} s")
    phases = {"meet": "meeting_seconds", "write": "publish_seconds", "push": "push_seconds"}
    medians = {name: statistics.median(getattr(r, field) for r in reports[1:]) for name, field in phases.items()}
    for name, seconds in {**medians, "sum": sum(medians.values())}.items():
        print(line(name, seconds, copy))
    first = reports[0]
    print(f"  the first: {first.meeting_seconds:.2f} + {first.publish_seconds:.2f} + {first.push_seconds:.2f} s")
    print(f"  {'MiB':<32}{'peak':>9}{'own':>9}{'shared':>9}{'own before':>12}")
    for what, now in after.items():
        then = before.get(what, {"own": 0.0})["own"]
        print(f"  {what:<32}{now['peak']:>9,.0f}{now['own']:>9,.0f}{now['shared']:>9,.0f}{then:>12,.0f}")
    delete("rollout", deadline=1)
    serve.shutdown()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--replicas", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--broadcast", action="store_true")
    parser.add_argument("--random", action="store_true")
    parser.add_argument("--no-checksums", action="store_true")
    arguments = parser.parse_args()
    out = sys.stdout
    with ray_session(), redirect_stdout(out):
        assert ray.is_initialized()
        measure(arguments)


if __name__ == "__main__":
    main()
