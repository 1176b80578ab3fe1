"""The policy: the thing that is trained.

Every rank holds one :class:`Policy` and calls the same methods in the same order; all public
methods are collective. The caller initialises torch.distributed (gloo on CPU, nccl on GPU), with a
time-out, before ``build``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch import Tensor

from raysgpo.config import AlgorithmConfig, OptimizerConfig, TrainerConfig
from raysgpo.output.metrics import Metrics
from raysgpo.output.update_metrics import NO_UPDATE
from raysgpo.policy.batch import Batch, lay_out
from raysgpo.policy.layout import choose_layout
from raysgpo.policy.learning_rate import learning_rate
from raysgpo.policy.loading import load_scorer
from raysgpo.policy.lora import adapted_layers, adapter_config, is_adapter, without_adapters
from raysgpo.policy.loss import Objective, Terms, policy_loss
from raysgpo.policy.model import TokenScorer, before_pass, rank_mesh, reshard, training_device, whole
from raysgpo.policy.scorer_check import check_scorer
from raysgpo.policy.sequences import Share, TrainSequence
from raysgpo.policy.snapshot import Snapshot, load


class Policy:
    """A sharded model with its optimizer."""

    def __init__(
        self,
        scorer: TokenScorer,
        reference: TokenScorer | None,
        optimizer: torch.optim.Optimizer,
        objective: Objective,
        rate: Callable[[int], float],
        lay_out: Callable[..., Batch],
        max_grad_norm: float,
        dtype: torch.dtype,
        source: str,
        adapter: dict[str, Any] | None = None,
    ) -> None:
        self.scorer = scorer
        self.reference = reference
        self.optimizer = optimizer
        self._objective = objective
        self._rate = rate
        self._lay_out = lay_out
        self._max_grad_norm = max_grad_norm
        self._dtype = dtype
        self._source, self._adapter = source, adapter
        self._snapshot: Snapshot | None = None
        """Of the weights as they are, which may still be being copied."""
        self.cut_passes = 0
        """Passes that did not fit into a GPU's memory and were halved."""

    @classmethod
    def build(
        cls,
        model_path: str,
        trainer: TrainerConfig,
        optimizer: OptimizerConfig,
        algorithm: AlgorithmConfig,
        temperature: float,
        total_updates: int,
        world: int,
    ) -> Policy:
        """Load ``model_path`` (a folder or a hub name) and shard it over all ``world`` ranks.

        ``temperature`` is the sampler's: logprobs are those of the distribution that was sampled.
        ``total_updates`` is what the learning-rate schedule falls over. Raises ValueError for a model
        that cannot be loaded or trained.
        """
        assert dist.is_initialized(), "initialise torch.distributed before building the policy"
        assert dist.get_world_size() == world, f"world={world}, but the group has {dist.get_world_size()} ranks"
        torch.set_num_threads(trainer.threads or 1)
        device = training_device()
        if device.type == "cuda":
            torch.cuda.set_device(device)
        mesh = rank_mesh(device.type, world, trainer.shard_size)
        layout = choose_layout(trainer)
        lay = partial(lay_out, layout=layout, device=device)
        rate = partial(
            learning_rate,
            peak=optimizer.lr,
            warmup=optimizer.warmup(total_updates),
            schedule=optimizer.schedule,
            total=total_updates,
        )

        dtype, adapters = getattr(torch, trainer.dtype), trainer.lora_rank is not None
        # What nothing is added to has the type it is computed in: the base of adapters, and the reference.
        scorer = load_scorer(model_path, trainer, temperature, mesh, dtype if adapters else torch.float32)
        check_scorer(model_path, scorer, layout, trainer.dtype)
        reference = None
        if algorithm.kl_coefficient > 0:
            reference = scorer if adapters else _frozen(load_scorer(model_path, trainer, temperature, mesh, dtype))
        return cls(
            scorer=scorer,
            reference=reference,
            optimizer=_adamw(scorer, optimizer),
            objective=Objective(
                surrogate=algorithm.surrogate,
                clip_low=algorithm.clip_low,
                clip_high=algorithm.clip_high,
                truncation_cap=algorithm.truncation_cap,
                kl_coefficient=algorithm.kl_coefficient,
                kl_estimator=algorithm.kl_estimator,
            ),
            rate=rate,
            lay_out=lay,
            max_grad_norm=optimizer.max_grad_norm,
            dtype=dtype,
            source=model_path,
            adapter=adapter_config(scorer.causal, trainer, model_path) if adapters else None,
        )

    def update(self, share: Share) -> Metrics:
        """One update over this rank's share; the metrics are the whole update's, equal on all ranks.

        ``policy/loss`` is the objective itself; ``policy/entropy``, ``clip_share``, ``kl``,
        ``mismatch_kl``, ``mismatch_abs`` and ``ratio_mean`` are means over the sampled tokens,
        ``mismatch_max`` the largest; ``padding`` is the share of the computed tokens that were padding;
        ``denominator`` is the share's; ``grad_norm`` is the norm before clipping.
        ``advantage/r_loss`` is the sum of |loss| over tokens with A > 0, over that of those with A < 0; None if there
        are none. An update whose gradient is not finite changes nothing and says ``policy/skipped`` = 1; without
        anything to train on it is none, and every number None.
        """
        if not share.num_tokens:
            return NO_UPDATE
        metrics = self.accumulate(share)
        metrics["policy/denominator"] = share.denominator
        metrics["policy/grad_norm"] = norm = self._clip_gradients()
        metrics["policy/lr"] = rate = self._rate(share.update)
        metrics["policy/skipped"] = float(not math.isfinite(norm))
        if math.isfinite(norm):
            self._finish_snapshot()
            for group in self.optimizer.param_groups:
                group["lr"] = rate
            self.optimizer.step()
        self.optimizer.zero_grad()
        return metrics

    def accumulate(self, share: Share) -> Metrics:
        """The first half of ``update``: its gradient, summed over ranks, is left in the parameters."""
        self.optimizer.zero_grad()
        parts: list[Terms] = []
        computed = needed = 0
        left = list(reversed(share.micro_batches))
        while left:
            sequences = left.pop()
            before_pass(self.scorer, last=not left)
            batch = self._lay_out(sequences)
            try:
                terms = self._terms(batch, share.denominator)
            except torch.OutOfMemoryError as error:
                left += self._halves(sequences, batch, error)
                continue
            try:
                terms.loss.backward()
            except torch.OutOfMemoryError as error:  # FSDP does not come back from the middle of a backward pass
                raise MemoryError(_too_large(batch)) from error
            parts.append(replace(terms, loss=terms.loss.detach()))
            computed += batch.inputs.token_ids_RL.numel()
            needed += batch.tokens
        return _reduce(parts, share.num_tokens, computed, needed)

    def _halves(
        self, sequences: list[TrainSequence], batch: Batch, error: torch.OutOfMemoryError
    ) -> list[list[TrainSequence]]:
        """Of a forward pass that did not fit: nothing of it is in the gradient yet.

        Raises:
            MemoryError: it cannot be cut: one sequence, or other ranks, which wait for this one in a collective.
        """
        if dist.get_world_size() > 1 or len(sequences) < 2:
            raise MemoryError(_too_large(batch)) from error
        for scorer in filter(None, (self.scorer, self.reference)):
            reshard(scorer)
        self.cut_passes += 1
        middle = len(sequences) // 2
        return [sequences[middle:], sequences[:middle]]

    def _terms(self, batch: Batch, denominator: float) -> Terms:
        reference_logprobs_N: Tensor | None = None
        if self.reference is not None:
            with torch.no_grad(), without_adapters(self.reference):
                reference_logprobs_N, _ = self.reference(batch.inputs)
        logprobs_N, entropy_N = self.scorer(batch.inputs)
        return policy_loss(logprobs_N, entropy_N, reference_logprobs_N, batch, self._objective, denominator)

    def _clip_gradients(self) -> float:
        """Scale the gradient down to the largest allowed norm; returns the global norm before that."""
        norm = torch.nn.utils.clip_grad_norm_(trained(self.scorer), self._max_grad_norm, foreach=True)
        return whole(norm).item()

    @torch.no_grad()
    def logprobs(self, share: Share) -> list[list[NDArray[np.float32]]]:
        """log pi of the scored tokens under the weights of now, an array [T] a sequence; 0 elsewhere."""
        result = []
        for sequences in share.micro_batches:
            batch = self._lay_out(sequences)
            logprobs_N, _ = self.scorer(batch.inputs)
            rest_N = logprobs_N.cpu().numpy()
            arrays = []
            for sequence in sequences:
                logprobs_T = np.zeros(len(sequence), dtype=np.float32)
                count = int(sequence.scored_T.sum())
                logprobs_T[sequence.scored_T], rest_N = rest_N[:count], rest_N[count:]
                arrays.append(logprobs_T)
            result.append(arrays)
        reshard(self.scorer)
        return result

    @torch.no_grad()
    def weights(self, dtype: torch.dtype | None = None) -> Iterator[tuple[str, Tensor]]:
        """(transformers' name, full tensor) of every parameter, on every rank, gathered one by one.

        All ranks must exhaust it. The tensors have the type ``dtype``, that of the forward pass if it is not said, and
        are gathered in it; they may share memory with the policy, so copy what must outlive the next
        update. A tied head comes once, under the embedding's name. Adapters are added to the weights
        beside which they stand.
        """
        dtype = dtype or self._dtype
        layers = adapted_layers(self.scorer)
        for name, parameter in self.scorer.named_parameters():
            if is_adapter(name):
                continue
            module, _, kind = name.rpartition(".")
            adapted = module in layers and kind == "weight"
            full = layers[module].merged().to(dtype) if adapted else whole(parameter.detach().to(dtype))
            yield name.removeprefix(TokenScorer.PREFIX), full.detach()

    def snapshot(self) -> Snapshot:
        """This rank's shards as they are now, for another thread to copy; the next update waits until it has."""
        self._finish_snapshot()
        self._snapshot = Snapshot(self.scorer, self.optimizer, self._source, self._adapter)
        return self._snapshot

    def _finish_snapshot(self) -> None:
        if self._snapshot is not None:
            self._snapshot.wait()
            self._snapshot = None

    def load(self, checkpoint: Path) -> None:
        """Take over model and optimizer from what a snapshot wrote, with any number of ranks; in no collective.

        The KL reference stays what ``build`` loaded.

        Raises:
            FileNotFoundError: the folder holds no checkpoint.
            ValueError: it is of another architecture.
        """
        load(self.scorer, self.optimizer, checkpoint)


def _too_large(batch: Batch) -> str:
    tokens = batch.inputs.token_ids_RL.numel()
    return (
        f"rank {dist.get_rank()} ran out of GPU memory in a pass of {tokens:,} tokens: lower "
        "trainer.tokens_per_micro_batch, set trainer.gradient_checkpointing=true, or shard over more ranks "
        "(--dry-run plans the memory)"
    )


def _frozen(scorer: TokenScorer) -> TokenScorer:
    return scorer.requires_grad_(False)


def trained(scorer: TokenScorer) -> list[torch.nn.Parameter]:
    """What has a gradient: all, or the adapters."""
    return [parameter for parameter in scorer.parameters() if parameter.requires_grad]


def _adamw(scorer: TokenScorer, settings: OptimizerConfig) -> torch.optim.Optimizer:
    return torch.optim.AdamW(
        trained(scorer),
        lr=settings.lr,
        betas=settings.betas,
        eps=settings.eps,
        weight_decay=settings.weight_decay,
        fused=True,  # one pass over memory, and no copy of all tensors while it works
    )


def _reduce(parts: list[Terms], num_tokens: int, computed: int, needed: int) -> Metrics:
    """Metrics of the whole update from every rank's micro-batches: two small collectives.

    ``computed`` and ``needed``: this rank's tokens with padding and without.
    """
    names = list(parts[0].sums)
    sums = torch.stack(
        [
            torch.stack([part.loss.double() for part in parts]).sum(),
            torch.stack([part.positive for part in parts]).sum(),
            torch.stack([part.negative for part in parts]).sum(),
            *(torch.stack([part.sums[name] for part in parts]).sum() for name in names),
            *parts[0].positive.new_tensor([computed, needed]),
        ]
    )
    largest = torch.stack([part.mismatch_max for part in parts]).max()
    dist.all_reduce(sums, dist.ReduceOp.SUM)
    dist.all_reduce(largest, dist.ReduceOp.MAX)
    loss, positive, negative, *totals, computed, needed = sums.tolist()
    means = {f"policy/{name}": total / max(1, num_tokens) for name, total in zip(names, totals, strict=True)}
    return {
        "policy/loss": loss,
        **means,
        "policy/mismatch_max": largest.item(),
        "policy/padding": 1 - needed / computed,
        "advantage/r_loss": positive / negative if negative > 0 else None,
    }
