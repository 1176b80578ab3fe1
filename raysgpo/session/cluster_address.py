"""Is there a cluster at the address that Ray would join? Ray itself waits a quarter of an hour before it says no."""

from __future__ import annotations

import os
import socket

import grpc
import ray
from ray._private import services
from ray._raylet import AuthenticationTokenLoader

from raysgpo.config.overrides import ConfigError

VARIABLE = "RAY_ADDRESS"
DEADLINE = 10.0
"""Seconds for the cluster to answer."""
QUESTION = "/ray.rpc.NodeInfoGcsService/GetClusterId"
"""What every node asks a head first; the question itself is empty."""
STRANGERS = (grpc.StatusCode.UNIMPLEMENTED, grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
"""How no head answers; one that wants a token is there."""
MEND = f"unset {VARIABLE} to start Ray on this machine, or set it to HOST:PORT of a running cluster's head"


def starts_here() -> bool:
    """Whether Ray would start a cluster of its own on this machine."""
    return not ray.is_initialized() and services.canonicalize_bootstrap_address(None) is None


def check_cluster_address() -> str | None:
    """Return if Ray would start here, has started, or would join a cluster that takes this process; with a warning
    where that one takes anybody.

    Raises:
        ConfigError: no cluster answers there, it wants another token, or it is no address that a run can join.
    """
    if ray.is_initialized():
        return None
    named = os.environ.get(VARIABLE, "")
    if "://" in named:
        raise ConfigError(f"{VARIABLE}={named}: a run joins its cluster at HOST:PORT, or as ray job submit; {MEND}")
    try:
        address = services.canonicalize_bootstrap_address(None)
        if address is None:
            return None
        answer, fault = _answer(address)
    except (ValueError, OSError) as error:
        raise ConfigError(f"{VARIABLE}={named}: {str(error).splitlines()[0]}; {MEND}") from None
    if fault is None:
        return _at_the_door(address, answer)
    if named:
        raise ConfigError(f"{VARIABLE}={named}: no Ray cluster answers there ({fault}): {MEND}")
    raise ConfigError(
        f"the cluster that ray start began on this machine does not answer at {address} ({fault}): start it again, or "
        "forget it with ray stop"
    )


def _answer(address: str) -> tuple[grpc.StatusCode | None, str | None]:
    """How the head answers to who shows no token, None where only Ray could ask; and why no head is there, if none is.

    Raises ValueError for a port that is none.
    """
    host, _, port = address.rpartition(":")
    place = (host.strip("[]"), int(port))
    try:
        socket.create_connection(place, DEADLINE).close()
    except OSError as error:
        return None, error.strerror or str(error)
    if os.environ.get("RAY_USE_TLS", "0") != "0":
        return None, None  # its certificates are Ray's own matter
    answer = _asked(address, None)
    return answer, "another program listens" if answer in STRANGERS else None


def _at_the_door(address: str, answer: grpc.StatusCode | None) -> str | None:
    """A warning of a cluster that asks for no token. Raises ConfigError: it asks for another."""
    if answer == grpc.StatusCode.OK:
        return (
            f"warning: the cluster at {address} asks for no token, so whoever reaches it can run code there: start it "
            "with RAY_AUTH_MODE=token (cluster/README.md)"
        )
    token = AuthenticationTokenLoader.instance().get_raw_token(ignore_auth_mode=True)
    if answer == grpc.StatusCode.UNAUTHENTICATED and (not token or _asked(address, token) == answer):
        lacks = "there is none here" if not token else "the one that is here is another's"
        raise ConfigError(
            f"the cluster at {address} asks for its token, and {lacks}: export RAY_AUTH_MODE=token, and "
            "RAY_AUTH_TOKEN_PATH=FILE with the cluster's token (cluster/README.md)"
        )
    return None


def _asked(address: str, token: str | None) -> grpc.StatusCode:
    """How the head answers to who shows this token."""
    shown = [("authorization", f"Bearer {token}")] if token else []
    with grpc.insecure_channel(address, options=[("grpc.enable_http_proxy", 0)]) as channel:
        try:
            channel.unary_unary(QUESTION)(b"", timeout=DEADLINE, wait_for_ready=True, metadata=shown)
        except grpc.RpcError as error:
            return error.code()
    return grpc.StatusCode.OK
