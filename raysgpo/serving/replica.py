"""The rollout replica: a Ray Serve deployment around one engine.

    sample(min_version=v) --> holds v? --yes--> the engine, one request a seed
                                |no
                                v
                one pull by the transport, shared by all who want v --> the engine's update
                                                                         ^
    update(v, epoch) ------ its group gets v broadcast ------------------+

- Those who wait for answers hear a beat now and then: how many tokens were made for all of them. An engine that makes
  none for ``rollout.token_deadline`` while it has requests, its updates apart, is replaced.

- A replica starts from the model folder, as version -1, and answers nothing before it holds the
  version that the request asks for. Health checks cannot promise that; ``min_version`` can.
- ``update`` (the push) is a hint to pull now, where an older or equal version is no work; or, in the group of an epoch,
  to receive what is being sent to all. A broadcast that fails is pulled instead.
- An update that failed or ran out of time leaves a half loaded model. Such a replica answers nothing
  any more, says why, is unhealthy, and ends its own process: Serve would otherwise let it linger for
  its graceful shutdown while it holds the resources that its replacement needs.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import uuid
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from typing import Any

from ray import serve

from raysgpo.config import RolloutConfig
from raysgpo.records import Beat, Completion, SampleRequest
from raysgpo.serving.engine import EngineFactory, VllmEngine
from raysgpo.serving.token_watch import TokenWatch
from raysgpo.stores.stored_model import fetch_here
from raysgpo.weights.transport import NOTHING_PUBLISHED, Epoch, Member, UpdateReply, Weights, WeightTransport

log = logging.getLogger(__name__)

EXIT_GRACE = 1.0
"""Seconds between breaking and the end of the process, so that the reason still reaches the callers."""
REASON_GRACE = 0.5
"""Seconds by which a push outlives an update's own limit, whose message says more."""
SHUTDOWN_LIMIT = 5.0
"""Seconds that the engine has to end its own processes."""
BEATS = 4
"""Of a request, in the time in which it must have got on."""


class ReplicaBroken(RuntimeError):
    """This replica's weights cannot be trusted; it is being replaced. Ask again: another will answer."""


class WrongRun(RuntimeError):
    """The request came from another run than the replica's."""


@dataclass(frozen=True, slots=True)
class ReplicaState:
    """What a replica says of itself."""

    replica_id: str
    version: int
    pid: int
    vocab_size: int
    max_model_len: int
    broken: str | None
    """Why it answers nothing any more."""
    checksums: dict[str, str] | None = None
    """Parameter name to the checksum of the weights loaded last; only if asked for."""
    tokens_made: int = 0
    """For all requests since its start."""


class RolloutReplica:
    """One engine, the version of its weights, and the promise that both belong together."""

    # Serve awaits an async constructor; the type system has no word for that.
    async def __init__(  # type: ignore[misc]
        self,
        model_path: str,
        rollout: RolloutConfig,
        transport: WeightTransport,
        engine: EngineFactory = VllmEngine,
        run_id: str = "",
        replica_id: str | None = None,
        end_process: Callable[[int], Any] = os._exit,
    ) -> None:
        self._id = replica_id or serve.get_replica_context().replica_id.unique_id
        self._transport = transport
        self._run_id = run_id
        self._deadline = rollout.update_seconds
        self._token_deadline = rollout.token_seconds
        self._end_process = end_process
        self._version = NOTHING_PUBLISHED
        self._epoch = ""
        self._broken: str | None = None
        self._pulls: dict[int, asyncio.Task[None]] = {}
        self._requests: set[asyncio.Task[Completion]] = set()
        self._updating = asyncio.Lock()
        await asyncio.to_thread(fetch_here, model_path)
        self._engine = engine(model_path, rollout)
        await self._engine.start()
        self._watch = TokenWatch(lambda: self._engine.tokens_made)

    async def sample(self, request: SampleRequest, run_id: str = "") -> AsyncGenerator[Beat | list[Completion], None]:
        """Beats while it lasts, then one completion for each seed, in their order, with weights of ``min_version`` or
        newer.

        ``run_id``: of the run that asks. Another run's policy must not answer it.

        Raises:
            WrongRun: this replica belongs to another run.
            ValueError: the prompt leaves no room for an answer.
            WeightsNotPublished: nobody published ``min_version`` in time.
            ReplicaBroken: the update that the request waited for failed; another replica will answer.
        """
        if run_id != self._run_id:
            raise WrongRun(f"asked by the run {run_id}, this replica is of {self._run_id}")
        answering = asyncio.create_task(self._completions(request))
        try:
            while not (await asyncio.wait({answering}, timeout=self._token_deadline / BEATS))[0]:
                self._watch_tokens()  # Serve asks for the health of a replica that it shuts down no more.
                updating = bool(self._pulls) or self._updating.locked()
                yield Beat(self._engine.tokens_made, updating)
            yield answering.result()
        finally:
            answering.cancel()

    async def _completions(self, request: SampleRequest) -> list[Completion]:
        await self._hold(request.min_version)
        self._watch_tokens()
        name = uuid.uuid4().hex
        tasks = [
            asyncio.create_task(self._engine.sample(request, seed, f"{name}-{g}"))
            for g, seed in enumerate(request.seeds_G)
        ]
        self._requests.update(tasks)
        try:
            completions = await asyncio.gather(*tasks)
        except Exception:
            await self.check_health()  # An engine that died is the better reason.
            raise
        finally:
            for task in tasks:
                task.cancel()
            self._requests.difference_update(tasks)
        for completion in completions:
            oldest = min((version for version, _ in completion.weight_versions), default=self._version)
            assert oldest >= request.min_version, f"sampled by {oldest}, asked for {request.min_version}"
        return completions

    async def member(self) -> Member:
        """Answers a roll call; a broken replica belongs to nothing."""
        if self._broken is not None:
            raise ReplicaBroken(self._broken)
        return Member(self._id, self._engine.ranks, self._version, self._epoch)

    async def join(self, epoch: Epoch) -> UpdateReply:
        """Enter the group of ``epoch``, if this replica is asked to. Never raises: the reply carries the error."""
        if self._id not in epoch.offsets:
            return UpdateReply(self._id, self._version)
        self._epoch = ""
        try:
            async with asyncio.timeout(epoch.join_timeout + REASON_GRACE), self._updating:
                await self._engine.join(epoch.invitation(self._id))
        except Exception as error:  # without a group it pulls, as before
            return UpdateReply(self._id, self._version, _reason(error, epoch.join_timeout))
        self._epoch = epoch.name
        return UpdateReply(self._id, self._version)

    async def update(self, version: int, deadline: float, epoch: str = "") -> UpdateReply:
        """Take ``version`` now, within ``deadline`` seconds. Never raises: the reply carries the error.

        ``epoch``: the group in which it is being broadcast; a replica that is in another pulls.
        """
        try:
            async with asyncio.timeout(deadline + REASON_GRACE):
                if epoch and epoch == self._epoch:
                    await asyncio.shield(asyncio.create_task(self._receive(version)))
                else:
                    await self._hold(version)
        except Exception as error:  # It all goes into the report, under this replica's name.
            return UpdateReply(self._id, self._version, _reason(error, deadline))
        return UpdateReply(self._id, self._version)

    async def drop_requests(self) -> ReplicaState:
        """Give up the requests under way, since those who asked are gone; what the replica holds."""
        for task in self._requests:
            task.cancel()
        return await self.state()

    async def state(self, checksums: bool = False) -> ReplicaState:
        """Identity and version; with ``checksums``, those of the weights that the engine read."""
        return ReplicaState(
            replica_id=self._id,
            version=self._version,
            pid=os.getpid(),
            vocab_size=self._engine.vocab_size,
            max_model_len=self._engine.max_model_len,
            broken=self._broken,
            checksums=await self._engine.checksums() if checksums else None,
            tokens_made=self._engine.tokens_made,
        )

    async def check_health(self) -> None:
        """Called by Serve; an exception has the replica replaced."""
        if self._broken is None:
            try:
                await self._engine.check_health()
                self._watch_tokens()
            except Exception as error:
                self._break(f"the engine died: {error}")
        if self._broken is not None:
            raise ReplicaBroken(self._broken)

    def _watch_tokens(self) -> None:
        """Break if the engine gets nowhere. An update has its own limit, and lets nothing else through."""
        if self._watch.idle(bool(self._requests) and not self._updating.locked()) > self._token_deadline:
            waiting = f"{len(self._requests)} answers under way"
            self._break(f"no token within rollout.token_deadline={self._token_deadline:g} s, with {waiting}")

    async def _hold(self, version: int) -> None:
        """Return once this replica holds ``version`` or newer; pulls it where needed."""
        await self._refuse_if_broken()
        while self._version < version:
            if version not in self._pulls:
                self._pulls[version] = asyncio.create_task(self._pull(version))
            # Shielded: a caller that gives up must not cancel an update that others wait for.
            await asyncio.shield(self._pulls[version])

    async def _pull(self, version: int) -> None:
        """One pull for all who want ``version``; the wait for one not yet published blocks no other."""
        try:
            weights = await self._transport.receive(version, self._deadline)
            async with self._updating:
                await self._refuse_if_broken()
                if self._version < weights.version:
                    await self._load(weights)
        finally:
            del self._pulls[version]

    async def _receive(self, version: int) -> None:
        """Take part in a broadcast, whatever this replica holds: the others wait for it."""
        async with self._updating:
            await self._refuse_if_broken()
            await self._load(self._transport.broadcast(version, self._deadline))

    async def _load(self, weights: Weights) -> None:
        # Native code that holds the event loop escapes the timeout below, but not this thread.
        watchdog = threading.Timer(self._deadline + EXIT_GRACE, self._end)
        watchdog.start()
        try:
            async with asyncio.timeout(self._deadline):
                loaded = await self._engine.update(weights)
        except Exception as error:
            reason = str(error) or f"no end within rollout.update_deadline={self._deadline:g} s"
            self._break(f"the update to version {weights.version} failed: {type(error).__name__}: {reason}")
            raise ReplicaBroken(self._broken) from error
        finally:
            watchdog.cancel()
        self._version = loaded

    async def _refuse_if_broken(self) -> None:
        """Answer nothing while broken: wait for the end of the process, which sends callers elsewhere.

        An immediate error would only have them come back at once, and burn their attempts.
        """
        if self._broken is not None:
            await asyncio.sleep(EXIT_GRACE + SHUTDOWN_LIMIT)
            raise ReplicaBroken(self._broken)

    def _break(self, reason: str) -> None:
        if self._broken is None:
            self._broken = f"replica {self._id}: {reason}"
            log.error("%s; its process ends, and Serve replaces it", self._broken)
            asyncio.get_running_loop().call_later(EXIT_GRACE, self._end)

    def _end(self) -> None:
        stopper = threading.Thread(target=self._engine.shutdown, daemon=True)
        stopper.start()
        stopper.join(SHUTDOWN_LIMIT)
        self._end_process(1)

    def __del__(self) -> None:
        """Called by Serve at the end of a graceful shutdown."""
        if hasattr(self, "_engine"):
            self._engine.shutdown()


def _reason(error: Exception, limit: float) -> str:
    return f"{type(error).__name__}: {str(error) or f'no end within {limit:g} s'}"
