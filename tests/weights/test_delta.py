"""Old bits and changes make the new bits, whatever the numbers are; no more is sent than the whole."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from raysgpo.weights.delta import apply, changes

pytestmark = pytest.mark.ray

KINDS = [torch.float32, torch.bfloat16, torch.float64, torch.int8]


def raw(tensor: torch.Tensor) -> np.ndarray:
    return tensor.reshape(-1).view(torch.uint8).numpy()


@given(st.sampled_from(KINDS), st.integers(1, 200), st.floats(0, 1), st.integers(0, 2**31))
def test_old_and_changes_are_new_bit_for_bit(dtype: torch.dtype, size: int, share: float, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    width = torch.empty(0, dtype=dtype).element_size()
    old = torch.randint(0, 256, (size * width,), dtype=torch.uint8, generator=generator).view(dtype)  # NaNs too
    new = old.clone()
    hit = torch.rand(size, generator=generator) < share
    raw(new).reshape(size, width)[hit.numpy()] ^= 1
    changed = changes(raw(old), raw(new), width)
    whole = int(hit.sum()) * (4 + width) >= size * width
    assert (changed is None) == whole
    if changed is not None:
        assert changed.nbytes == int(hit.sum()) * (4 + width)
        apply(old, torch.from_numpy(changed))
        assert torch.equal(raw_tensor(old), raw_tensor(new))


def raw_tensor(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.view(torch.uint8)


def test_a_zero_that_changes_its_sign_and_a_nan_that_stays_are_told_apart() -> None:
    old = torch.tensor([0.0, float("nan"), 1.0, 2.0, 3.0, 4.0], dtype=torch.bfloat16)
    new = old.clone()
    new[0] = -0.0
    changed = changes(raw(old), raw(new), 2)
    assert changed is not None and changed.tolist() == [0, 0, 0, 0, 0x00, 0x80]
    assert changes(raw(old), raw(old.clone()), 2).tolist() == []  # type: ignore[union-attr]
