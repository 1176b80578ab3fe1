"""Policy.update against a bare PyTorch loop on the same sequences, and prompts computed once against once an answer.

    python tests/bench/update.py MODEL [--rounds 5] [--threads 1] [--prompts 12,120] [--groups 8] [--dtype float32]

The bare loop is what one would write in a notebook: right-padded rows sorted by length, the full
logits, the clipped surrogate, clip_grad_norm_, AdamW; no FSDP, no metrics, no chunked head.
Both take turns in one process after one warm-up each; the medians are compared. So do the layouts ``padded`` and
``shared``, on groups of eight answers behind prompts of each length of ``--prompts``.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
import torch.distributed as dist
from transformers import AutoConfig, AutoModelForCausalLM

from raysgpo.config import AlgorithmConfig, OptimizerConfig, TrainerConfig
from raysgpo.policy.layout import Layout, Size
from raysgpo.policy.micro_batches import plan_micro_batches
from raysgpo.policy.policy import Policy
from raysgpo.policy.sequences import Share, TrainSequence

SEQUENCES, GROUP, PROMPT, BUDGET, LR = 256, 8, 12, 2048, 1e-6


def sequences(vocabulary: int, groups: int = SEQUENCES // GROUP, prompt: int = PROMPT) -> list[TrainSequence]:
    """Groups of answers of 20 to 48 random tokens behind a prompt, as in a step of the default recipe."""
    rng = np.random.default_rng(0)
    made = []
    prompts = rng.integers(0, vocabulary, (groups, prompt)).repeat(GROUP, axis=0)
    for prompt_T in prompts:
        length = prompt + int(rng.integers(20, 49))
        sampled_T = np.arange(length) >= prompt
        made.append(
            TrainSequence(
                token_ids_T=np.append(prompt_T, rng.integers(0, vocabulary, length - prompt)).astype(np.int32),
                loss_weight_T=sampled_T.astype(np.float32),
                advantages_T=np.where(sampled_T, rng.normal(), 0.0).astype(np.float32),
                logprobs_T=np.where(sampled_T, -np.log(vocabulary), 0.0).astype(np.float32),
                sampled_T=sampled_T,
                prompt_length=prompt,
            )
        )
    return made


def shares(made: list[TrainSequence], layout: Layout = "padded") -> Share:
    sizes = [Size(len(sequence), sequence.prompt_length, at // GROUP) for at, sequence in enumerate(made)]
    [plan] = plan_micro_batches(sizes, 1, BUDGET, layout)
    tokens = sum(int(sequence.sampled_T.sum()) for sequence in made)
    return Share(0, [[made[index] for index in batch] for batch in plan], float(tokens), tokens)


def bare_update(model: torch.nn.Module, optimizer: torch.optim.Optimizer, share: Share) -> None:
    """One optimizer step without any of the machinery."""
    for rows in share.micro_batches:
        longest = max(len(row) for row in rows)

        def padded(name: str, rows: list[TrainSequence] = rows, longest: int = longest) -> torch.Tensor:
            arrays = [np.pad(getattr(row, name), (0, longest - len(row))) for row in rows]
            return torch.from_numpy(np.stack(arrays))

        ids_RL = padded("token_ids_T").long()
        logits_RLV = model(input_ids=ids_RL, use_cache=False).logits[:, :-1]
        targets_RL1 = ids_RL[:, 1:, None]
        logprobs_RL = logits_RLV.log_softmax(-1).gather(-1, targets_RL1).squeeze(-1)
        ratio_RL = (logprobs_RL - padded("logprobs_T")[:, 1:]).exp()
        advantage_RL = padded("advantages_T")[:, 1:]
        surrogate_RL = torch.minimum(ratio_RL * advantage_RL, ratio_RL.clamp(0.8, 1.2) * advantage_RL)
        loss = -(surrogate_RL * padded("loss_weight_T")[:, 1:]).sum() / share.denominator
        loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad()


def seconds(action: Callable[[], object]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--prompts", default="12,120", help="tokens of a prompt, a list")
    parser.add_argument("--groups", type=int, default=SEQUENCES // GROUP)
    parser.add_argument("--dtype", default="float32")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    against_a_bare_loop(arguments)
    for prompt in arguments.prompts.split(","):
        prompts_once(arguments, int(prompt))
    dist.destroy_process_group()


def built(arguments: argparse.Namespace, layout: Layout) -> Policy:
    words = {"threads": arguments.threads, "dtype": arguments.dtype, "tokens_per_micro_batch": BUDGET}
    trainer = TrainerConfig(**words, layout=layout)
    return Policy.build(arguments.model, trainer, OptimizerConfig(lr=LR), AlgorithmConfig(), 1.0, 100, 1)


def against_a_bare_loop(arguments: argparse.Namespace) -> None:
    policy = built(arguments, "padded")
    model = AutoModelForCausalLM.from_pretrained(arguments.model, dtype=torch.float32)
    optimizer = torch.optim.AdamW(model.parameters(), lr=LR)
    share = shares(sequences(model.config.vocab_size, arguments.groups))
    ours, bare = alternating(
        arguments.rounds, lambda: policy.update(share), lambda: bare_update(model, optimizer, share)
    )
    print(f"{arguments.groups} x {GROUP} sequences, {share.num_tokens} sampled tokens, {arguments.threads} threads")
    print(f"Policy.update {ours:.3f} s   bare loop {bare:.3f} s   ratio {ours / bare:.2f}", flush=True)


def prompts_once(arguments: argparse.Namespace, prompt: int) -> None:
    vocabulary = AutoConfig.from_pretrained(arguments.model).vocab_size
    made = sequences(vocabulary, arguments.groups, prompt)
    (once, of_once), (each, of_each) = (
        (built(arguments, layout), shares(made, layout)) for layout in ("shared", "padded")
    )
    shared, padded = alternating(arguments.rounds, lambda: once.update(of_once), lambda: each.update(of_each))
    print(
        f"prompts of {prompt} tokens: once a group {shared:.3f} s in {len(of_once.micro_batches)} passes   "
        f"once an answer {padded:.3f} s in {len(of_each.micro_batches)}   ratio {shared / padded:.2f}",
        flush=True,
    )


def alternating(rounds: int, first: Callable[[], object], second: Callable[[], object]) -> tuple[float, float]:
    """The medians of both, after one warm-up each."""
    pairs = [(seconds(first), seconds(second)) for _ in range(rounds + 1)][1:]
    return statistics.median(a for a, _ in pairs), statistics.median(b for _, b in pairs)


if __name__ == "__main__":
    main()
