"""What every engine does alike: exchange its weights in one order, refuse a prompt without room for an answer."""

from __future__ import annotations

from contextlib import aclosing
from typing import Literal, Protocol

from raysgpo.weights.transport import Description, Weights


class Reloadable(Protocol):
    """The part of an engine that exchanges weights."""

    async def pause_generation(self, *, mode: Literal["keep", "wait"], clear_cache: bool) -> None: ...

    async def start_weight_update(self) -> None: ...

    async def begin_again(self) -> None:
        """In the middle of an update that failed: nothing of it is kept."""
        ...

    async def update_weights(self, piece: Description) -> None: ...

    async def finish_weight_update(self, weight_version: str) -> None: ...

    async def resume_generation(self) -> None: ...


OnUpdate = Literal["recompute", "keep_cache", "drain"]
"""See ``rollout.on_update``."""


async def reload_weights(llm: Reloadable, weights: Weights, on_update: OnUpdate = "recompute") -> int:
    """Pause, start, load, finish, resume: the only order in which no token mixes two versions; the version loaded.

    ``keep`` freezes running requests, which go on under the new weights and record both versions; ``wait`` lets
    them end, while new ones queue. Clearing the cache throws away every key and value that the old weights
    computed, those of frozen requests too: they are computed again. If loading fails and there is no other way to the
    same weights, generation stays paused, for the model may be half loaded.
    """
    mode: Literal["keep", "wait"] = "wait" if on_update == "drain" else "keep"
    await llm.pause_generation(mode=mode, clear_cache=on_update != "keep_cache")
    await llm.start_weight_update()
    try:
        await _load(llm, weights)
    except Exception:
        spare = await weights.spare()
        if spare is None:
            raise
        weights = spare
        await llm.begin_again()
        await _load(llm, weights)
    await llm.finish_weight_update(str(weights.version))
    await llm.resume_generation()
    return weights.version


async def _load(llm: Reloadable, weights: Weights) -> None:
    async with aclosing(weights.pieces()) as pieces:
        async for piece in pieces:
            await llm.update_weights(piece)


def check_prompt(prompt_ids: list[int], max_model_len: int) -> None:
    """Raises ValueError if no token fits behind the prompt."""
    if not 0 < len(prompt_ids) < max_model_len:
        raise ValueError(
            f"a prompt of {len(prompt_ids)} tokens leaves no room for an answer in "
            f"rollout.max_model_len={max_model_len}: drop the prompt, or raise rollout.max_model_len"
        )
