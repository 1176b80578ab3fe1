"""What vLLM does with answers under way when new weights come: kept with their keys and values, or waited for.

That they are computed again, the default, is shown where the rest of a replica is (tests/serving/test_vllm.py).
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np
import pytest

from raysgpo.records import Completion, SampleRequest
from raysgpo.serving.application import delete
from tests.rollouts import Sampled
from tests.serving.test_vllm import PROMPT, Stack, random_policy, reference_logprobs

pytestmark = [pytest.mark.real, pytest.mark.timeout(600)]


@pytest.fixture(params=["keep_cache", "drain"])
def stack(
    request: pytest.FixtureRequest, ray_session: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    stack = Stack(random_policy(0), tmp_path_factory.mktemp("policy0"), f"rollout-{request.param}", request.param)
    stack.publish(random_policy(1))
    yield stack
    delete(stack.name)


def exact(stack: Stack, completion: Completion) -> None:
    """It is the newest policy's, from the first token on."""
    assert completion.weight_versions == ((stack.version, len(completion.token_ids_T)),)
    wanted_T = reference_logprobs(stack.policy, completion, 1.0)
    np.testing.assert_allclose(completion.logprobs_T, wanted_T, atol=2e-5, rtol=0)


def test_answers_under_way_and_those_that_come_after(stack: Stack) -> None:
    first, before = stack.policy, stack.version
    running = Sampled(stack.handle, SampleRequest(PROMPT, tuple(range(16)), 200, 1.0, min_version=before))
    time.sleep(0.3)
    stack.publish(random_policy(3))
    for completion in stack.sample():
        exact(stack, completion)  # the prompt's keys and values are not those of the old weights
    completions = running.result(timeout_s=100)
    if "drain" in stack.name:
        assert all(len(one.weight_versions) == 1 and one.weight_versions[0][0] == before for one in completions)
        for completion in completions:
            wanted_T = reference_logprobs(first, completion, 1.0)
            np.testing.assert_allclose(completion.logprobs_T, wanted_T, atol=2e-5, rtol=0)
        return
    gaps = []
    for completion in completions:
        versions_T = np.repeat(*np.asarray(completion.weight_versions).T)
        old_T, new_T = (reference_logprobs(policy, completion, 1.0) for policy in (first, stack.policy))
        old = versions_T == before
        np.testing.assert_allclose(completion.logprobs_T[old], old_T[old], atol=2e-5, rtol=0)
        gaps += list(np.abs(completion.logprobs_T[~old] - new_T[~old]))
    assert gaps, "no answer was under way: let them be longer"
    assert np.mean(gaps) > 1e-3, "behind the old weights' keys and values they are neither policy's"
