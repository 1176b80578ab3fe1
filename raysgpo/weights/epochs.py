"""Who is in the broadcast group: an epoch is one set of members, and another set is another epoch.

Rank 0 of the trainer owns it. Before each push it calls the roll; if the same replicas answer and the group is sound,
it is used again. Otherwise those that answered are asked to join a new one, which must come together within
``JOIN_DEADLINE``. Who does not is left out and pulls; nobody waits for it.
"""

from __future__ import annotations

import threading
import uuid
from concurrent.futures import Future
from dataclasses import dataclass

from raysgpo.weights.group import Backend, Place, Rendezvous, WeightGroup
from raysgpo.weights.push import Roll, answers, call_roll
from raysgpo.weights.transport import Epoch, Member, Replicas, UpdateReply, in_a_line

JOIN_DEADLINE = 20.0
"""Seconds for all to come together; an engine answers between two of its steps."""
JOIN_RANK = 0.1
"""Seconds more for each rank."""
TRIES = 2
"""The second without those that did not join in the first."""


@dataclass(frozen=True, slots=True)
class Entered:
    """A group that came together."""

    epoch: Epoch
    group: WeightGroup


class Epochs:
    """The group of now, and its successors."""

    def __init__(self, replicas: Replicas, backend: Backend, host: str) -> None:
        """``host``: this node's address, at which the others find rank 0."""
        self._replicas = replicas
        self._backend: Backend = backend
        self._host = host
        self._current: Entered | None = None
        self._former: Entered | None = None
        """Its store still tells its members that it is over."""
        self._refused: frozenset[str] = frozenset()
        """Replicas of which no group came together; not tried again before they change."""
        self.count = 0
        """Epochs so far."""

    def entered(self, roll: Roll, deadline: float) -> tuple[Entered | None, list[str]]:
        """The group of those who answered ``roll``, and what went wrong on the way; None: all have to pull.

        ``deadline``: seconds that the engines wait for the first chunk of an update.
        """
        current = self._current
        failures: list[str] = []
        if current is not None and _same(current, roll.members):
            return current, []
        self.leave()
        for _ in range(TRIES):
            ids = frozenset(member.replica_id for member in roll.members)
            if not ids or ids == self._refused:
                return None, failures
            self._current, problem = self._renewed(roll.members, deadline)
            if self._current is not None:
                self._refused = frozenset()
                return self._current, failures
            failures.append(problem)
            self._refused, roll = ids, call_roll(self._replicas)
        return None, failures

    def leave(self) -> None:
        """Give the group up; whoever is in the middle of a broadcast notices."""
        if self._current is not None:
            self._current.group.abort()
            self._current, self._former = None, self._current

    def _renewed(self, members: list[Member], deadline: float) -> tuple[Entered | None, str]:
        self.count += 1
        world = 1 + sum(member.ranks for member in members)
        limit = JOIN_DEADLINE + JOIN_RANK * world
        rendezvous = Rendezvous(self._host, limit)
        timeout = max(limit, deadline)
        epoch = Epoch(
            uuid.uuid4().hex, self._backend, self._host, rendezvous.port, world, _offsets(members), limit, timeout
        )
        own = _entering(rendezvous, Place(self._backend, self._host, rendezvous.port, 0, world, limit, timeout))
        replies = answers(self._replicas.broadcast("join", epoch), limit, members)
        problems = [_problem(reply) for reply in replies if isinstance(reply, UpdateReply) and reply.error]
        missing = epoch.offsets.keys() - {reply.replica_id for reply in replies if isinstance(reply, UpdateReply)}
        problems += [f"replica {name} did not answer" for name in sorted(missing)]
        try:
            group = own.result(timeout=1.0 if problems else limit)
        except Exception as error:
            own.add_done_callback(_abort)
            problems.append(f"rank 0: {in_a_line(error)}")
            return None, f"no group of {len(members)} replicas came together: {'; '.join(problems)}"
        if problems:
            group.abort()
            return None, f"no group of {len(members)} replicas came together: {'; '.join(problems)}"
        return Entered(epoch, group), ""


def _same(current: Entered, members: list[Member]) -> bool:
    """Whether just these are in it, each of them by its own word."""
    name, offsets = current.epoch.name, current.epoch.offsets
    return offsets == _offsets(members) and all(member.epoch == name for member in members)


def _offsets(members: list[Member]) -> dict[str, int]:
    offsets, rank = {}, 1
    for member in sorted(members, key=lambda member: member.replica_id):
        offsets[member.replica_id] = rank
        rank += member.ranks
    return offsets


def _problem(reply: UpdateReply) -> str:
    return f"replica {reply.replica_id}: {reply.error}"


def _entering(rendezvous: Rendezvous, place: Place) -> Future[WeightGroup]:
    """In a thread of its own, since it blocks for as long as somebody is missing."""
    entered: Future[WeightGroup] = Future()

    def enter() -> None:
        try:
            entered.set_result(rendezvous.enter(place))
        except BaseException as error:  # the boundary of the thread
            entered.set_exception(error)

    threading.Thread(target=enter, name="weight group", daemon=True).start()
    return entered


def _abort(entered: Future[WeightGroup]) -> None:
    if entered.exception() is None:
        entered.result().abort()
