"""Whether weights can get from the trainer's node to another: they pass through Ray's object store on both, chunk by
chunk, and that lies in shared memory, of which containers have 64 MB unless they are told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from transformers import PreTrainedConfig

from raysgpo.weights.store import CHUNK_BYTES

GIB = 2**30
CHUNKS = 3
"""At once on a node that pulls: one that is read, the next one, and one of another replica."""


def largest_chunk(settings: PreTrainedConfig, number_bytes: int) -> int:
    """Bytes of the largest piece that weights are cut into: a tensor is never cut."""
    return max(CHUNK_BYTES, int(settings.vocab_size) * int(settings.hidden_size) * number_bytes)


def too_small(nodes: Sequence[dict[str, Any]], chunk_bytes: int) -> list[str]:
    """A line for each node, as ``ray.nodes()`` has them, whose object store is too small; none on a single node, where
    weights are mapped."""
    alive = [node for node in nodes if node["Alive"]]
    if len(alive) < 2:
        return []
    needed = CHUNKS * chunk_bytes
    stores = [(node["NodeManagerAddress"], node["Resources"].get("object_store_memory", 0.0)) for node in alive]
    return [
        f"warning: the object store of node {address} has {size / GIB:.2f} GiB, and weights from another node pass "
        f"through it in chunks of {chunk_bytes / GIB:.2f}: give it {needed / GIB:.1f} GiB (ray start "
        "--object-store-memory) and a /dev/shm that holds them (docker run --shm-size, a memory volume in Kubernetes)"
        for address, size in stores
        if size < needed
    ]
