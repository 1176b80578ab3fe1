"""Weights and gradients of a policy by name, and how far two of them are apart."""

from __future__ import annotations

import torch
from torch import Tensor

from raysgpo.policy.policy import Policy

Tensors = dict[str, Tensor]
"""Weights or gradients by the names of the parameters."""


def weights(policy: Policy) -> Tensors:
    return {name: value.clone() for name, value in policy.weights()}


def gradient(policy: Policy) -> Tensors:
    """The full gradient of all that is trained, as ``accumulate`` left it."""
    return {n: p.grad.full_tensor().clone() for n, p in policy.scorer.named_parameters() if p.requires_grad}


def distance(found: Tensors, expected: Tensors) -> float:
    """|found - expected| / |expected| over all tensors together."""
    assert found.keys() == expected.keys()
    gap = sum(((found[name] - expected[name]).double() ** 2).sum() for name in expected)
    size = sum((expected[name].double() ** 2).sum() for name in expected)
    assert size > 0, "the expected values are all zero: the comparison would mean nothing"
    return float((gap / size) ** 0.5)


def assert_equal(found: Tensors, expected: Tensors) -> None:
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)
