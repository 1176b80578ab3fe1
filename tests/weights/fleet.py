"""Replicas in this process, without actors and engines: they answer, join and receive as real ones do."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch

from raysgpo.weights.checksums import named_checksums
from raysgpo.weights.group import Place, WeightGroup, join
from raysgpo.weights.transport import Epoch, Member, UpdateReply


class Replica:
    """A replica without an engine: it joins and receives as one does."""

    def __init__(self, name: str, ranks: int = 1) -> None:
        self.name, self.ranks = name, ranks
        self.version, self.epoch = -1, ""
        self.found: dict[str, str] = {}
        self.groups: list[WeightGroup] = []
        self.fault = ""
        """``mute``: it answers nothing; ``late``: it does not join; ``dies``: in the middle of a broadcast."""

    def member(self) -> Member:
        return Member(self.name, self.ranks, self.version, self.epoch)

    def join(self, epoch: Epoch) -> UpdateReply:
        if self.name not in epoch.offsets:
            return UpdateReply(self.name, self.version)
        if self.fault == "late":
            return UpdateReply(self.name, self.version, "TimeoutError: it did not come together")
        told = epoch.invitation(self.name)
        places = [
            Place(
                told["backend"],
                told["host"],
                told["port"],
                told["offset"] + rank,
                told["world"],
                told["join_timeout"],
                told["timeout"],
            )
            for rank in range(self.ranks)
        ]
        with ThreadPoolExecutor(self.ranks) as pool:
            self.groups = list(pool.map(join, places))
        self.kept: list[dict[str, torch.Tensor]] = [{} for _ in places]
        self.epoch = epoch.name
        return UpdateReply(self.name, self.version)

    def update(self, version: int, deadline: float, epoch: str) -> UpdateReply:
        if not epoch or epoch != self.epoch:
            self.version = version
            return UpdateReply(self.name, version)
        if self.fault == "dies":
            for one in self.groups:
                one.abort()
            return UpdateReply(self.name, self.version, "RuntimeError: it died")
        try:
            with ThreadPoolExecutor(self.ranks) as pool:
                parts = list(pool.map(self._receive, self.groups, self.kept))
        except RuntimeError as error:
            return UpdateReply(self.name, self.version, f"pulled: {type(error).__name__}")
        assert all(part == parts[0] for part in parts), "every rank gets all"
        self.found, self.version = parts[0], version
        return UpdateReply(self.name, version)

    @staticmethod
    def _receive(one: WeightGroup, kept: dict[str, torch.Tensor]) -> dict[str, str]:
        found: dict[str, str] = {}
        for chunk in one.chunks():
            found |= named_checksums(chunk.tensors(kept))
        return found


class Fleet:
    """The handle of replicas in this process, each call in threads."""

    def __init__(self, *replicas: Replica) -> None:
        self.replicas = list(replicas)

    def broadcast(self, method: str, *args: Any) -> Answers:
        return Answers([one for one in self.replicas], method, args)


class Answers:
    def __init__(self, replicas: list[Replica], method: str, args: tuple[Any, ...]) -> None:
        self.pool = ThreadPoolExecutor(max(1, len(replicas)))
        self.futures = [
            None if one.fault == "mute" else self.pool.submit(getattr(one, method), *args) for one in replicas
        ]

    def results(self, timeout_s: float, return_exceptions: bool) -> list[Any]:
        until = time.monotonic() + timeout_s
        found: list[Any] = []
        for future in self.futures:
            try:
                left = max(0.0, until - time.monotonic())
                found.append(TimeoutError() if future is None else future.result(left))
            except Exception as error:
                found.append(error)
        if any(isinstance(one, TimeoutError) for one in found):
            time.sleep(max(0.0, until - time.monotonic()))
        return found
