"""What the trainer trains on: token sequences, and one rank's share of an update. Numpy only.

Shape legend: _T tokens of a sequence, prompt included.

The trainer is blind to the algorithm. Rewards, baselines and aggregation are finished before a
sequence gets here; they are stamped on each token as an advantage and a loss weight.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from raysgpo.records import pickled_by_fields


@pickled_by_fields
@dataclass(frozen=True, slots=True, eq=False)
class TrainSequence:
    """One prompt with one answer; all arrays have one entry a token.

    Token t's logprob is log pi(token_t | tokens before t), so token 0 has none and bears no loss.

    A prompt of two tokens and an answer of two, token-mean, advantage 0.5::

        TrainSequence(token_ids_T=[7, 8, 21, 2], loss_weight_T=[0, 0, 1, 1], advantages_T=[0, 0, .5, .5],
                      logprobs_T=[0, 0, -1.2, -0.1], sampled_T=[False, False, True, True])
    """

    token_ids_T: NDArray[np.int32]
    loss_weight_T: NDArray[np.float32]
    """Weight of the token's loss, aggregation included (token-mean 1, sequence-mean 1 / T_i); 0: no loss."""
    advantages_T: NDArray[np.float32]
    logprobs_T: NDArray[np.float32]
    """The sampler's logprobs; read only where ``sampled_T``."""
    sampled_T: NDArray[np.bool_]
    """True where the sampler drew the token: ratios, KL, entropy, clip share and mismatch are over these.
    A token that was not sampled but bears loss (guidance) has the ratio exp(logp - stop_gradient(logp))."""
    prompt_length: int = 0
    """Its leading tokens that all sequences of its group have; none of them is scored."""

    def __post_init__(self) -> None:
        arrays = (self.token_ids_T, self.loss_weight_T, self.advantages_T, self.logprobs_T, self.sampled_T)
        sizes = {len(array_T) for array_T in arrays}
        assert len(sizes) == 1, f"a sequence's arrays must have one length, got {sizes}"
        assert len(self.token_ids_T) > 0, "a sequence must have a token"
        assert not self.scored_T[: self.prompt_length].any(), (
            "a token of the prompt can neither be sampled nor bear loss"
        )
        assert not self.scored_T[0], "the first token has no logprob: it can neither be sampled nor bear loss"

    def __len__(self) -> int:
        return len(self.token_ids_T)

    @property
    def scored_T(self) -> NDArray[np.bool_]:
        """True where the trainer needs the token's logprob: for the loss, or for the metrics."""
        scored_T: NDArray[np.bool_] = self.sampled_T | (self.loss_weight_T != 0)
        return scored_T

    @classmethod
    def filler(cls) -> TrainSequence:
        """Two tokens whose second has loss weight 0.

        A rank with nothing to do runs it, so that every parameter gets a gradient (of zero) and the
        collectives of all ranks line up.
        """
        zeros_T = np.zeros(2, dtype=np.float32)
        return cls(np.zeros(2, dtype=np.int32), zeros_T, zeros_T, zeros_T, np.zeros(2, dtype=np.bool_))


@dataclass(frozen=True, slots=True)
class Share:
    """What one rank does in one update."""

    update: int
    """From 0; the learning rate follows from it."""
    micro_batches: list[list[TrainSequence]]
    """One forward and backward pass each. Every rank has the same number, at least 1; some may be empty."""
    denominator: float
    """The one number that divides the summed loss: the same for all ranks and micro-batches of the update."""
    num_tokens: int
    """Sampled tokens of the whole update, over all ranks: what metrics are averaged over. 0: there is no update."""

    def __post_init__(self) -> None:
        assert self.micro_batches, "a share needs at least one micro-batch, even an empty one"
        assert self.denominator > 0, f"the update's denominator must be positive, got {self.denominator}"
