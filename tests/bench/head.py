"""The head, forward and backward: our chunks, all logits at once, and PyTorch's own fused linear_cross_entropy.

    python tests/bench/head.py [--tokens 2048] [--hidden 896] [--vocabulary 151936] [--dtype float32] [--threads 2]
                               [--device cpu] [--chunk 1024]

The fused one gives a loss and neither logprobs of tokens nor entropies: its gradients are made in the forward pass,
where nobody knows yet how much a token counts (its ratio, its clip). It is the bound of what could be gained. Each kind
runs in a process of its own; memory is the most that it held beyond the inputs.
"""

from __future__ import annotations

import argparse
import multiprocessing
import time
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from raysgpo.policy.logprobs import token_logprobs
from raysgpo.training.peak_memory import PeakMemory, anonymous_bytes

ROUNDS = 3
MIB = 2**20


def chunked(hidden_NH: Tensor, head_VH: Tensor, targets_N: Tensor, chunk: int = 1024) -> Tensor:
    logprobs_N, _ = token_logprobs(hidden_NH, head_VH, targets_N, temperature=1.0, chunk=chunk)
    return -logprobs_N.sum()


def whole(hidden_NH: Tensor, head_VH: Tensor, targets_N: Tensor) -> Tensor:
    logp_NV = torch.log_softmax((hidden_NH @ head_VH.T).float(), dim=-1)
    with torch.no_grad():
        (logp_NV.exp() * logp_NV).sum(-1)
    return -logp_NV.gather(-1, targets_N[:, None]).sum()


def fused(hidden_NH: Tensor, head_VH: Tensor, targets_N: Tensor) -> Tensor:
    from torch.nn import LinearCrossEntropyOptions  # newer than what the others need
    from torch.nn.functional import linear_cross_entropy

    options = LinearCrossEntropyOptions()
    return linear_cross_entropy(hidden_NH, head_VH, targets_N, reduction="sum", options=options)


KINDS: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {"chunked": chunked, "whole": whole, "fused": fused}


def run(name: str, arguments: argparse.Namespace) -> None:
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    torch.set_default_device(arguments.device)
    dtype, gpu = getattr(torch, arguments.dtype), arguments.device == "cuda"
    kind = partial(chunked, chunk=arguments.chunk) if name == "chunked" else KINDS[name]
    hidden_NH = torch.randn(arguments.tokens, arguments.hidden, dtype=dtype, requires_grad=True)
    head_VH = (torch.randn(arguments.vocabulary, arguments.hidden) * 0.02).to(dtype).requires_grad_()
    targets_N = torch.randint(arguments.vocabulary, (arguments.tokens,))
    taken, before = [], (torch.cuda.memory_allocated() if gpu else anonymous_bytes()) or 0
    with PeakMemory() as peak:
        for _ in range(ROUNDS):
            hidden_NH.grad = head_VH.grad = None
            start = time.perf_counter()
            loss = kind(hidden_NH, head_VH, targets_N)
            loss.backward()
            if gpu:
                torch.cuda.synchronize()
            taken.append(time.perf_counter() - start)
    held = (((peak.device if gpu else peak.host) or 0) - before) / MIB
    assert head_VH.grad is not None
    print(
        f"  {name:<8}{min(taken):>8.4f} s{held:>10,.0f} MiB   loss {loss.item():.6g}, "
        f"|gradient of the head| {head_VH.grad.float().norm().item():.6g}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, default=2048)
    parser.add_argument("--hidden", type=int, default=896)
    parser.add_argument("--vocabulary", type=int, default=151_936)
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--chunk", type=int, default=1024, help="tokens of our chunks")
    arguments = parser.parse_args()
    for name in KINDS:
        process = multiprocessing.get_context("spawn").Process(target=run, args=(name, arguments))
        process.start()
        process.join()


if __name__ == "__main__":
    main()
