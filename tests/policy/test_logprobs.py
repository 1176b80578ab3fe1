"""Chunked logprobs against the plain computation, and the memory they are there to save."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from raysgpo.policy.logprobs import token_logprobs


def plain(hidden: Tensor, head: Tensor, targets: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """The definition, all logits at once, in float64 and by autograd."""
    pi = torch.distributions.Categorical(logits=hidden @ head.T / temperature)
    return pi.log_prob(targets), pi.entropy()


def example(
    tokens: int, size: int = 6, vocabulary: int = 19, seed: int = 0, dtype: torch.dtype = torch.float32
) -> tuple[Tensor, Tensor, Tensor]:
    draw = torch.Generator().manual_seed(seed)
    hidden = torch.randn(tokens, size, generator=draw).to(dtype).requires_grad_()
    head = torch.randn(vocabulary, size, generator=draw).to(dtype).requires_grad_()
    return hidden, head, torch.randint(vocabulary, (tokens,), generator=draw)


@given(st.integers(1, 20), st.integers(1, 25), st.floats(0.3, 3.0), st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_values_and_gradients_equal_the_plain_computation(
    tokens: int, chunk: int, temperature: float, seed: int
) -> None:
    hidden, head, targets = example(tokens, seed=seed)
    weight = torch.randn(tokens, generator=torch.Generator().manual_seed(seed + 1))
    logprobs, entropy = token_logprobs(hidden, head, targets, temperature, chunk)
    (logprobs * weight).sum().backward()

    hidden64, head64 = (t.detach().double().requires_grad_() for t in (hidden, head))
    logprobs64, entropy64 = plain(hidden64, head64, targets, temperature)
    (logprobs64 * weight).sum().backward()

    torch.testing.assert_close(logprobs.double(), logprobs64, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(entropy.double(), entropy64, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(hidden.grad.double(), hidden64.grad, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(head.grad.double(), head64.grad, rtol=1e-4, atol=1e-5)


def test_a_head_of_zeros_is_the_uniform_distribution() -> None:
    hidden, head, targets = example(tokens=5, vocabulary=8)
    logprobs, entropy = token_logprobs(hidden, head * 0, targets, 1.0, 2)
    assert logprobs.tolist() == pytest.approx([-math.log(8)] * 5)
    assert entropy.tolist() == pytest.approx([math.log(8)] * 5)


def test_entropy_bears_no_gradient_and_logprobs_do() -> None:
    logprobs, entropy = token_logprobs(*example(tokens=3), 1.0, 2)
    assert logprobs.requires_grad
    assert not entropy.requires_grad


def test_a_hotter_sampler_has_more_entropy() -> None:
    hidden, head, targets = example(tokens=10)
    cold, hot = (token_logprobs(hidden, head, targets, t, 4)[1] for t in (0.5, 2.0))
    assert (hot > cold).all()


class LargestTensor(TorchDispatchMode):
    """Remembers the most elements that any operation's result had."""

    def __init__(self) -> None:
        super().__init__()
        self.elements = 0

    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        sizes = [leaf.numel() for leaf in tree_leaves(result) if isinstance(leaf, torch.Tensor)]
        self.elements = max(self.elements, *sizes, 0)
        return result


def largest_tensor(run: Callable[..., tuple[Tensor, Tensor]], hidden: Tensor, head: Tensor, targets: Tensor) -> int:
    with LargestTensor() as largest:
        run(hidden, head, targets)[0].sum().backward()
    return largest.elements


def test_no_tensor_is_larger_than_a_chunk_of_logits_forward_or_backward() -> None:
    tokens, vocabulary, chunk = 256, 500, 16
    hidden, head, targets = example(tokens, vocabulary=vocabulary)
    chunked = largest_tensor(lambda h, w, t: token_logprobs(h, w, t, 1.0, chunk), hidden, head, targets)
    assert chunked == chunk * vocabulary
    assert largest_tensor(lambda h, w, t: plain(h, w, t, 1.0), hidden, head, targets) == tokens * vocabulary


def test_in_bfloat16_logprobs_are_float32_and_gradients_sum_over_chunks_without_loss() -> None:
    hidden, head, targets = example(tokens=512, dtype=torch.bfloat16)
    gradients = []
    for chunk in (512, 2):
        head.grad = None
        logprobs, entropy = token_logprobs(hidden, head, targets, 1.0, chunk)
        assert logprobs.dtype == entropy.dtype == torch.float32
        logprobs.sum().backward()
        assert head.grad.dtype == torch.bfloat16
        gradients.append(head.grad.float())
    assert (gradients[0] - gradients[1]).norm() < 0.01 * gradients[0].norm()
