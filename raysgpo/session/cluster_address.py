"""Is there a cluster at the address that Ray would join? Ray itself waits a quarter of an hour before it says no."""

from __future__ import annotations

import os
import socket

import grpc
import ray
from ray._private import services

from raysgpo.config.overrides import ConfigError

VARIABLE = "RAY_ADDRESS"
DEADLINE = 10.0
"""Seconds for the cluster to answer."""
QUESTION = "/ray.rpc.NodeInfoGcsService/GetClusterId"
"""What every node asks a head first; the question itself is empty."""
STRANGERS = (grpc.StatusCode.UNIMPLEMENTED, grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
"""How no head answers; one that wants a token, say, is there."""
MEND = f"unset {VARIABLE} to start Ray on this machine, or set it to HOST:PORT of a running cluster's head"


def check_cluster_address() -> None:
    """Return if Ray would start here, has started, or would join a cluster that answers.

    Raises:
        ConfigError: no cluster answers there, or it is no address that a run can join.
    """
    if ray.is_initialized():
        return
    named = os.environ.get(VARIABLE, "")
    if "://" in named:
        raise ConfigError(f"{VARIABLE}={named}: a run joins its cluster at HOST:PORT, or as ray job submit; {MEND}")
    try:
        address = services.canonicalize_bootstrap_address(None)
        if address is None or (fault := _fault(address)) is None:
            return
    except (ValueError, OSError) as error:
        raise ConfigError(f"{VARIABLE}={named}: {str(error).splitlines()[0]}; {MEND}") from None
    if named:
        raise ConfigError(f"{VARIABLE}={named}: no Ray cluster answers there ({fault}): {MEND}")
    raise ConfigError(
        f"the cluster that ray start began on this machine does not answer at {address} ({fault}): start it again, or "
        "forget it with ray stop"
    )


def _fault(address: str) -> str | None:
    """Why nobody answers there as a Ray head does; None if somebody does. Raises ValueError for a port that is none."""
    host, _, port = address.rpartition(":")
    place = (host.strip("[]"), int(port))
    try:
        socket.create_connection(place, DEADLINE).close()
    except OSError as error:
        return error.strerror or str(error)
    if os.environ.get("RAY_USE_TLS", "0") != "0":
        return None  # its certificates are Ray's own matter
    with grpc.insecure_channel(address, options=[("grpc.enable_http_proxy", 0)]) as channel:
        try:
            channel.unary_unary(QUESTION)(b"", timeout=DEADLINE, wait_for_ready=True)
        except grpc.RpcError as error:
            if error.code() in STRANGERS:
                return "another program listens"
    return None
