"""Over how many GPUs and processes an engine spreads its model, whether that is how many it has, and what it holds."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

TENSOR, PIPELINE = "tensor_parallel_size", "pipeline_parallel_size"
"""vLLM's names."""
CPU_BLOCK = 32
"""Tokens of a block of the cache of keys and values on CPUs: the smallest that the engine's attention there takes."""

MOST_ON_CPU, MOST_ON_GPU = 256, 1024
"""Sequences that an engine runs at once, on a CPU and on a large GPU, if nobody says: vLLM's sizes for offline work."""


def at_once(asked: int, replicas: int, gpus: float, engine: Mapping[str, Any]) -> int:
    """Sequences that one of so many replicas runs at once, of those that all are ``asked`` for."""
    most = int(engine.get("max_num_seqs") or (MOST_ON_GPU if gpus else MOST_ON_CPU))
    return min(math.ceil(asked / replicas), most)


def tensor_parts(gpus: float, engine: Mapping[str, Any]) -> int:
    """Parts that each layer is split into: as ``engine`` says, else one for each GPU."""
    return int(engine.get(TENSOR) or max(1, int(gpus) // int(engine.get(PIPELINE) or 1)))


def has_process(wanted: bool | None, gpus: float, engine: Mapping[str, Any]) -> bool:
    """Whether the part of an engine that computes is a process of its own; several parts always are."""
    several = tensor_parts(gpus, engine) * int(engine.get(PIPELINE) or 1) > 1
    return wanted if wanted is not None and not several else gpus > 0 or several


def impossible_parts(section: str, gpus: float, engine: Mapping[str, Any]) -> str | None:
    """Why an engine cannot run so, with the fix; None if it can."""
    if gpus > 1 and gpus % 1:
        return f"{section}.gpus={gpus:g}: an engine has whole GPUs, or a part of one: set {section}.gpus={int(gpus)}"
    if not gpus:
        return None  # CPU engines have processes for their parts
    sizes = {name: engine[name] for name in (TENSOR, PIPELINE) if engine.get(name)}
    parts = tensor_parts(gpus, engine) * int(engine.get(PIPELINE) or 1)
    if parts == max(1, gpus):
        return None
    said = " ".join(f"{section}.engine.{name}={size}" for name, size in sizes.items())
    return (
        f"{section}.gpus={gpus:g} and {said} do not go together, which would use {parts} GPUs: "
        f"set {section}.gpus={parts}, or leave {' and '.join(f'{section}.engine.{name}' for name in sizes)} out"
    )
