"""The rollout deployment as a Sampler: whatever goes wrong in the replica's process becomes SamplingFailed."""

from __future__ import annotations

from ray.exceptions import RayError
from ray.serve.exceptions import RayServeException

from raysgpo.groups.retrying_sampler import Sampler, SamplingFailed
from raysgpo.records import Completion, SampleRequest
from raysgpo.serving.handle import RolloutHandle


def serve_sampler(handle: RolloutHandle) -> Sampler:
    async def sample(request: SampleRequest) -> list[Completion]:
        try:
            return await handle.sample.remote(request)
        except (RayError, RayServeException) as error:
            last_line = (str(error).strip() or "no message").splitlines()[-1]
            raise SamplingFailed(f"{type(error).__name__}: {last_line}") from error

    return sample
