"""Supervised fine-tuning of the small embedded models, from a seed.

Shape legend: _B sequences of a batch, _T tokens (padded), _V vocabulary.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from transformers import PreTrainedModel, PreTrainedTokenizerFast

IGNORED = -100
"""The label of a token without loss."""


def teach(
    model: PreTrainedModel,
    batches: Iterator[tuple[Tensor, Tensor]],
    steps: int,
    lr: float,
    report: Callable[[str], None],
    name: str,
    matrix_lr: float | None = None,
) -> None:
    """``steps`` AdamW steps on (token ids, labels) [_B, _T]; short warm-up, linear decay to zero.

    With ``matrix_lr`` the layers' weight matrices learn by Muon at that rate, the rest as before.
    Changes ``model`` in place and leaves it in training mode. ``name`` begins each reported line.
    """
    optimizers = _optimizers(model, lr, matrix_lr)
    rates = [(group, group["lr"]) for optimizer in optimizers for group in optimizer.param_groups]
    warm_up = max(1, steps // 20)
    start = time.monotonic()
    model.train()
    for step in range(1, steps + 1):
        ids_BT, labels_BT = next(batches)
        for group, rate in rates:
            group["lr"] = rate * min(step / warm_up, (steps - step + 1) / (steps - warm_up + 1))
        # Right padding under causal attention needs no mask: no real token sees a padding token.
        logits_BTV = model(input_ids=ids_BT, use_cache=False).logits
        loss = cross_entropy(logits_BTV[:, :-1].flatten(0, 1), labels_BT[:, 1:].flatten(), ignore_index=IGNORED)
        model.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer in optimizers:
            optimizer.step()
        if step % 200 == 0 or step == steps:
            seconds = time.monotonic() - start
            report(f"{name}: step {step}/{steps}, loss {loss.item():.4f}, {seconds:.0f} s")


def _optimizers(model: PreTrainedModel, lr: float, matrix_lr: float | None) -> list[torch.optim.Optimizer]:
    settings = {"lr": lr, "betas": (0.9, 0.95), "weight_decay": 0.01}
    if matrix_lr is None:
        return [torch.optim.AdamW(model.parameters(), **settings)]
    matrices = {name for name, value in model.named_parameters() if value.ndim == 2 and ".layers." in name}
    rest = [value for name, value in model.named_parameters() if name not in matrices]
    inner = [value for name, value in model.named_parameters() if name in matrices]
    # Steps of the size of AdamW's, so that its rates are a guide for this one.
    muon = torch.optim.Muon(inner, lr=matrix_lr, weight_decay=0.01, adjust_lr_fn="match_rms_adamw")
    return [torch.optim.AdamW(rest, **settings), muon]


def batches(
    tokenizer: PreTrainedTokenizerFast, pairs: Iterator[tuple[str, str]], batch_size: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """The pairs in their order, as many at a time."""
    while chosen := list(islice(pairs, batch_size)):
        yield batch(tokenizer, chosen)


def batch(tokenizer: PreTrainedTokenizerFast, pairs: Sequence[tuple[str, str]]) -> tuple[Tensor, Tensor]:
    """(prompt, response) pairs to token ids and labels [_B, _T]; only the response carries loss."""
    rows: list[tuple[list[int], int]] = []
    for prompt, response in pairs:
        turn = [{"role": "user", "content": prompt}]
        head = tokenizer.apply_chat_template(turn, add_generation_prompt=True, tokenize=False)
        head_ids = tokenizer.encode(head)
        rows.append(([*head_ids, *tokenizer.encode(response), tokenizer.eos_token_id], len(head_ids)))
    longest = max(len(ids) for ids, _ in rows)
    ids_BT = torch.full((len(rows), longest), tokenizer.pad_token_id)
    labels_BT = torch.full((len(rows), longest), IGNORED)
    for index, (ids, head_length) in enumerate(rows):
        ids_BT[index, : len(ids)] = torch.tensor(ids)
        labels_BT[index, head_length : len(ids)] = torch.tensor(ids[head_length:])
    return ids_BT, labels_BT


@contextmanager
def torch_setting(threads: int, seed: int) -> Iterator[None]:
    """Seed torch and set its threads, and put both back afterwards."""
    threads_before = torch.get_num_threads()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        torch.set_num_threads(threads)
        try:
            yield
        finally:
            torch.set_num_threads(threads_before)
