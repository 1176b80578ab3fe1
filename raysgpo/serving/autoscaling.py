"""What Ray Serve is told of a changing number of replicas.

What it counts are requests under way, of which a rollout replica's are groups:

    (S + 1) P |#####                #####
              |########             ########            the window opens, all of its groups begin;
              |###########          ###########         the longest answers end last;
            0 +-----------=========+-----------=====    none while the trainer trains (S = 0)

Their mean over LOOK_BACK decides. Where a step samples for minutes that follows the curve, so a replica joins where
many groups stay under way and leaves where few ever do; where it takes seconds it is the average load. The peaks
instead would start all replicas in every run, since every step begins with all of its groups.
"""

from __future__ import annotations

import math
from typing import Any

from raysgpo.config import RolloutConfig
from raysgpo.config.replica_bounds import ReplicaBounds

LOOK_BACK = {"look_back_period_s": 30.0}
"""Seconds that are averaged. Those who ask report every 10 s, and Serve wants more than one report in it."""


def replica_options(bounds: ReplicaBounds, **autoscaling: float) -> dict[str, Any]:
    """Of a deployment; ``autoscaling``: fields of Serve's ``AutoscalingConfig``, where the number may change."""
    fewest, most = bounds
    if fewest == most:
        return {"num_replicas": fewest}
    limits = {"min_replicas": fewest, "initial_replicas": fewest, "max_replicas": most}
    return {"autoscaling_config": limits | autoscaling}


def rollout_options(rollout: RolloutConfig, groups: int) -> dict[str, Any]:
    """``groups``: the most that a run has under way at a time; all replicas are there when as many are."""
    return replica_options(
        rollout.replicas,
        target_ongoing_requests=math.ceil(groups / rollout.replicas[1]),
        upscale_delay_s=rollout.upscale_delay,
        downscale_delay_s=rollout.downscale_delay,
        **LOOK_BACK,
    )
