"""Policy.update against a bare PyTorch loop on the same sequences, and prompts computed once against once an answer.

    python tests/bench/update.py MODEL [--rounds 5] [--threads 1] [--prompts 12,120] [--groups 8] [--answers 20,48]
                                 [--budget 2048] [--layouts shared,packed,padded] [--dtype float32]
                                 [--checkpointing] [--no-bare]

The bare loop is what one would write in a notebook: right-padded rows sorted by length, the full
logits, the clipped surrogate, clip_grad_norm_, AdamW; no FSDP, no metrics, no chunked head.
``Policy.update`` has the same rows, and then the layout of a run. All take turns in one process after one warm-up each;
the medians are compared. So do the three layouts, on groups of eight answers behind prompts of each length of
``--prompts``: what a pass computes for each answer's own prompt, in rows without padding and with it, and once a group.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Mapping
from functools import partial

import numpy as np
import torch
import torch.distributed as dist
from transformers import AutoConfig, AutoModelForCausalLM

from raysgpo.config import AlgorithmConfig, OptimizerConfig, TrainerConfig
from raysgpo.output.metrics import Number
from raysgpo.policy.layout import Layout, Size, tokens_of
from raysgpo.policy.micro_batches import plan_micro_batches
from raysgpo.policy.policy import Policy
from raysgpo.policy.sequences import Share, TrainSequence

SEQUENCES, GROUP, PROMPT, LR = 256, 8, 12, 1e-6


def sequences(arguments: argparse.Namespace, prompt: int) -> list[TrainSequence]:
    """Groups of answers of random tokens and lengths behind a prompt, as in a step of the default recipe."""
    rng, vocabulary = np.random.default_rng(0), AutoConfig.from_pretrained(arguments.model).vocab_size
    shortest, longest = map(int, arguments.answers.split(","))
    made = []
    prompts = rng.integers(0, vocabulary, (arguments.groups, prompt)).repeat(GROUP, axis=0)
    for prompt_T in prompts:
        length = prompt + int(rng.integers(shortest, longest + 1))
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


def planned(made: list[TrainSequence], layout: Layout, budget: int) -> tuple[Share, int]:
    """The update, and the tokens that its passes compute."""
    sizes = [Size(len(sequence), sequence.prompt_length, at // GROUP) for at, sequence in enumerate(made)]
    [plan] = plan_micro_batches(sizes, 1, budget, layout)
    computed = sum(tokens_of([sizes[index] for index in batch], layout) for batch in plan)
    tokens = sum(int(sequence.sampled_T.sum()) for sequence in made)
    return Share(0, [[made[index] for index in batch] for batch in plan], float(tokens), tokens), computed


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
    parser.add_argument("--answers", default="20,48", help="tokens of the shortest and longest answer")
    parser.add_argument("--budget", type=int, default=2048, help="tokens of a pass")
    parser.add_argument("--layouts", default="shared,packed,padded", help="the first is compared with the others")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--checkpointing", action="store_true", help="compute layers again")
    parser.add_argument("--no-bare", action="store_true", help="leave the bare loop out")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    if not arguments.no_bare:
        against_a_bare_loop(arguments)
    for prompt in filter(None, arguments.prompts.split(",")):
        prompts_once(arguments, int(prompt))
    dist.destroy_process_group()


def built(arguments: argparse.Namespace, layout: Layout) -> Policy:
    trainer = TrainerConfig(
        threads=arguments.threads,
        dtype=arguments.dtype,
        layout=layout,
        tokens_per_micro_batch=arguments.budget,
        gradient_checkpointing=arguments.checkpointing,
    )
    return Policy.build(arguments.model, trainer, OptimizerConfig(lr=LR), AlgorithmConfig(), 1.0, 100, 1)


def against_a_bare_loop(arguments: argparse.Namespace) -> None:
    rows, whole = built(arguments, "padded"), built(arguments, "shared")
    model = AutoModelForCausalLM.from_pretrained(arguments.model, dtype=torch.float32)
    optimizer = torch.optim.AdamW(model.parameters(), lr=LR)
    made = sequences(arguments, PROMPT)
    padded, shared = (planned(made, layout, arguments.budget)[0] for layout in ("padded", "shared"))
    taken = alternating(
        arguments.rounds,
        {
            "same rows": lambda: rows.update(padded),
            "bare": lambda: bare_update(model, optimizer, padded),
            "as a run": lambda: whole.update(shared),
        },
    )
    print(f"{len(made)} sequences, {padded.num_tokens} sampled tokens, {arguments.threads} threads")
    ours, bare, run = taken["same rows"], taken["bare"], taken["as a run"]
    print(
        f"Policy.update {ours:.3f} s   bare loop {bare:.3f} s   ratio {ours / bare:.3f}   as a run {run:.3f} s   "
        f"ratio {run / bare:.3f}",
        flush=True,
    )


def prompts_once(arguments: argparse.Namespace, prompt: int) -> None:
    made = sequences(arguments, prompt)
    layouts: list[Layout] = arguments.layouts.split(",")
    given = {layout: planned(made, layout, arguments.budget) for layout in layouts}
    policies = {layout: built(arguments, layout) for layout in layouts}
    padding: dict[Layout, Number] = {}

    def update(layout: Layout) -> None:
        padding[layout] = policies[layout].update(given[layout][0])["policy/padding"]

    taken = alternating(arguments.rounds, {layout: partial(update, layout) for layout in layouts})
    print(f"prompts of {prompt} tokens, {len(made)} answers of {arguments.answers}:")
    for layout, (share, computed) in given.items():
        print(
            f"  {layout:<7} {taken[layout]:.3f} s in {len(share.micro_batches)} passes, {computed:,} tokens, "
            f"{padding[layout]:.1%} padding"
        )
    first, *others = layouts
    for other in others:
        times, tokens = taken[other] / taken[first], given[other][1] / given[first][1]
        print(f"  {first} against {other}: {times:.2f} times, by tokens {tokens:.2f}", flush=True)


def alternating(rounds: int, actions: Mapping[str, Callable[[], object]]) -> dict[str, float]:
    """The medians of each, after one warm-up each."""
    taken = [{name: seconds(action) for name, action in actions.items()} for _ in range(rounds + 1)][1:]
    return {name: statistics.median(round_[name] for round_ in taken) for name in actions}


if __name__ == "__main__":
    main()
