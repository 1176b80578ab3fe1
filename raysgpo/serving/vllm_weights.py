"""The calls by which ``AsyncLLM`` exchanges weights, with what went wrong in its workers as an exception here."""

from __future__ import annotations

from typing import Any, Literal

from raysgpo.weights.transport import Description


class BroadcastFailed(RuntimeError):
    """Some rank of the engine did not join a group, or did not receive all that was sent in it."""


class VllmWeights:
    """A :class:`raysgpo.serving.reloading.Reloadable`."""

    def __init__(self, llm: Any) -> None:
        self._llm = llm

    async def join(self, invitation: Description) -> None:
        """Raises BroadcastFailed if the group did not come together."""
        from vllm.distributed.weight_transfer.base import WeightTransferInitRequest

        await self._llm.init_weight_transfer_engine(WeightTransferInitRequest(init_info=invitation))
        await self._raise_problem()

    async def pause_generation(self, *, mode: Literal["keep", "wait"], clear_cache: bool) -> None:
        await self._llm.pause_generation(mode=mode, clear_cache=clear_cache)

    async def start_weight_update(self) -> None:
        await self._llm.start_weight_update()

    async def begin_again(self) -> None:
        await self._llm.collective_rpc("begin_weights_again")

    async def update_weights(self, piece: Description) -> None:
        """Raises BroadcastFailed if a piece is a broadcast, and did not reach all ranks whole."""
        from vllm.distributed.weight_transfer.base import WeightTransferUpdateRequest

        await self._llm.update_weights(WeightTransferUpdateRequest(update_info=piece))
        if piece.get("broadcast"):
            await self._raise_problem()

    async def finish_weight_update(self, weight_version: str) -> None:
        await self._llm.finish_weight_update(weight_version)

    async def resume_generation(self) -> None:
        await self._llm.resume_generation()

    async def _raise_problem(self) -> None:
        problems = [problem for problem in await self._llm.collective_rpc("weights_problem") if problem is not None]
        if problems:
            raise BroadcastFailed(problems[0])
