"""How much of a model changes in an update, and what finding that costs against sending it.

python tests/bench/delta.py MODEL [--steps 4] [--lr 1e-6 1e-5]

AdamW on float32 weights, as the trainer's, with the gradient of the model's own loss on random tokens; compared are the
bits of the weights in bfloat16, in which they are published.
"""

from __future__ import annotations

import argparse
import time

import torch
from transformers import AutoModelForCausalLM

from raysgpo.weights.checksums import as_bytes
from raysgpo.weights.delta import apply, changes

MIB = 2**20


def published(policy: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: parameter.detach().bfloat16() for name, parameter in policy.named_parameters()}


def measure(model: str, lr: float, steps: int) -> None:
    policy = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
    optimizer = torch.optim.AdamW(policy.parameters(), lr=lr, betas=(0.9, 0.95), weight_decay=0.0)
    generator = torch.Generator().manual_seed(0)
    before = published(policy)
    for step in range(steps):
        tokens = torch.randint(0, policy.config.vocab_size, (2, 128), generator=generator)
        policy(input_ids=tokens, labels=tokens).loss.backward()
        torch.nn.utils.clip_grad_norm_(policy.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        after = published(policy)
        started = time.perf_counter()
        found = {name: changes(as_bytes(before[name]), as_bytes(after[name]), 2) for name in after}
        comparing = time.perf_counter() - started
        started = time.perf_counter()
        for name, changed in found.items():
            if changed is None:
                before[name] = after[name]
            else:
                apply(before[name], torch.from_numpy(changed))
        applying = time.perf_counter() - started
        assert all(torch.equal(before[name].view(torch.int16), after[name].view(torch.int16)) for name in after)
        whole = sum(tensor.nbytes for tensor in after.values())
        sent = sum(after[name].nbytes if one is None else one.nbytes for name, one in found.items())
        numbers = sum(0 if one is None else len(one) // 6 for one in found.values())
        all_sent = sum(one is None for one in found.values())
        print(
            f"lr {lr:g} update {step + 1}: {numbers / (whole / 2):7.2%} of the numbers, {sent / MIB:7.1f} of "
            f"{whole / MIB:.1f} MiB ({sent / whole:.1%}), {all_sent} of {len(found)} tensors whole; "
            f"comparing {comparing:.2f} s, applying {applying:.2f} s",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--lr", type=float, nargs="*", default=[1e-6, 1e-5])
    arguments = parser.parse_args()
    for lr in arguments.lr:
        measure(arguments.model, lr, arguments.steps)


if __name__ == "__main__":
    main()
