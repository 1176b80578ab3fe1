"""The rollout replicas as a Sampler: whatever goes wrong in a replica's process becomes SamplingFailed."""

from __future__ import annotations

import asyncio

from ray.exceptions import RayActorError, RayError
from ray.serve.exceptions import RayServeException

from raysgpo.groups.retrying_sampler import Answer, ReplicasUnavailable, Sampler, SamplingFailed
from raysgpo.records import SampleRequest
from raysgpo.serving.handle import RolloutService
from raysgpo.serving.replica import ReplicaBroken


def serve_sampler(rollout: RolloutService) -> Sampler:
    """A request that nobody waits for any more is cancelled in the replica too."""

    async def sample(request: SampleRequest) -> Answer:
        response = rollout.handle.options(stream=True).sample.remote(request, rollout.run_id)
        answered = False
        try:
            async for said in response:
                answered = isinstance(said, list)
                yield said
        except (asyncio.CancelledError, GeneratorExit):
            if not answered:
                response.cancel()
            raise
        except (RayActorError, RayServeException, ReplicaBroken) as error:
            raise ReplicasUnavailable(_reason(error)) from error
        except RayError as error:
            raise SamplingFailed(_reason(error)) from error

    return sample


def _reason(error: Exception) -> str:
    last_line = (str(error).strip() or "no message").splitlines()[-1]
    return f"{type(error).__name__}: {last_line}"
