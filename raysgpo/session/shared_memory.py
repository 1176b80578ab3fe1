"""Whether weights can get from the trainer's node to another: they pass through Ray's object store on both, chunk by
chunk, and that lies in shared memory, of which containers have 64 MB unless they are told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from transformers import PreTrainedConfig

from raysgpo.policy.model_size import parameters
from raysgpo.weights.store import CHUNK_BYTES

GIB = 2**30
CHUNKS = 3
"""At once on a node that pulls: one that is read, the next one, and one of another replica."""


def largest_chunk(settings: PreTrainedConfig, number_bytes: int) -> int:
    """Bytes of the largest piece that weights are cut into: a tensor is never cut. A small model is one piece."""
    largest = int(settings.vocab_size) * int(settings.hidden_size) * number_bytes
    return max(min(CHUNK_BYTES, parameters(settings) * number_bytes), largest)


def too_small(nodes: Sequence[dict[str, Any]], chunk_bytes: int) -> list[str]:
    """A line for each size of object store that is too small, of nodes as ``ray.nodes()`` has them; none on a single
    node, where weights are mapped."""
    alive = [node for node in nodes if node["Alive"]]
    if len(alive) < 2:
        return []
    needed = CHUNKS * chunk_bytes
    stores = [(node["NodeManagerAddress"], node["Resources"].get("object_store_memory", 0.0)) for node in alive]
    found: dict[str, list[str]] = {}
    for address, size in stores:
        if size < needed:
            found.setdefault(f"{size / GIB:.2f} GiB", []).append(address)
    return [
        f"warning: the object store of {_nodes(addresses)} has {size}, and weights from another node pass "
        f"through it in chunks of {chunk_bytes / GIB:.2f}: give it {needed / GIB:.1f} GiB (ray start "
        "--object-store-memory) and a /dev/shm that holds them (docker run --shm-size, a memory volume in Kubernetes)"
        for size, addresses in found.items()
    ]


def _nodes(addresses: Sequence[str]) -> str:
    """Such as ``node 10.0.0.5``, or of several how many."""
    return f"node {addresses[0]}" if len(addresses) == 1 else f"{len(addresses)} nodes, {addresses[0]} among them,"
