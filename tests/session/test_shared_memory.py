"""Too little shared memory on a node is said with the number, before anything is published."""

from __future__ import annotations

from typing import Any

from transformers import Qwen2Config

from raysgpo.policy.model_size import parameters
from raysgpo.session.shared_memory import CHUNKS, GIB, largest_chunk, too_small
from raysgpo.weights.store import CHUNK_BYTES


def node(address: str, store: float, alive: bool = True) -> dict[str, Any]:
    return {"Alive": alive, "NodeManagerAddress": address, "Resources": {"CPU": 4.0, "object_store_memory": store}}


def test_a_node_with_a_small_store_is_named_with_what_it_needs() -> None:
    [line] = too_small([node("a", 10 * GIB), node("b", 0.06 * GIB)], GIB)
    assert "node b has 0.06 GiB" in line and "chunks of 1.00" in line and f"give it {CHUNKS}.0 GiB" in line


def test_nodes_with_equal_stores_share_a_line() -> None:
    [line] = too_small([node(name, 0.06 * GIB) for name in "abc"], GIB)
    assert "3 nodes, a among them, has 0.06 GiB" in line


def test_one_node_alone_needs_none_and_the_dead_do_not_count() -> None:
    assert too_small([node("a", 0.0)], GIB) == []
    assert too_small([node("a", 0.0), node("b", 0.0, alive=False)], GIB) == []
    assert too_small([node("a", CHUNKS * GIB), node("b", CHUNKS * GIB)], GIB) == []


def test_the_largest_piece_is_the_embedding_where_it_is_larger_than_a_chunk() -> None:
    seven_b = Qwen2Config(vocab_size=152_064, hidden_size=3584)
    assert largest_chunk(seven_b, 2) == 152_064 * 3584 * 2
    one_b = Qwen2Config(vocab_size=32_000, hidden_size=2048, num_hidden_layers=16, intermediate_size=5504)
    assert largest_chunk(one_b, 2) == CHUNK_BYTES
    tiny = Qwen2Config(vocab_size=260, hidden_size=128, num_hidden_layers=2, intermediate_size=256)
    assert largest_chunk(tiny, 4) == parameters(tiny) * 4 < CHUNK_BYTES
