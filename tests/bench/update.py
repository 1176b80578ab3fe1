"""Policy.update against a bare PyTorch loop on the same sequences: seconds and their ratio.

    python tests/bench/update.py MODEL [--rounds 5]

The bare loop is what one would write in a notebook: right-padded rows sorted by length, the full
logits, the clipped surrogate, clip_grad_norm_, AdamW; no FSDP, no metrics, no chunked head.
Both take turns in one process, one thread, after one warm-up each; the medians are compared.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
import torch.distributed as dist
from transformers import AutoModelForCausalLM

from raysgpo.config import AlgorithmConfig, OptimizerConfig, TrainerConfig
from raysgpo.policy.layout import Size
from raysgpo.policy.micro_batches import plan_micro_batches
from raysgpo.policy.policy import Policy
from raysgpo.policy.sequences import Share, TrainSequence

SEQUENCES, PROMPT, BUDGET, LR = 256, 12, 2048, 1e-6


def sequences(vocabulary: int) -> list[TrainSequence]:
    """Answers of 20 to 48 random tokens behind a prompt of 12, as in a step of the default recipe."""
    rng = np.random.default_rng(0)
    made = []
    for _ in range(SEQUENCES):
        length = PROMPT + int(rng.integers(20, 49))
        sampled_T = np.arange(length) >= PROMPT
        made.append(
            TrainSequence(
                token_ids_T=rng.integers(0, vocabulary, length).astype(np.int32),
                loss_weight_T=sampled_T.astype(np.float32),
                advantages_T=np.where(sampled_T, rng.normal(), 0.0).astype(np.float32),
                logprobs_T=np.where(sampled_T, -np.log(vocabulary), 0.0).astype(np.float32),
                sampled_T=sampled_T,
            )
        )
    return made


def shares(made: list[TrainSequence]) -> Share:
    [plan] = plan_micro_batches([Size(len(sequence)) for sequence in made], 1, BUDGET, "padded")
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
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method="tcp://127.0.0.1:29511", rank=0, world_size=1)
    trainer = TrainerConfig(tokens_per_micro_batch=BUDGET, layout="padded")
    policy = Policy.build(arguments.model, trainer, OptimizerConfig(lr=LR), AlgorithmConfig(), 1.0, 100, 1)
    model = AutoModelForCausalLM.from_pretrained(arguments.model, dtype=torch.float32)
    optimizer = torch.optim.AdamW(model.parameters(), lr=LR)
    share = shares(sequences(model.config.vocab_size))
    ours, bare = [], []
    for round_number in range(arguments.rounds + 1):
        pair = seconds(lambda: policy.update(share)), seconds(lambda: bare_update(model, optimizer, share))
        if round_number:
            ours.append(pair[0])
            bare.append(pair[1])
    ratio = statistics.median(a / b for a, b in zip(ours, bare, strict=True))
    print(f"{SEQUENCES} sequences, {share.num_tokens} sampled tokens, one thread")
    print(
        f"Policy.update {statistics.median(ours):.3f} s   bare loop {statistics.median(bare):.3f} s   ratio {ratio:.2f}"
    )
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
