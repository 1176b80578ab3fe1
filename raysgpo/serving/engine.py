"""The inference engine behind a rollout replica: token ids in, token ids and logprobs out.

:class:`Engine` is what a replica needs; :class:`VllmEngine` is vLLM's ``AsyncLLM`` in that shape. vLLM is
imported when the engine starts, not with this module: that import takes ten seconds.

Shape legend: _T tokens of a completion.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from raysgpo.config import RolloutConfig
from raysgpo.config.engine_parts import CPU_BLOCK
from raysgpo.imports import large_import
from raysgpo.policy.special_tokens import divided_stop, special_ids
from raysgpo.policy.text_ends import ends_of, has_pieces, text_ends, text_pieces
from raysgpo.records import Completion, SampleRequest
from raysgpo.serving.engine_core import start_engine
from raysgpo.serving.reloading import check_prompt, reload_weights
from raysgpo.serving.token_count import TokenCount
from raysgpo.serving.vllm_weights import VllmWeights
from raysgpo.weights.transport import BACKEND, NOTHING_PUBLISHED, WORKER_EXTENSION, Description, Weights


class Engine(Protocol):
    """One inference engine with weights that can be exchanged while it runs."""

    @property
    def vocab_size(self) -> int: ...

    @property
    def max_model_len(self) -> int:
        """Longest prompt plus answer, tokens."""
        ...

    @property
    def tokens_made(self) -> int:
        """For all requests, up to now; it never falls."""
        ...

    async def start(self) -> None:
        """Load the model; its weights count as version ``NOTHING_PUBLISHED``."""
        ...

    async def sample(self, request: SampleRequest, seed: int, request_id: str) -> Completion:
        """One answer. Cancelling the call frees what it used.

        Raises:
            ValueError: the prompt leaves no room for an answer.
        """
        ...

    @property
    def ranks(self) -> int:
        """Processes that hold a part of the model."""
        ...

    async def join(self, invitation: Description) -> None:
        """Enter a broadcast group with all ranks, leaving the one before. Raises if it did not come together."""
        ...

    async def update(self, weights: Weights) -> int:
        """Exchange all weights; the version that came. After an exception or a cancellation the engine must not be used
        again."""
        ...

    async def checksums(self) -> dict[str, str]:
        """Parameter name (the trainer's) to the checksum of the bytes loaded last; empty before an update.

        Taken in the process that holds the model, from the bytes that it read: what
        ``raysgpo.weights.checksums.named_checksums`` gives for the trainer's parameters.
        """
        ...

    async def check_health(self) -> None:
        """Raises if the engine died."""
        ...

    def shutdown(self) -> None: ...


EngineFactory = Callable[[str, RolloutConfig], Engine]
"""(model folder or hub name, settings) -> an engine that was not started yet."""


CPU_ENVIRONMENT = {
    "TORCHDYNAMO_DISABLE": "1",  # Else the first generation compiles a sampler for up to 25 s.
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",  # The model lives with the core: one process less.
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",  # The trainer shares these cores: claim none.
    "OMP_WAIT_POLICY": "PASSIVE",  # A spinning thread would steal the trainer's core.
}


def cpu_environment(threads: int | None) -> dict[str, str]:
    """Of an engine on CPU, with so many threads (None: one)."""
    return CPU_ENVIRONMENT | {"OMP_NUM_THREADS": str(threads or 1)}


QUIET_ENVIRONMENT = {"VLLM_LOGGING_LEVEL": "WARNING", "VLLM_NO_USAGE_STATS": "1"}


def engine_arguments(model_path: str, rollout: RolloutConfig) -> dict[str, Any]:
    """The arguments of vLLM's ``AsyncEngineArgs``; ``rollout.engine`` has the last word.

    Raises:
        ValueError: ``rollout.engine`` touches an argument that the project must set itself.
    """
    ours: dict[str, Any] = {
        "model": model_path,
        # Logprobs of the distribution that was sampled from, temperature included.
        "logprobs_mode": "processed_logprobs",
        "weight_transfer_config": {"backend": BACKEND},
        "worker_extension_cls": WORKER_EXTENSION,
    }
    if taken := sorted(ours.keys() & rollout.engine.keys()):
        raise ValueError(f"rollout.engine may not set {', '.join(taken)}: raysgpo sets it; remove it")
    defaults: dict[str, Any] = {
        "max_model_len": rollout.max_model_len,
        "disable_log_stats": True,
        "use_tqdm_on_load": False,
    }
    if rollout.dtype != "auto":
        defaults["dtype"] = rollout.dtype
    if rollout.gpus == 0:
        assert rollout.kv_cache_gib is not None, "the preparation fills it in"
        defaults = cpu_arguments(rollout.kv_cache_gib) | defaults
    elif rollout.tensor_parallel_size > 1:
        defaults["tensor_parallel_size"] = rollout.tensor_parallel_size
    return one_node(ours | defaults | rollout.engine)


def one_node(arguments: dict[str, Any]) -> dict[str, Any]:
    """Several ranks of one replica are processes of its node, where vLLM inside Ray would start actors for them; a
    single one is the engine's own process."""
    several = arguments.get("tensor_parallel_size", 1) * arguments.get("pipeline_parallel_size", 1) > 1
    return {"distributed_executor_backend": "mp" if several else "uni"} | arguments


def cpu_arguments(kv_cache_gib: float) -> dict[str, Any]:
    """What every engine on CPU needs, in float32 unless something else is said."""
    return {
        "dtype": "float32",
        "enforce_eager": True,
        # A seeded prompt that is cut up over two steps ends the CPU engine: vLLM would set back the
        # offset of its generator, which generators on CPU do not have.
        "enable_chunked_prefill": False,
        "kv_cache_memory_bytes": int(kv_cache_gib * 2**30),
        # Answers share full blocks of their prompt alone; vLLM's own 128 tokens are more than most prompts here have.
        "block_size": CPU_BLOCK,
    }


class VllmEngine:
    """vLLM's ``AsyncLLM``, in this process as far as ``rollout.engine_process`` says."""

    def __init__(self, model_path: str, rollout: RolloutConfig) -> None:
        self._arguments = engine_arguments(model_path, rollout)
        self._environment = QUIET_ENVIRONMENT | (cpu_environment(rollout.threads) if rollout.gpus == 0 else {})
        self._core_process = rollout.core_process
        self._on_update = rollout.on_update
        self._version = NOTHING_PUBLISHED
        self._llm: Any = None
        self._tokenizer: Any = None
        self._tokens: TokenCount | None = None
        self._special: dict[str, int] = {}
        """The tokenizer's special tokens, once the engine has started."""

    async def start(self) -> None:
        # vLLM and OpenMP read these once, at import and in the engine's process; a user's own win.
        for name, value in self._environment.items():
            os.environ.setdefault(name, value)
        if (threads := self._environment.get("OMP_NUM_THREADS")) is not None:
            os.environ["OMP_NUM_THREADS"] = threads  # Ray says 1 to all of a run's processes.
        with large_import():  # the core's thread imports a good part of vLLM as well
            from vllm import AsyncEngineArgs
            from vllm.config import WeightTransferConfig

            transfer = WeightTransferConfig(**self._arguments["weight_transfer_config"])
            arguments = AsyncEngineArgs(**(self._arguments | {"weight_transfer_config": transfer}))
            self._llm = start_engine(arguments, self._core_process)
        self._tokens = TokenCount(self._llm.output_processor)
        self._tokenizer = self._llm.get_tokenizer()
        self._special = special_ids(self._tokenizer)
        await self._llm.update_weight_version(str(NOTHING_PUBLISHED))
        # A model that this machine cannot run (its head size, say) fails here and not at the first group.
        await self.sample(SampleRequest([0], seeds_G=(0,), max_tokens=1, temperature=1.0), 0, "first")

    @property
    def vocab_size(self) -> int:
        return int(self._llm.model_config.get_vocab_size())

    @property
    def ranks(self) -> int:
        return int(self._llm.vllm_config.parallel_config.world_size)

    @property
    def max_model_len(self) -> int:
        return int(self._llm.model_config.max_model_len)

    @property
    def tokens_made(self) -> int:
        return self._tokens.made if self._tokens is not None else 0

    async def sample(self, request: SampleRequest, seed: int, request_id: str) -> Completion:
        from vllm import SamplingParams
        from vllm.inputs.engine import tokens_input
        from vllm.sampling_params import RequestOutputKind

        check_prompt(request.prompt_ids, self.max_model_len)
        # An answer's text is without special tokens, so as strings they would stop nothing.
        stop, stop_ids = divided_stop(request.stop, self._special)
        parameters = SamplingParams(
            temperature=request.temperature,
            top_p=request.top_p,
            top_k=request.top_k,
            seed=seed,
            max_tokens=request.max_tokens,
            stop=stop,
            stop_token_ids=stop_ids,
            include_stop_str_in_output=True,  # The text is then that of the tokens trained on.
            # vLLM would decode every token twice as it comes, for stop strings and beside its logprob.
            detokenize=bool(stop) or not has_pieces(self._tokenizer),
            logprobs=0,  # Of the sampled token alone.
            flat_logprobs=True,
            output_kind=RequestOutputKind.FINAL_ONLY,
        )
        final = None
        # Where the cache is kept, no later request may begin with keys and values of weights before its own.
        salt = str(self._version) if self._on_update == "keep_cache" else None
        prompt = tokens_input(request.prompt_ids, cache_salt=salt)
        async for output in self._llm.generate(prompt, parameters, request_id):
            final = output
        assert final is not None, "vLLM ended a request without an output"
        return _completion(final.outputs[0], request.prompt_ids, self._tokenizer, parameters.detokenize)

    async def join(self, invitation: Description) -> None:
        await VllmWeights(self._llm).join(invitation)

    async def update(self, weights: Weights) -> int:
        self._version = await reload_weights(VllmWeights(self._llm), weights, self._on_update)
        return self._version

    async def checksums(self) -> dict[str, str]:
        workers: list[dict[str, str]] = await self._llm.collective_rpc("loaded_checksums")
        assert all(worker == workers[0] for worker in workers), "the workers loaded different weights"
        return workers[0]

    async def check_health(self) -> None:
        await self._llm.check_health()

    def shutdown(self) -> None:
        if self._llm is not None:
            self._llm.shutdown()


def _completion(output: Any, prompt_ids: list[int], tokenizer: Any, has_text: bool) -> Completion:
    """vLLM's output as ours. The token that ended the answer (end of turn) is among the ids."""
    if has_text:
        text, ends_T = output.text, text_ends(tokenizer, prompt_ids, output.token_ids, output.text)
    else:
        pieces = text_pieces(tokenizer, prompt_ids, output.token_ids)
        text, ends_T = "".join(pieces), ends_of(pieces)
    ids_T = np.asarray(output.token_ids, dtype=np.int32)
    assert list(output.logprobs.token_ids) == list(output.token_ids), "a logprob for each sampled token"
    assert output.finish_reason in ("stop", "length"), f"request ended by {output.finish_reason!r}"
    spans = tuple((int(span.version), span.end - span.start) for span in output.weight_versions)
    return Completion(
        token_ids_T=ids_T,
        logprobs_T=np.asarray(output.logprobs.logprobs, dtype=np.float32),
        finish_reason=output.finish_reason,
        text=text,
        weight_versions=spans,
        text_ends_T=ends_T,
    )
