"""What every Serve application of ours needs: Serve itself, a wait for the start, an account, an end."""

from __future__ import annotations

import contextlib
import logging
import socket
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import ray
from ray import serve
from ray.exceptions import RayError
from ray.serve._private.application_state import StatusOverview
from ray.serve._private.common import DeploymentStatusInfo
from ray.serve.config import ProxyLocation
from ray.serve.context import _get_global_client
from ray.serve.generated.serve_pb2 import StatusOverview as StatusOverviewProto
from ray.serve.schema import ApplicationStatus, DeploymentStatus, LoggingConfig

from raysgpo.config.overrides import ConfigError
from raysgpo.serving.replica_log import replica_log
from raysgpo.serving.start_failure import EngineSettings, is_elsewhere, last_error, mend

log = logging.getLogger(__name__)

FORCED_DELETE = 20.0
"""Seconds that a forced removal may take before we go on without it."""
POLL_PERIOD = 0.1
"""Seconds between looks at an application."""
REPORT_PERIOD = 60.0
"""Seconds between words about what the start waits for."""
HTTP_PORT = 8000
"""Where Serve listens if the head is another machine than this."""
UNPLACED = "to be scheduled"
"""In Serve's message of a deployment whose replicas have waited for a place for 30 s."""
NO_ROOM = "the cluster has no room for it"
"""Why a replica does not come up, for messages."""
LOOK_EVERY = 10.0
"""Seconds from one question to Serve's controller to the next, while a run goes on."""


def quiet_logging() -> LoggingConfig:
    return LoggingConfig(log_level="WARNING", enable_access_log=False)


def start_serve(*, http: bool) -> None:
    """Serve on this cluster, unless it runs already; with ``http``, a proxy on the head node.

    Raises:
        ConfigError: Serve runs already and answers no HTTP.
    """
    logging.getLogger("ray.serve").setLevel(logging.WARNING)
    location = ProxyLocation.HeadOnly if http else ProxyLocation.Disabled
    host = head_address()
    options = {"host": host, "port": _free_port(host)} if http else None
    serve.start(proxy_location=location, http_options=options, logging_config=quiet_logging())
    if http and _http_options().location == ProxyLocation.Disabled:
        raise ConfigError(
            "Ray Serve runs on this cluster without HTTP, which judge.kind=replicas needs, and it cannot be added: "
            "wait for the run that started it to end, or set judge=endpoint"
        )


def http_address() -> str:
    """Such as ``http://10.0.0.5:8000``: Serve's proxy on the head node."""
    options = _http_options()
    host = head_address() if options.host in ("0.0.0.0", "::", None) else options.host
    return f"http://{host}:{options.port}"


def _http_options() -> serve.HTTPOptions:
    return _get_global_client().http_config


def head_address() -> str:
    """The head node's address within the cluster."""
    heads = [node for node in ray.nodes() if node["Alive"] and "node:__internal_head__" in node["Resources"]]
    assert heads, "a Ray cluster has a head node"
    return str(heads[0]["NodeManagerAddress"])


def _free_port(host: str) -> int:
    """One that the system picks. Serve lets others listen on its port as well, so two runs that start at the same
    moment and both find a well-known one free would get one another's questions."""
    with socket.socket() as one, contextlib.suppress(OSError):
        one.bind((host, 0))
        return int(one.getsockname()[1])
    return HTTP_PORT  # the head is another machine, whose ports cannot be tried from here


@dataclass(frozen=True, slots=True)
class Start:
    """An application that is coming up."""

    name: str
    what: str
    """For messages: such as ``rollout replicas``."""
    deadline: float
    setting: str
    """The setting that holds the deadline."""
    needs: str
    """What it asks of the cluster, for messages."""
    engine: EngineSettings
    """What its replicas run, for messages."""


class ServeSaid(Exception):
    """The whole of what Serve says of a failed start, for the trace that is kept."""


def wait_until_running(start: Start, report: Callable[[str], None] = log.warning) -> None:
    """Return once the application runs; take it down if it does not. ``report``: told now and then what for.

    Raises:
        ConfigError: its engines cannot start with these settings, which another try would not change.
        RuntimeError: its replicas failed to start.
        TimeoutError: they were not up within the deadline, with what Serve says of why.
    """
    try:
        _wait(start, report)
    except (ConfigError, RuntimeError, TimeoutError):
        delete(start.name, deadline=0.0)
        raise


def _wait(start: Start, report: Callable[[str], None]) -> None:
    started = reported = time.monotonic()
    heard = ""
    while True:
        overview = _overview(start.name)
        status = overview.app_status.status
        if status == ApplicationStatus.RUNNING:
            return
        now = time.monotonic()
        said = "\n".join(error for deployment in overview.deployment_statuses if (error := _error(deployment.message)))
        if said and said != heard:  # the first of several tries may be enough to know
            heard, trace = said, whole_trace(said)
            if (line := mend(trace, start.engine)) is not None:
                raise ConfigError(line) from ServeSaid(trace)
        if status == ApplicationStatus.DEPLOY_FAILED:
            why = last_error(trace) if heard else describe(start.name)
            raise RuntimeError(f"the {start.what} failed to start: {why}") from ServeSaid(trace if heard else why)
        if now - started > start.deadline:
            raise TimeoutError(
                f"the {start.what} were not up within {start.setting}={start.deadline:g} s: "
                f"{describe(start.name)}; {_resources(start)}"
            )
        if now - reported > REPORT_PERIOD:
            reported = now
            report(f"waiting for the {start.what}: {_counts(start.name)}; {_resources(start)}")
        time.sleep(POLL_PERIOD)


def whole_trace(said: str) -> str:
    """An error of Serve's, and where that is of another process of the engine, what its log has."""
    return f"{said}\n{replica_log(said)}" if is_elsewhere(said) else said


def _error(message: str) -> str:
    """What Serve's message of a deployment says after ``Error:``; empty if it tells of none."""
    return message.partition("Error:\n")[2]


def _overview(name: str) -> StatusOverview:
    """What Serve says of an application, NOT_STARTED if it knows none, and of its deployments.

    ``serve.status`` says more and pickles classes for it, which costs a tenth of a second of a core: asked all
    the time, it would take from the replicas the very cores that they start on.
    """
    overview: StatusOverview = _get_global_client().get_serve_status(name)
    return overview


def is_known(name: str) -> bool:
    """Whether Serve has an application of that name, in whatever state."""
    return bool(_overview(name).app_status.status != ApplicationStatus.NOT_STARTED)


class Watch:
    """Whether Serve goes on with an application. It gives up after a few replicas that died in starting, and a
    controller that was started again itself does not know of those that ran before."""

    def __init__(self, name: str) -> None:
        self.held_back: str | None = None
        """Why a replica that load called for, beside those that run, does not come up, by the last answer."""
        self._name = name
        self._pending: ray.ObjectRef | None = None
        self._asked = time.monotonic()

    def has_given_up(self) -> bool:
        """By the last answer, once; asks every ``LOOK_EVERY`` seconds and never waits."""
        if self._pending is None:
            if time.monotonic() - self._asked > LOOK_EVERY:
                self._asked = time.monotonic()
                self._pending = _get_global_client()._controller.get_serve_status.remote(self._name)
            return False
        if not ray.wait([self._pending], timeout=0)[0]:
            return False
        pending, self._pending = self._pending, None
        try:
            said = StatusOverview.from_proto(StatusOverviewProto.FromString(ray.get(pending)))
        except RayError:  # the controller is being started again
            return False
        self.held_back = next(filter(None, map(_held_back, said.deployment_statuses)), None)
        return bool(said.app_status.status == ApplicationStatus.DEPLOY_FAILED)


def _held_back(deployment: DeploymentStatusInfo) -> str | None:
    if deployment.status != DeploymentStatus.UPSCALING:
        return None
    if UNPLACED in deployment.message:
        return NO_ROOM
    error = _error(deployment.message)
    return f"it fails to start: {last_error(error)}" if error else None


def _resources(start: Start) -> str:
    """What the application needs, and what the cluster has and has free."""
    total, free = ray.cluster_resources(), ray.available_resources()
    have = ", ".join(f"{free.get(kind, 0):g} of {total.get(kind, 0):g} {kind}" for kind in ("CPU", "GPU"))
    return f"{start.needs}, and the cluster has {have} free"


def describe(name: str) -> str:
    """What Serve says of an application: number of replicas by state, and its messages."""
    application = serve.status().applications.get(name)
    if application is None:
        return f"Serve knows no application {name!r}"
    parts = [f"application {application.status.value}", application.message, f"replicas: {_counts(name)}"]
    parts += [deployment.message for deployment in application.deployments.values()]
    return "; ".join(dict.fromkeys(_in_line(part) for part in parts if part.strip()))


def _in_line(message: str) -> str:
    """In one line, a trace in it shortened to its error."""
    before = " ".join(message.partition("Error:\n")[0].split())
    return f"{before} {last_error(error)}" if (error := _error(message)) else before


def _counts(name: str) -> str:
    """Such as ``1 RUNNING, 2 STARTING``."""
    application = serve.status().applications.get(name)
    states = Counter[str]()
    for deployment in application.deployments.values() if application is not None else ():
        states.update({str(state): count for state, count in deployment.replica_states.items()})
    return ", ".join(f"{count} {state}" for state, count in states.items() if count) or "none yet"


def delete(name: str, deadline: float = 30.0) -> None:
    """Take an application down: within ``deadline`` seconds after its requests, then by force.

    Replicas that wait for resources can only go by force: Serve would ask them politely, and wait.
    """
    serve.delete(name, _blocking=False)
    started = time.monotonic()
    while is_known(name):
        elapsed = time.monotonic() - started
        if elapsed > deadline + FORCED_DELETE:
            log.warning("application %s is still there: %s", name, describe(name))
            return
        if elapsed > deadline:
            _kill_replicas(name)
        time.sleep(POLL_PERIOD)


def _kill_replicas(name: str) -> None:
    for actor in ray.util.list_named_actors(all_namespaces=True):
        if actor["name"].startswith(f"SERVE_REPLICA::{name}#"):
            with contextlib.suppress(ValueError):  # It went in this moment.
                ray.kill(ray.get_actor(actor["name"], namespace=actor["namespace"]))
