"""A deterministic engine without a model, for tests of everything around the engine.

It speaks bytes: token ids are the UTF-8 bytes of its answer, then ``END``. What it answers depends on
the seed alone, every token has logprob -ln(vocabulary), and each records the weight version at which
it was made. Updates run through the same sequence of calls as vLLM's, so the order can be tested.
Faults are injected by arguments, which a deployment gives as ``rollout.engine``.
"""

from __future__ import annotations

import asyncio
import importlib
import math
import time
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from raysgpo.config import RolloutConfig
from raysgpo.records import Completion, SampleRequest
from raysgpo.seeds import derive_seed
from raysgpo.serving.reloading import OnUpdate, check_prompt, reload_weights
from raysgpo.weights.checksums import tensor_checksum
from raysgpo.weights.memory_file import read_shared
from raysgpo.weights.transport import NOTHING_PUBLISHED, Description, Weights

if TYPE_CHECKING:
    from raysgpo.weights.group import WeightGroup

END = 256
"""The end-of-turn token, after the 256 bytes."""


class FakeEngine:
    """Answers by seed.

    Args:
        answers: what it may say; seed modulo their number picks one. Without them, letters by hash.
        token_seconds: time for one token.
        together: tokens that come at one time, in the time for as many.
        at_once: answers that it works at; the others queue.
        update_seconds: time for loading new weights.
        fault: what the update to ``fault_version`` does: ``raise``, ``hang`` (awaits for ever) or
            ``block`` (holds the event loop, as native code would). ``freeze``: it makes no token from the first on.
        fault_marker: file that is created at the first fault; where it exists, there are no more, so
            that a replacement is sound.
    """

    vocab_size = 260

    def __init__(
        self,
        *,
        answers: tuple[str, ...] | list[str] = (),
        max_model_len: int = 512,
        token_seconds: float = 0.0,
        together: int = 1,
        at_once: int = 1024,
        update_seconds: float = 0.0,
        on_update: OnUpdate = "recompute",
        fault: Literal["raise", "hang", "block", "freeze"] | None = None,
        fault_version: int = 0,
        fault_marker: str | None = None,
    ) -> None:
        self.max_model_len = max_model_len
        self.events: list[str] = []
        """The calls that updates made, in order."""
        self._answers = tuple(answers)
        self.tokens_made = 0
        self._token_seconds = token_seconds
        self._together = together
        self._places = asyncio.Semaphore(at_once)
        self._update_seconds = update_seconds
        self._fault = fault
        self._fault_version = fault_version
        self._fault_marker = Path(fault_marker) if fault_marker else None
        self._version = NOTHING_PUBLISHED
        self._checksums: dict[str, str] = {}
        self._group: WeightGroup | None = None
        self._on_update = on_update
        self._running = asyncio.Event()
        self._idle = asyncio.Event()
        self._under_way = 0
        self._frozen: bool | None = None

    async def start(self) -> None:
        """Loads torch, as vLLM does at its start: an update would do so within its deadline, with the loop held up."""
        await asyncio.to_thread(importlib.import_module, "torch")
        self._running.set()
        self._idle.set()

    async def sample(self, request: SampleRequest, seed: int, request_id: str) -> Completion:
        check_prompt(request.prompt_ids, self.max_model_len)
        room = min(request.max_tokens, self.max_model_len - len(request.prompt_ids))
        wanted = [*self._answer(seed).encode(), END]
        ids = wanted[:room]
        async with self._places:
            versions = await self._versions(len(ids))
        return Completion(
            token_ids_T=np.asarray(ids, dtype=np.int32),
            logprobs_T=np.full(len(ids), -math.log(self.vocab_size), dtype=np.float32),
            finish_reason="stop" if ids[-1] == END else "length",
            text=bytes(i for i in ids if i != END).decode(errors="replace"),
            weight_versions=tuple((version, len(list(span))) for version, span in groupby(versions)),
        )

    async def _versions(self, count: int) -> list[int]:
        """The version of each of so many tokens, once they are made."""
        versions = list[int]()
        await self._running.wait()
        self._under_way += 1
        self._idle.clear()
        try:
            while len(versions) < count:
                now = min(self._together, count - len(versions))
                await asyncio.sleep(now * self._token_seconds)
                await self._thaw()
                if self._on_update != "drain":
                    await self._running.wait()
                versions += [self._version] * now
                self.tokens_made += now
        finally:
            self._under_way -= 1
            if not self._under_way:
                self._idle.set()
        return versions

    async def _thaw(self) -> None:
        """Waits for ever where the fault is ``freeze``."""
        if self._fault == "freeze" and self._frozen is None:
            self._frozen = self._first_fault()
        if self._frozen:
            await asyncio.sleep(3600)

    def _answer(self, seed: int) -> str:
        if self._answers:
            return self._answers[seed % len(self._answers)]
        length = 1 + derive_seed(seed, "length") % 12
        return "".join(chr(ord("a") + derive_seed(seed, i) % 26) for i in range(length))

    ranks = 1

    async def join(self, invitation: Description) -> None:
        """In threads of their own, as vLLM's are in another process: torch.distributed takes its time to import."""
        self._group = await asyncio.to_thread(self._join, invitation)

    def _join(self, i: Description) -> WeightGroup:
        from raysgpo.weights.group import Place, join

        if self._group is not None:
            self._group.abort()
        return join(Place(i["backend"], i["host"], i["port"], i["offset"], i["world"], i["join_timeout"], i["timeout"]))

    async def update(self, weights: Weights) -> int:
        return await reload_weights(self, weights, self._on_update)

    async def pause_generation(self, *, mode: Literal["keep", "wait"], clear_cache: bool) -> None:
        self.events.append("pause")
        self._running.clear()
        if mode == "wait":
            await self._idle.wait()

    async def start_weight_update(self) -> None:
        self.events.append("start")
        self._checksums = {}

    async def begin_again(self) -> None:
        self.events.append("again")
        self._checksums = {}

    async def update_weights(self, piece: Description) -> None:
        self.events.append("load")
        await asyncio.sleep(self._update_seconds)
        if piece.get("broadcast"):
            await asyncio.to_thread(self._receive)
        else:
            self._checksums |= {name: tensor_checksum(tensor) for name, tensor in read_shared(**piece)}

    def _receive(self) -> None:
        assert self._group is not None, "a replica is told to receive in the group that it has joined"
        try:
            for chunk in self._group.chunks():
                self._checksums |= {name: tensor_checksum(tensor) for name, tensor in chunk.tensors()}
        except BaseException:
            self._group.abort()
            raise

    async def finish_weight_update(self, weight_version: str) -> None:
        self.events.append("finish")
        fails = self._fault != "freeze" and int(weight_version) == self._fault_version
        if fails and self._first_fault():
            await self._fail()
        self._version = int(weight_version)

    async def resume_generation(self) -> None:
        self.events.append("resume")
        self._running.set()

    def _first_fault(self) -> bool:
        if self._fault is None:
            return False
        if self._fault_marker is not None:
            try:
                self._fault_marker.touch(exist_ok=False)
            except FileExistsError:
                return False
        return True

    async def _fail(self) -> None:
        if self._fault == "raise":
            raise RuntimeError("injected fault")
        if self._fault == "block":
            time.sleep(3600)
        await asyncio.sleep(3600)

    async def checksums(self) -> dict[str, str]:
        return self._checksums

    async def check_health(self) -> None:
        """Never dies by itself."""

    def shutdown(self) -> None:
        """Nothing to release."""


def fake_engine(model_path: str, rollout: RolloutConfig) -> FakeEngine:
    """An ``EngineFactory``; ``rollout.engine`` holds the arguments."""
    return FakeEngine(on_update=rollout.on_update, **rollout.engine)
