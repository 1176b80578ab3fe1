"""The real vLLM behind a Serve replica: its numbers are transformers', and its weights the trainer's.

Two random policies; a replica starts from the first one's folder and is then given other weights.
Shape legend: _T tokens, _G seeds.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import ray
import torch
from numpy.typing import NDArray
from ray.serve.handle import DeploymentHandle

from raysgpo.config import RolloutConfig
from raysgpo.records import Completion, SampleRequest
from raysgpo.serving.application import delete
from raysgpo.serving.reloading import OnUpdate
from raysgpo.serving.replica import ReplicaState
from raysgpo.weights.checksums import named_checksums
from raysgpo.weights.store import start_weight_store
from raysgpo.weights.store_transport import StoreTransport
from tests.rollouts import Sampled, deploy_rollout

pytestmark = pytest.mark.full

END = 256
"""The end-of-turn token of the policies below."""
STOP = 259
"""Another special token, ``<|b|>``."""
PROMPT = [int(i) for i in np.random.default_rng(0).integers(0, 256, 300)]
"""Longer than two cache blocks of the CPU engine, so that a stale prefix cache would show."""


def random_policy(seed: int) -> Any:
    from transformers import Qwen2Config, Qwen2ForCausalLM

    torch.manual_seed(seed)
    settings = Qwen2Config(
        vocab_size=261,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=512,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=END,
        pad_token_id=END + 1,
        initializer_range=0.15,
    )
    return Qwen2ForCausalLM(settings).float().eval()


def save(policy: Any, folder: Path) -> str:
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={c: i for i, c in enumerate(alphabet)}, merges=[]))
    tokenizer.add_special_tokens(["<|end|>", "<|pad|>", "<|a|>", "<|b|>", "<|c|>"])
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|end|>", pad_token="<|pad|>")
    assert len(fast) == policy.config.vocab_size and fast.eos_token_id == END
    fast.save_pretrained(folder)
    policy.save_pretrained(folder)
    return str(folder)


class Stack:
    """A replica, its store, and the policy whose weights were published last."""

    def __init__(self, policy: Any, folder: Path, name: str, on_update: OnUpdate = "recompute") -> None:
        self.transport = StoreTransport(start_weight_store())
        self.version = -1
        self.policy = policy
        self.name = name
        rollout = RolloutConfig(cpus=0.1, kv_cache_gib=0.1, start_deadline=150, update_deadline=20, on_update=on_update)
        self.handle: DeploymentHandle = deploy_rollout(save(policy, folder), rollout, self.transport, name=name)

    def publish(self, policy: Any) -> None:
        self.version += 1
        self.policy = policy
        report = self.transport.sender(self.handle).publish(self.version, policy.named_parameters(), 60)
        assert report.complete, report.failures

    def sample(self, **settings: Any) -> list[Completion]:
        wanted: dict[str, Any] = {
            "prompt_ids": PROMPT,
            "seeds_G": (11, 12, 13),
            "max_tokens": 24,
            "temperature": 1.0,
            "min_version": self.version,
        }
        return Sampled(self.handle, SampleRequest(**(wanted | settings))).result(timeout_s=100)

    def state(self) -> ReplicaState:
        [state] = self.handle.broadcast("state", True).results(timeout_s=20)
        return state


@pytest.fixture(scope="module")
def stack(ray_session: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A replica started from policy 0, synced to policy 1. (A head of its own has the run on real rows.)"""
    stack = Stack(random_policy(0), tmp_path_factory.mktemp("policy0"), "bare-rollout")
    stack.publish(random_policy(1))
    yield stack
    delete(stack.name)


def reference_logprobs(
    policy: Any, completion: Completion, temperature: float, prompt: list[int] = PROMPT
) -> NDArray[np.float32]:
    """transformers' logprobs of the completion's tokens, shape (_T,)."""
    ids_T = torch.tensor([*prompt, *completion.token_ids_T.tolist()])
    with torch.no_grad():
        logits_TV = policy(ids_T[None]).logits[0, len(prompt) - 1 : -1]
    logprobs_TV = torch.log_softmax(logits_TV / temperature, -1)
    return logprobs_TV.gather(-1, ids_T[len(prompt) :, None]).squeeze(-1).numpy()


@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_logprobs_are_those_of_the_published_policy(stack: Stack, temperature: float) -> None:
    old = random_policy(0)
    for completion in stack.sample(temperature=temperature):
        wanted_T = reference_logprobs(stack.policy, completion, temperature)
        np.testing.assert_allclose(completion.logprobs_T, wanted_T, atol=1e-5, rtol=0)
        assert np.abs(wanted_T - reference_logprobs(old, completion, temperature)).max() > 0.1


def test_a_second_update_leaves_no_trace_of_the_first_in_the_cache(stack: Stack) -> None:
    first = stack.policy
    stack.sample()  # The prompt's keys and values are in the cache now.
    stack.publish(random_policy(2))
    for completion in stack.sample():
        wanted_T = reference_logprobs(stack.policy, completion, 1.0)
        np.testing.assert_allclose(completion.logprobs_T, wanted_T, atol=1e-5, rtol=0)
        assert completion.weight_versions == ((stack.version, len(completion.token_ids_T)),)
    stack.publish(first)


def test_the_replica_holds_what_the_trainer_published(stack: Stack) -> None:
    state = stack.state()
    assert state.checksums == named_checksums(stack.policy.named_parameters())
    assert (state.version, state.vocab_size, state.max_model_len) == (stack.version, 261, 512)


def test_the_replica_counts_the_tokens_that_it_makes(stack: Stack) -> None:
    before = stack.state().tokens_made
    made = sum(len(completion.token_ids_T) for completion in stack.sample())
    assert stack.state().tokens_made - before == made > 0


def test_a_seed_names_a_stream_of_tokens(stack: Stack) -> None:
    once = stack.sample(seeds_G=(21, 22, 21, 23))
    again = stack.sample(seeds_G=(23, 21))
    tokens = [c.token_ids_T.tolist() for c in once]
    assert tokens[0] == tokens[2]
    assert len({tuple(t) for t in tokens}) == 3
    assert [c.token_ids_T.tolist() for c in again] == [tokens[3], tokens[0]]


def test_an_answer_ends_at_the_limit_at_the_end_token_or_at_a_stop_string(stack: Stack) -> None:
    for completion in stack.sample(max_tokens=2, seeds_G=tuple(range(8))):
        ended = completion.token_ids_T[-1] == END
        assert completion.finish_reason == ("stop" if ended else "length")
    many = stack.sample(max_tokens=200, seeds_G=tuple(range(24)))
    ended = [c for c in many if c.finish_reason == "stop"]
    assert ended, "with 261 tokens and 200 draws, most of 24 answers meet the end token"
    for completion in ended:
        assert completion.token_ids_T.tolist().index(END) == len(completion.token_ids_T) - 1
        assert len(completion.logprobs_T) == len(completion.token_ids_T)
        assert "<|end|>" not in completion.text
    for completion in many:
        ends_T = completion.text_ends_T
        assert ends_T is not None and len(ends_T) == len(completion.token_ids_T)
        assert (np.diff(ends_T, prepend=0) >= 0).all() and ends_T[-1] == len(completion.text)
    watched = stack.sample(max_tokens=200, seeds_G=tuple(range(24)), stop=("never said",))
    assert [c.text for c in watched] == [c.text for c in many], "as vLLM itself decodes, where it has to"
    letter = next(c for c in many[0].text if c.isascii() and c.isalpha())
    [stopped] = stack.sample(max_tokens=200, seeds_G=(0,), stop=(letter,))
    cut = many[0].text.index(letter) + 1
    assert (stopped.text, stopped.finish_reason) == (many[0].text[:cut], "stop")
    count = len(stopped.token_ids_T)
    assert stopped.token_ids_T.tolist() == many[0].token_ids_T[:count].tolist()


def test_a_special_token_among_the_stop_strings_ends_an_answer(stack: Stack) -> None:
    seeds_G = tuple(range(24))
    many, stopped = (stack.sample(max_tokens=200, seeds_G=seeds_G, stop=stop) for stop in ((), ("<|b|>",)))
    assert any(STOP in completion.token_ids_T for completion in many), "most of 24 answers have the token"
    for free, completion in zip(many, stopped, strict=True):
        ids = free.token_ids_T.tolist()
        assert completion.token_ids_T.tolist() == (ids[: ids.index(STOP) + 1] if STOP in ids else ids)
        assert completion.finish_reason == ("stop" if STOP in ids else free.finish_reason)
        assert "<|b|>" not in completion.text


def test_tokens_under_way_during_a_sync_record_both_versions(stack: Stack) -> None:
    """Each token has the logprob of the weights it is booked under, as if they had made all before it."""
    first, before, prompt = stack.policy, stack.version, PROMPT[:4]
    request = SampleRequest(prompt, tuple(range(16)), 500, 1.0, min_version=before)
    running = Sampled(stack.handle, request)
    time.sleep(0.2)
    stack.publish(random_policy(3))
    completions = running.result(timeout_s=100)
    for completion in completions:
        versions_T = np.repeat(*np.asarray(completion.weight_versions).T)
        assert set(versions_T) <= {before, stack.version}
        old_T, new_T = (reference_logprobs(p, completion, 1.0, prompt) for p in (first, stack.policy))
        wanted_T = np.where(versions_T == before, old_T, new_T)
        np.testing.assert_allclose(completion.logprobs_T, wanted_T, atol=2e-5, rtol=0)
    assert any(len(completion.weight_versions) == 2 for completion in completions)
    stack.publish(first)


def test_a_prompt_that_is_too_long_is_a_value_error(stack: Stack) -> None:
    with pytest.raises(ValueError, match="max_model_len=512"):
        stack.sample(prompt_ids=[1] * 512)


def test_weights_that_leave_a_parameter_out_cost_the_replica_and_are_named(stack: Stack) -> None:
    before = stack.state().pid
    some = [(n, p) for n, p in stack.policy.named_parameters() if n != "model.layers.1.mlp.down_proj.weight"]
    stack.version += 1
    report = stack.transport.sender(stack.handle).publish(stack.version, some, 20)
    assert report.landed == {} and "model.layers.1.mlp.down_proj.weight" in report.failures[0]
    stack.version += 1
    whole = stack.transport.sender(stack.handle).publish(stack.version, stack.policy.named_parameters(), 20)
    assert whole.landed == {}, "the broken replica must not come back"
    for attempt in range(3):
        try:
            [completion] = stack.sample(seeds_G=(1,))
            break
        except ray.exceptions.RayError:
            assert attempt < 2, "rollout.attempts=3 must suffice"
    wanted_T = reference_logprobs(stack.policy, completion, 1.0)
    np.testing.assert_allclose(completion.logprobs_T, wanted_T, atol=1e-5, rtol=0)
    assert stack.state().pid != before
