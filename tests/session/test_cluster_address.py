"""An address at which no cluster answers is said within seconds, before Ray waits for it."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc
import pytest
from ray._private import services
from ray.exceptions import AuthenticationError

from raysgpo.config.overrides import ConfigError
from raysgpo.session import cluster_address
from raysgpo.session.cluster_address import QUESTION, check_cluster_address
from raysgpo.session.ray_session import ray_session as session


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
    with pytest.raises(ConfigError) as caught, session():
        pass
    assert str(caught.value) == (
        f"RAY_ADDRESS={address}: no Ray cluster answers there (Connection refused): unset RAY_ADDRESS to start Ray on "
        "this machine, or set it to HOST:PORT of a running cluster's head"
    )


class Head(grpc.GenericRpcHandler):
    """Answers the first question of a node, and no other."""

    def __init__(self, token: str | None = None) -> None:
        """``token``: the one that it wants; None takes anybody."""
        self._token = token

    def service(self, details: Any) -> Any:
        return grpc.unary_unary_rpc_method_handler(self._answer) if details.method == QUESTION else None

    def _answer(self, question: bytes, context: Any) -> bytes:
        if self._token is not None and ("authorization", f"Bearer {self._token}") not in context.invocation_metadata():
            context.abort(grpc.StatusCode.UNAUTHENTICATED, "no")
        return b""


@contextmanager
def grpc_server(*handlers: grpc.GenericRpcHandler) -> Iterator[str]:
    server = grpc.server(ThreadPoolExecutor(1), handlers=handlers)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}"
    server.stop(0)


def test_what_answers_and_is_no_head_is_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    for stranger in (listener(), grpc_server()):
        with stranger as address:
            monkeypatch.setenv("RAY_ADDRESS", address)
            assert "no Ray cluster answers there (another program listens)" in refused()


def test_a_head_that_takes_anybody_is_joined_with_a_word_whatever_proxy_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    with grpc_server(Head()) as address:
        monkeypatch.setenv("RAY_ADDRESS", address)
        warning = check_cluster_address()
    assert warning is not None and f"{address} asks for no token" in warning and "RAY_AUTH_MODE=token" in warning


@pytest.mark.parametrize(
    ("shown", "told"),
    [("right", None), ("wrong", "the one that is here is another's"), ("", "there is none here")],
)
def test_a_head_that_wants_its_token_gets_it_or_is_not_joined(
    shown: str, told: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Loaders:
        instance = staticmethod(lambda: Loaders())

        def get_raw_token(self, ignore_auth_mode: bool) -> str:
            return shown

    monkeypatch.setattr(cluster_address, "AuthenticationTokenLoader", Loaders)
    with grpc_server(Head(token="right")) as address:
        monkeypatch.setenv("RAY_ADDRESS", address)
        if told is None:
            assert check_cluster_address() is None
        else:
            assert refused() == (
                f"the cluster at {address} asks for its token, and {told}: export RAY_AUTH_MODE=token, and "
                "RAY_AUTH_TOKEN_PATH=FILE with the cluster's token (cluster/README.md)"
            )


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


HOME = "; HOME=/home/none must be a folder that takes files"


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (FileNotFoundError(2, "No such file", "/home/none/.ray"), f"[Errno 2] No such file: '/home/none/.ray'{HOME}"),
        (ConnectionError("no head\nthere"), "no head there"),
        (RuntimeError("another\nversion"), "another version"),
        (AuthenticationError("no token"), "no token"),
    ],
)
def test_ray_that_cannot_start_is_one_line(error: Exception, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(**_: object) -> None:
        raise error

    monkeypatch.setattr("ray.init", fail)
    monkeypatch.setenv("HOME", "/home/none")
    with pytest.raises(ConfigError) as caught, session():
        pass
    said = str(caught.value)
    assert said.startswith(f"Ray cannot start or be joined: {message}") and "\n" not in said
    assert said.endswith(HOME) == message.endswith(HOME)
