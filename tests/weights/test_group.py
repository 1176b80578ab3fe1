"""A broadcast brings every rank the same bits; who dies or stops costs the others a bounded time, and is named."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import ray
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from raysgpo.weights import epochs, group, sender
from raysgpo.weights.checksums import ChecksumMismatch, named_checksums
from raysgpo.weights.group import Chunk, Place, Rendezvous, WeightGroup, join, packed, patience
from raysgpo.weights.sender import Sender, Sending
from raysgpo.weights.store_transport import StoreTransport
from tests.serving.local_store import LocalStore
from tests.weights.fleet import Fleet, Replica
from tests.weights.publishing import parcels

pytestmark = pytest.mark.ray

CPU = torch.device("cpu")


def tensors(version: int = 0) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(version)
    return {
        "embed": torch.randn(64, 32, generator=generator),
        "bias": torch.randn(33, generator=generator).bfloat16(),
        "scalar": torch.tensor(3.5),
        "turned": torch.randn(8, 4, generator=generator).T,
    }


class Receiver:
    """One rank of an engine, in a thread."""

    def __init__(self, place: Place) -> None:
        self.found: dict[str, str] = {}
        self.error: BaseException | None = None
        self.thread = threading.Thread(target=self._run, args=(place,), daemon=True)
        self.thread.start()

    def _run(self, place: Place) -> None:
        try:
            self.group = join(place)
            for chunk in self.group.chunks():
                self.found |= named_checksums(chunk.tensors())
        except BaseException as error:
            self.error = error


def together(receivers: int, timeout: float = 10.0) -> tuple[WeightGroup, list[Receiver]]:
    rendezvous = Rendezvous("127.0.0.1", timeout)
    places = [
        Place("gloo", "127.0.0.1", rendezvous.port, rank, 1 + receivers, timeout, timeout)
        for rank in range(1 + receivers)
    ]
    ranks = [Receiver(place) for place in places[1:]]
    return rendezvous.enter(places[0]), ranks


@pytest.mark.parametrize("receivers", [0, 1, 3])
def test_every_rank_receives_the_same_bits(receivers: int) -> None:
    root, ranks = together(receivers)
    named = list(tensors().items())
    root.send(packed(parcels(named[:1]), CPU))
    root.send(packed(parcels(named[1:]), CPU))
    root.send_end()
    for rank in ranks:
        rank.thread.join(20)
        assert rank.error is None and rank.found == named_checksums(named)
    root.abort()


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from([torch.float32, torch.bfloat16, torch.int8]), st.integers(1, 70)), min_size=1)
)
def test_a_chunk_gives_back_what_was_packed(layout: list[tuple[torch.dtype, int]]) -> None:
    named = [(f"t{index}", torch.arange(size).to(dtype)) for index, (dtype, size) in enumerate(layout)]
    chunk = packed(parcels(named), CPU)
    assert all(torch.equal(one, other) for (_, one), (_, other) in zip(chunk.tensors(), named, strict=True))


def test_a_flipped_bit_in_a_chunk_is_refused_by_name() -> None:
    named = list(tensors().items())
    chunk = packed(parcels(named), CPU)
    chunk.data[chunk.specs[1].offset] ^= 1
    with pytest.raises(ChecksumMismatch, match="'bias'"):
        chunk.tensors()


def test_when_one_rank_gives_up_the_others_notice_at_once() -> None:
    root, ranks = together(2)
    root.send(packed(parcels([("w", torch.zeros(4))]), CPU))
    time.sleep(0.2)
    root.abort()
    started = time.monotonic()
    for rank in ranks:
        rank.thread.join(20)
        assert isinstance(rank.error, RuntimeError)
    assert time.monotonic() - started < 5
    with pytest.raises(RuntimeError, match="given up"):
        root.send_end()


def test_a_rank_that_never_comes_ends_the_meeting_at_its_deadline() -> None:
    rendezvous, started = Rendezvous("127.0.0.1", 1.0), time.monotonic()
    with pytest.raises(RuntimeError):
        rendezvous.enter(Place("gloo", "127.0.0.1", rendezvous.port, 0, 2, 1.0, 1.0))
    assert time.monotonic() - started < 20


def test_rank_0_silent_for_too_long_is_given_up() -> None:
    root, [rank] = together(1, timeout=1.0)
    rank.thread.join(20)
    assert isinstance(rank.error, RuntimeError)
    root.abort()


# --- sending ---


def test_a_receiver_that_stops_costs_the_patience_for_a_chunk_and_the_gathering_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(group, "CHUNK_PATIENCE", 0.5)
    monkeypatch.setattr(sender, "SEND_CHUNK", 1)
    rendezvous = Rendezvous("127.0.0.1", 10)
    place = Place("gloo", "127.0.0.1", rendezvous.port, 1, 2, 10, 10)
    stopped: list[WeightGroup] = []
    thread = threading.Thread(target=lambda: stopped.append(join(place)), daemon=True)
    thread.start()
    root = rendezvous.enter(Place("gloo", "127.0.0.1", place.port, 0, 2, 10, 10))
    sending, started = Sending(root), time.monotonic()
    gathered = 0
    for version in range(6):
        with_bytes = torch.zeros(4 * 2**20 + version)
        [parcel] = parcels([("w", with_bytes)], checksums=False)
        sending.add(parcel)
        gathered += 1
    sending.finish()
    assert gathered == 6 and sending.failure is not None
    assert patience(0) < time.monotonic() - started < 30


# --- membership ---


@pytest.fixture
def publish(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Any]]:
    """``publish(sender, version)`` -> report, with a store in an event loop of its own."""
    monkeypatch.setattr(epochs, "JOIN_DEADLINE", 8.0)
    monkeypatch.setattr(group, "CHUNK_PATIENCE", 1.0)
    monkeypatch.setattr("raysgpo.weights.push.ROLL_CALL", 0.5)
    monkeypatch.setattr("raysgpo.weights.push.LOOK", 0.1)
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, daemon=True).start()
    monkeypatch.setattr(
        sender, "result", lambda call, deadline: asyncio.run_coroutine_threadsafe(call, loop).result(deadline)
    )
    yield lambda one, version: one.publish(version, tensors(version).items(), 5.0)
    loop.call_soon_threadsafe(loop.stop)


def sender_to(fleet: Fleet, delta: bool = False) -> Sender:
    made = StoreTransport(LocalStore(), group="gloo", delta=delta).sender(fleet)
    assert isinstance(made, Sender)
    return made


def test_the_same_replicas_keep_their_group_and_others_get_a_new_one(publish: Callable[..., Any]) -> None:
    a, b, c = Replica("a"), Replica("b", ranks=2), Replica("c")
    fleet = Fleet(a, b)
    one = sender_to(fleet)
    epochs_seen = []
    for version, members in enumerate([[a, b], [a, b], [a, b, c], [a, c], [a, c]]):
        fleet.replicas = members
        report = publish(one, version)
        assert report.complete, report.failures
        assert report.landed == {member.name: version for member in members}
        assert all(member.found == named_checksums(tensors(version).items()) for member in members)
        epochs_seen.append(report.epochs)
    assert epochs_seen == [1, 1, 2, 3, 3]


def test_a_replica_that_came_back_under_another_epoch_is_asked_to_join_again(publish: Callable[..., Any]) -> None:
    a = Replica("a")
    one = sender_to(Fleet(a))
    assert publish(one, 0).epochs == 1
    a.epoch = ""  # its process was restarted
    assert publish(one, 1).epochs == 2


def test_a_mute_replica_costs_a_roll_call_and_no_group_with_it(publish: Callable[..., Any]) -> None:
    a, b = Replica("a"), Replica("b")
    one = sender_to(Fleet(a, b))
    assert publish(one, 0).complete
    b.fault, started = "mute", time.monotonic()
    report = publish(one, 1)
    assert time.monotonic() - started < 10
    assert (report.landed, report.epochs) == ({"a": 1}, 2)
    assert report.failures == ("replica b gave no answer to version 1: it did not answer the roll call",)
    b.fault = ""
    assert publish(one, 2).landed == {"a": 2, "b": 2}


def test_one_that_does_not_join_is_named_and_the_others_pull(publish: Callable[..., Any]) -> None:
    a, b = Replica("a"), Replica("b")
    b.fault = "late"
    one = sender_to(Fleet(a, b))
    report = publish(one, 0)
    assert report.landed == {"a": 0, "b": 0}, "they pulled"
    assert report.complete and "replica b: TimeoutError" in report.problems[0]
    again = publish(one, 1)
    assert again.failures == again.problems == () and again.epochs == report.epochs, (
        "the same replicas are not tried for ever"
    )


def test_a_replica_that_dies_in_a_broadcast_leaves_the_others_the_store(publish: Callable[..., Any]) -> None:
    a, b = Replica("a"), Replica("b")
    one = sender_to(Fleet(a, b))
    assert publish(one, 0).complete
    b.fault = "dies"
    report = publish(one, 1)
    assert report.landed.keys() <= {"a"}
    assert "broadcast of version 1 was given up" in report.problems[0]
    b.fault = ""
    report = publish(one, 2)
    assert report.complete and report.epochs == 2


def test_a_source_that_fails_in_the_middle_frees_the_receivers(publish: Callable[..., Any]) -> None:
    a = Replica("a")
    one = sender_to(Fleet(a))

    def breaking() -> Iterator[tuple[str, torch.Tensor]]:
        yield "w", torch.zeros(3)
        raise ValueError("the gathering failed")

    started = time.monotonic()
    with pytest.raises(ValueError, match="the gathering failed"):
        one.publish(0, breaking(), 5.0)
    assert time.monotonic() - started < 10
    assert publish(one, 1).landed == {"a": 1}


@pytest.mark.parametrize("silent", ["begin", "publish"])
def test_a_store_that_does_not_answer_ends_the_publish_at_its_deadline(
    publish: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, silent: str
) -> None:
    answered = sender.result

    def result(call: Any, deadline: float) -> Any:
        if call.__qualname__.endswith(silent):
            call.close()
            raise ray.exceptions.GetTimeoutError(f"nothing within {deadline:g} s")
        return answered(call, deadline)

    monkeypatch.setattr(sender, "result", result)
    gathered: list[str] = []

    def gathering() -> Iterator[tuple[str, torch.Tensor]]:
        for name, tensor in tensors().items():
            gathered.append(name)
            yield name, tensor

    a = Replica("a")
    with pytest.raises(RuntimeError, match="did not take version 0: nothing within 5 s"):
        sender_to(Fleet(a)).publish(0, gathering(), 5.0)
    assert len(gathered) == (0 if silent == "begin" else 4)


def test_chunks_are_of_the_size_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sender, "SEND_CHUNK", 100)
    sent: list[Chunk] = []

    class Recording:
        device = CPU

        def send(self, chunk: Chunk) -> None:
            sent.append(chunk)

        def send_end(self) -> None:
            pass

    sending: Any = Sending(Recording())  # type: ignore[arg-type]
    for index, size in enumerate([10, 10, 50, 5]):
        tensor = torch.zeros(size)
        sending.add(*parcels([(str(index), tensor)]))
    sending.finish()
    assert [[spec.name for spec in chunk.specs] for chunk in sent] == [["0", "1"], ["2"], ["3"]]


# --- only what has changed ---


def slowly(version: int) -> dict[str, torch.Tensor]:
    """One number in fifty differs from the version before."""
    made = {name: tensor.clone() for name, tensor in tensors().items()}
    for step in range(version):
        for tensor in made.values():
            flat = tensor.view(-1) if tensor.is_contiguous() else None
            if flat is not None:
                flat[step::50] += 1
    return made


def test_with_delta_fewer_bytes_bring_the_same_bits(publish: Callable[..., Any]) -> None:
    a, b = Replica("a", ranks=2), Replica("b")
    fleet = Fleet(a)
    one = sender_to(fleet, delta=True)
    sent = []
    for version, members in enumerate([[a], [a], [a], [a, b], [a, b]]):
        fleet.replicas = members
        report = one.publish(version, slowly(version).items(), 5.0)
        assert report.complete and not report.problems, report
        for member in members:
            assert member.found == named_checksums(slowly(version).items())
        sent.append(report.sent_bytes / report.num_bytes)
    assert sent[0] == sent[3] == 1.0, "a new group has nothing to add changes to"
    assert max(sent[1], sent[2], sent[4]) < 0.2


def test_after_a_broadcast_that_failed_the_whole_is_sent_again(publish: Callable[..., Any]) -> None:
    a = Replica("a")
    one = sender_to(Fleet(a), delta=True)
    for version in (0, 1):
        one.publish(version, slowly(version).items(), 5.0)
    a.fault = "dies"
    one.publish(2, slowly(2).items(), 5.0)
    a.fault = ""
    report = one.publish(3, slowly(3).items(), 5.0)
    assert report.complete and report.sent_bytes == report.num_bytes
    assert a.found == named_checksums(slowly(3).items())
