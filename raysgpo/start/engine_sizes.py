"""How much an engine needs, by the model's shape: its key-value cache on a CPU, and the time to start.

    cache = (1 + sequences x blocks of the longest sequence) x tokens of a block x bytes of a token
    bytes of a token = 2 x layers x key-value heads x head size x bytes of a number

``sequences`` are those that a replica has at once. The cache is memory that is really taken, so it has a share of what
is free here at most, and room for one sequence at least. (GPUs have no such setting: vLLM takes what they have.)
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from transformers import PreTrainedConfig

from raysgpo.config.engine_parts import CPU_BLOCK
from raysgpo.config.overrides import ConfigError
from raysgpo.policy.model_size import parameters
from raysgpo.start.free_memory import free_memory

GIB = 2**30
LEAST_GIB = 0.25
"""The smallest cache that is chosen, GiB: a tiny model has room for all its sequences in it."""
SHARE = 0.125
"""Of the free memory, for the caches of all replicas of one kind. The weights and the trainer have to fit beside."""
NUMBER_BYTES = {"half": 2, "float16": 2, "bfloat16": 2}
"""By the engine's ``dtype``; an engine on CPU has float32 unless it is told otherwise."""


@dataclass(frozen=True, slots=True)
class Load:
    """What one kind of replica has to hold."""

    section: str
    """``rollout`` or ``judge``."""
    replicas: int
    sequences: int
    """The most that one replica has at once."""
    length: int
    """Tokens of the longest."""
    lever: str
    """What makes them shorter, for messages."""
    engine: Mapping[str, Any]
    """The user's own arguments of vLLM."""


def cache_gib(settings: PreTrainedConfig, load: Load, asked: float | None) -> float:
    """Of one replica on CPUs, GiB, to 0.01; ``asked`` is taken as it is.

    Raises:
        ConfigError: what was asked for, or this machine, has no room for one sequence.
    """
    token = token_bytes(settings, load.engine)
    one = _blocks(load, 1) * token / GIB
    if asked is not None:
        _check(settings, load, asked, load.length * token / GIB, one)
        return asked
    free = free_memory() / GIB / load.replicas
    if one > free:
        raise ConfigError(
            f"{load.section}: the longest sequence has {load.length} tokens, whose key-value cache takes {one:.2f} "
            f"GiB, and this machine has {free:.2f} GiB free for a replica; lower {load.lever}, or set "
            f"{load.section}.kv_cache_gib where the replicas have a larger one"
        )
    all_at_once = _blocks(load, load.sequences) * token / GIB
    return math.ceil(max(one, LEAST_GIB, min(all_at_once, free * SHARE)) * 100) / 100


def _blocks(load: Load, sequences: int) -> int:
    """Tokens of the blocks of so many of the longest sequences, and of the block that vLLM keeps."""
    block = int(load.engine.get("block_size") or CPU_BLOCK)
    return (1 + sequences * math.ceil(load.length / block)) * block


def _check(settings: PreTrainedConfig, load: Load, asked: float, least: float, enough: float) -> None:
    """Refuse a cache in which no sequence can end; layers that see a window alone need less than is known here."""
    if asked < least and getattr(settings, "sliding_window", None) is None:
        key = f"{load.section}.kv_cache_gib"
        raise ConfigError(
            f"{key}={asked:g}: one sequence of {load.length} tokens takes {least:.2f} GiB of the key-value cache; set "
            f"{key}={math.ceil(enough * 100) / 100:g} or more, or leave it out"
        )


def token_bytes(settings: PreTrainedConfig, engine: Mapping[str, Any]) -> int:
    """Of the keys and values of one token; 0 for a model whose shape its ``config.json`` does not say."""
    layers, heads = _number(settings, "num_hidden_layers"), _number(settings, "num_attention_heads")
    kept = _number(settings, "num_key_value_heads") or heads
    size = _number(settings, "head_dim") or (_number(settings, "hidden_size") // heads if heads else 0)
    return 2 * layers * kept * size * number_bytes(engine)


def weights_gib(settings: PreTrainedConfig, number: int) -> float:
    """What the weights take, GiB, with numbers of so many bytes."""
    return number * parameters(settings) / GIB


def number_bytes(engine: Mapping[str, Any], otherwise: int = 4) -> int:
    """Of a number of the model, by the engine's ``dtype``."""
    dtype = engine.get("dtype")
    return otherwise if dtype is None else NUMBER_BYTES.get(str(dtype), 4)


def _number(settings: PreTrainedConfig, name: str) -> int:
    value = getattr(settings, name, None)
    return value if isinstance(value, int) and not isinstance(value, bool) else 0
