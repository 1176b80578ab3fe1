"""An address at which no cluster answers is said within seconds, before Ray waits for it."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import grpc
import pytest
from ray._private import services

from raysgpo.config.overrides import ConfigError
from raysgpo.session import cluster_address
from raysgpo.session.cluster_address import check_cluster_address
from raysgpo.session.ray_session import ray_session


@pytest.fixture(autouse=True)
def no_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever runs on this machine."""
    monkeypatch.setattr("ray.is_initialized", lambda: False)
    monkeypatch.setattr(services, "find_gcs_addresses", lambda: set())
    monkeypatch.setattr(services, "find_bootstrap_address", lambda folder: None)
    monkeypatch.setattr(services, "resolve_ip_for_localhost", lambda host: host)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(cluster_address, "DEADLINE", 0.5)


@contextmanager
def listener() -> Iterator[str]:
    """A port where something listens and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


def refused() -> str:
    with pytest.raises(ConfigError) as caught:
        check_cluster_address()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_without_an_address_ray_starts_here() -> None:
    check_cluster_address()


def test_a_stale_address_is_named_with_the_fix_and_ray_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    with listener() as address:
        pass
    monkeypatch.setenv("RAY_ADDRESS", address)
    monkeypatch.setattr("ray.init", lambda **_: pytest.fail("Ray was asked"))
    with pytest.raises(ConfigError) as caught, ray_session():
        pass
    assert str(caught.value) == (
        f"RAY_ADDRESS={address}: no Ray cluster answers there (Connection refused): unset RAY_ADDRESS to start Ray on "
        "this machine, or set it to HOST:PORT of a running cluster's head"
    )


def test_what_answers_and_is_no_cluster_is_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    with listener() as address:
        monkeypatch.setenv("RAY_ADDRESS", address)
        assert "no Ray cluster answers there (another program listens)" in refused()
    server = grpc.server(ThreadPoolExecutor(1))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{port}")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    check_cluster_address()
    server.stop(0)


def test_what_ray_start_left_behind_is_told_apart_too(monkeypatch: pytest.MonkeyPatch) -> None:
    with listener() as address:
        pass
    monkeypatch.setattr(services, "find_bootstrap_address", lambda folder: address)
    assert refused() == (
        f"the cluster that ray start began on this machine does not answer at {address} (Connection refused): start it "
        "again, or forget it with ray stop"
    )


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("http://127.0.0.1:8265", "a run joins its cluster at HOST:PORT, or as ray job submit"),
        ("ray://127.0.0.1:10001", "a run joins its cluster at HOST:PORT, or as ray job submit"),
        ("auto", "Could not find any running Ray instance"),
        ("nonsense", ""),
        ("127.0.0.1:port", ""),
    ],
)
def test_what_is_no_address_of_a_head_is_refused(address: str, why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", address)
    message = refused()
    assert message.startswith(f"RAY_ADDRESS={address}: {why}") and "unset RAY_ADDRESS" in message


@pytest.mark.parametrize(
    "error",
    [FileNotFoundError(2, "No such file or directory", "/home/none/.ray"), RuntimeError("Version\nmismatch")],
)
def test_ray_that_cannot_start_is_one_line(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(**_: object) -> None:
        raise error

    monkeypatch.setattr("ray.init", fail)
    monkeypatch.setenv("HOME", "/home/none")
    with pytest.raises(ConfigError, match=r"^Ray cannot start or .*; HOME=/home/none must be") as caught, ray_session():
        pass
    assert "\n" not in str(caught.value)
