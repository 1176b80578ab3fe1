"""From numpy to the device of a pass."""

from __future__ import annotations

from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor


def to_device(array: NDArray[Any], device: torch.device, dtype: torch.dtype | None = None) -> Tensor:
    """The array there, of that type; it may share the array's memory.

    Nobody waits for a GPU to take it: the next pass is laid out while it computes the one before.
    """
    tensor = torch.from_numpy(array).to(dtype=dtype)
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor
