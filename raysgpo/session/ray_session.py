"""Connecting to Ray, with its chatter in log files."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path

import ray
from ray.exceptions import RayError

from raysgpo.config.overrides import ConfigError
from raysgpo.output.whole_file import writing
from raysgpo.serving.http_key import CALLBACK
from raysgpo.session.cluster_address import check_cluster_address, starts_here
from raysgpo.session.interrupts import Say

QUIET_LOGGERS = ("ray", "ray.serve", "ray.data", "ray.train", "ray.tune", "vllm", "httpx", "transformers")

DRIVER_LOG = "raysgpo-driver.out"
SPARED = {
    "RAY_prestart_worker_first_driver": "0",  # Workers without the run's environment, so of no use to it.
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",  # Nobody announces that this machine goes.
}
"""Processes that a cluster started for one run on this machine need not start."""


@contextmanager
def ray_session(say: Say = print) -> Iterator[Path]:
    """Join the cluster of ``RAY_ADDRESS`` or the one started on this machine, else start one here.

    Yields Ray's log folder. On leaving, a cluster started here ends with the run; on another the
    run's own actors and deployments are gone.

    Ray prints what raylets report (a worker died, a call is sent again) into the driver's standard
    output, whatever its settings. So ``sys.stdout`` is ``raysgpo-driver.out`` in the log folder
    until the session ends; who has something to tell keeps the stream of before.

    Raises:
        ConfigError: no cluster answers at the address, or Ray cannot start.
    """
    if (warning := check_cluster_address()) is not None:
        say(warning)
    for name in QUIET_LOGGERS:
        logging.getLogger(name).setLevel(logging.ERROR)
    if starts_here():
        for name, value in SPARED.items():
            os.environ.setdefault(name, value)
    # Three processes on two cores: idle threads must sleep, not spin.
    threads = {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
    # A proxy that is not up after five seconds is killed and started again, which on a busy machine has no end.
    patience = {"RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S": "60"}
    # A replica that hangs would otherwise keep its GPU for as long as the longest generation may take.
    patience["RAY_SERVE_FORCE_STOP_UNHEALTHY_REPLICAS"] = "1"
    # Judge replicas answer those alone who have the cluster's key.
    guarded = {name: os.environ.get(name, value) for name, value in CALLBACK.items()}
    try:
        context = ray.init(
            ignore_reinit_error=True,
            log_to_driver=False,
            logging_level=logging.ERROR,
            runtime_env={"env_vars": {**threads, **patience, **guarded, "TOKENIZERS_PARALLELISM": "false"}},
        )
    except (OSError, RuntimeError, RayError) as error:  # no place for its token or its files, another version of Ray
        said = " ".join(str(error).split())[:300]
        file = isinstance(error, OSError) and error.filename is not None
        home = f"; HOME={os.environ.get('HOME')} must be a folder that takes files" if file else ""
        raise ConfigError(f"Ray cannot start or be joined: {said}{home}") from None
    logs = Path(context.address_info["session_dir"]) / "logs"
    with (logs / DRIVER_LOG).open("a", encoding="utf-8") as chatter, redirect_stdout(chatter):
        try:
            yield logs
        finally:
            ray.shutdown()


def link_logs(logs: Path, folder: Path) -> None:
    """``logs`` in the run folder leads to Ray's log files of this machine."""
    link = folder / "logs"
    with writing(link, 0):
        link.unlink(missing_ok=True)
        os.symlink(logs, link, target_is_directory=True)
