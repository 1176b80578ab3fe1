"""A driver that is killed leaves no application on a cluster that goes on."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from tests.patience import PATIENCE

pytestmark = pytest.mark.ray

DRIVER = """
import sys, time
import ray
from ray import serve
ray.init(address=sys.argv[1], namespace="serve", log_to_driver=False)
from raysgpo.session.reaper import reaping, started_here
assert not started_here()

@serve.deployment(ray_actor_options={"num_cpus": 0})
class Nothing:
    pass

with reaping(["left-behind"]):
    serve.run(Nothing.bind(), name="left-behind", route_prefix=None)
    print("up", flush=True)
    time.sleep(600)
"""


def test_its_applications_go_when_a_driver_is_killed(ray_session: None) -> None:
    import ray
    from ray import serve

    from raysgpo.serving.application import start_serve
    from raysgpo.session.reaper import driver_is_gone, started_here

    assert started_here()
    assert not driver_is_gone(ray.get_runtime_context().get_job_id())
    start_serve(http=False)
    address = ray.get_runtime_context().gcs_address
    driver = subprocess.Popen([sys.executable, "-c", DRIVER, address], stdout=subprocess.PIPE, text=True)
    try:
        assert driver.stdout is not None and "up\n" in driver.stdout, "Ray may say something before it"
        assert "left-behind" in serve.status().applications
        reaper = ray.get_actor("reaper left-behind", namespace="raysgpo")
        ray.kill(reaper, no_restart=False)  # as with the node that it was on: another one watches
    finally:
        driver.kill()
        driver.wait()
    until = time.monotonic() + PATIENCE
    while "left-behind" in serve.status().applications:
        assert time.monotonic() < until, "it was left behind"
        time.sleep(0.2)
