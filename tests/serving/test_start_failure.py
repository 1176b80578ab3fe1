"""What Serve, vLLM, torch and the hub say of an engine that does not start, and the one line that is made of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from raysgpo.serving.replica_log import written_by
from raysgpo.serving.start_failure import LONGEST, EngineSettings, is_elsewhere, last_error, mend

FRAMES = """\x1b[36mray::ServeReplica:run-rollout.initialize_and_get_metadata()\x1b[39m (pid=98, ip=10.0.0.2)
  File "replica.py", line 3521, in initialize_and_get_metadata
    await self._replica_impl.initialize(deployment_config, rank, gang_context)
RuntimeError: Traceback (most recent call last):
  File "replica.py", line 1867, in initialize
    self.start()
"""
ELSEWHERE = "RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {}"
CACHE = (
    "ValueError: To serve at least one request with the model's max seq len (488), (0.02 GiB KV cache is needed, which "
    "is larger than the available KV cache memory (0.0 GiB). Try increasing `gpu_memory_utilization` (which also ..."
)
ARCHITECTURE = (
    "pydantic_core._pydantic_core.ValidationError: 1 validation error for ModelConfig\n"
    "  Value error, Model architectures ['NoSuchForCausalLM'] are not supported for now. Supported architectures: "
    "dict_keys(['AfmoeForCausalLM']) [type=value_error, input_value=ArgsKwargs((), {'model': ...}), input_type=Args]\n"
    "    For further information visit https://errors.pydantic.dev/2.14/v/value_error"
)
QUANTIZATION = ARCHITECTURE.replace(
    "Model architectures ['NoSuchForCausalLM'] are not supported for now. Supported architectures: dict_keys(",
    "Unknown quantization method: nosuch. Must be one of (",
)
DTYPE = """RuntimeError: Failed to create vLLM engine config: 2 validation errors for ModelConfig
dtype.literal['auto','half','float16','bfloat16','float','float32']
  Input should be 'auto', 'half', 'float16', 'bfloat16', 'float' or 'float32' [type=literal_error, input_value='x']
    For further information visit https://errors.pydantic.dev/2.14/v/literal_error
dtype.is-instance[dtype]
  Input should be an instance of dtype [type=is_instance_of, input_value='x', input_type=str]"""
SEQUENCES = """pydantic_core._pydantic_core.ValidationError: 2 validation errors for SchedulerConfig
max_num_batched_tokens
  Input should be greater than or equal to 1 [type=greater_than_equal, input_value=0, input_type=int]
    For further information visit https://errors.pydantic.dev/2.14/v/greater_than_equal
max_num_seqs
  Input should be greater than or equal to 1 [type=greater_than_equal, input_value=0, input_type=int]"""


def rollout(gpus: float = 0, cache: float | None = 0.01, **engine: Any) -> EngineSettings:
    return EngineSettings("rollout", "model=/policy", gpus, cache, engine)


def judge(gpus: float = 0, **engine: Any) -> EngineSettings:
    return EngineSettings("judge", "judge.model=/judge", gpus, None if gpus else 0.01, engine)


CASES: list[tuple[EngineSettings, str, str]] = [
    (
        rollout(),
        CACHE,
        "rollout.kv_cache_gib=0.01: one sequence of 488 tokens takes 0.02 GiB of the key-value cache; set "
        "rollout.kv_cache_gib=0.04 or more, or leave it out",
    ),
    (judge(), CACHE, "judge.kv_cache_gib=0.01: one sequence of 488 tokens takes 0.02 GiB of the key-value cache; set "),
    (
        judge(gpus=2),
        CACHE,
        "judge.model=/judge: one sequence of 488 tokens takes 0.02 GiB of the key-value cache and 0 ",
    ),
    (rollout(), "ValueError: No available memory for the cache blocks. Try", "rollout.kv_cache_gib=0.01 is less than"),
    (
        rollout(gpus=1),
        "ValueError: No available memory for the cache blocks. Try",
        "model=/policy: its weights leave no",
    ),
    (
        rollout(cache=900),
        "ValueError: Available memory on node 0 (18.2/23.4 GiB) on kv cache allocation is less than requested memory "
        "for kv (900.0 GiB). Decrease --kv-cache-memory-bytes",
        "rollout.kv_cache_gib=900: the replica's machine has 18.2 GiB free; set "
        "rollout.kv_cache_gib lower, or leave it",
    ),
    (
        judge(),
        ARCHITECTURE,
        "judge.model=/judge: vLLM cannot run its architecture NoSuchForCausalLM (config.json); take another model",
    ),
    (
        judge(dtype="x"),
        DTYPE,
        "judge.engine={dtype: x}: input should be 'auto', 'half', 'float16', 'bfloat16', 'float' or 'float32'",
    ),
    (
        rollout(max_num_seqs=0),
        SEQUENCES,
        "rollout.engine={max_num_seqs: 0}: input should be greater than or equal to 1",
    ),
    (rollout(quantization="nosuch"), QUANTIZATION, "rollout.engine={quantization: nosuch}: vLLM refuses it: Unknown"),
    (
        rollout(dtype="float16"),
        "ValueError: The model type 'gemma2' does not support float16. Reason: Numerical instability.",
        "rollout.engine={dtype: float16}: does not support float16. Reason: Numerical instability.; "
        "set rollout.engine=",
    ),
    (
        judge(gpus=1),
        "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.",
        "judge.model=/judge: the engine ran out of GPU memory (OutOfMemoryError); set judge.gpus higher, ",
    ),
    (
        rollout(cache=3),
        "RuntimeError: [enforce fail at alloc_cpu.cpp:127] . DefaultCPUAllocator: can't allocate memory: you tried",
        "model=/policy: the engine ran out of memory (DefaultCPUAllocator: can't allocate memory); set "
        "rollout.kv_cache_gib=3 lower, or take a smaller model",
    ),
    (
        rollout(revision="v9"),
        "huggingface_hub.errors.RevisionNotFoundError: 404 Client Error.",
        "rollout.engine={revision: v9}: model=/policy has no such revision; name one that it has, or leave it out",
    ),
    (
        judge(),
        "huggingface_hub.errors.GatedRepoError: 403 Client Error.",
        "judge.model=/judge: the hub does not give it",
    ),
    (
        judge(),
        "OSError: We couldn't connect to 'https://huggingface.co' to load the files, and couldn't find them in",
        "judge.model=/judge: the replica's machine cannot reach the hub and has no copy of it; give "
        "the folder of a copy",
    ),
    (
        rollout(no_such=1),
        "TypeError: AsyncEngineArgs.__init__() got an unexpected keyword argument 'no_such'",
        "rollout.engine={no_such: 1}: vLLM's engine has no argument no_such; remove it",
    ),
    (
        judge(old=1),
        "ValueError: Unknown engine argument: old",
        "judge.engine={old: 1}: vLLM's engine has no argument old",
    ),
    (
        judge(),
        "Value error, User-specified max_model_len (9999) is greater than the derived max_model_len "
        "(max_position_embeddings=8192.0 or model_max_length=None in model's config.json).",
        "judge.max_model_len=9999: the model takes at most 8192 tokens",
    ),
    (
        judge(gpus=4),
        "ValueError: Total number of attention heads (9) must be divisible by tensor parallel size (4).",
        "judge.model=/judge: its 9 attention heads cannot be divided over 4 GPUs; set judge.gpus or judge.engine=",
    ),
]


@pytest.mark.parametrize(("engine", "error", "line"), CASES)
def test_what_is_known_is_the_setting_that_mends_it(engine: EngineSettings, error: str, line: str) -> None:
    said = mend(f"{FRAMES}{error}\n", engine)
    assert said is not None and said.startswith(line), said
    assert "\n" not in said and len(said) < LONGEST + 200


def test_what_is_said_in_a_log_is_found_behind_what_loggers_write() -> None:
    logged = "".join(f"(EngineCore pid=9) ERROR 11-26 22:39:47 [core.py:1510] {line}\n" for line in CACHE.splitlines())
    assert mend(ELSEWHERE, rollout()) is None
    assert (mend(f"{ELSEWHERE}\n{logged}", rollout()) or "").startswith("rollout.kv_cache_gib=0.01: one sequence")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (f"{FRAMES}KeyError: 'model.layers.0.bias'\n", "KeyError: 'model.layers.0.bias'"),
        (f"{FRAMES}my.package.OddError: first\nmore of it\n", "OddError: first"),
        (
            f"{FRAMES}{ELSEWHERE}\n(Worker pid=7) ERROR 1 2 [a.py:1] AssertionError: 3 heads\n",
            "AssertionError: 3 heads",
        ),
        (f"AssertionError: 3 heads\n\n{FRAMES}{ELSEWHERE}\n", "AssertionError: 3 heads"),
        (
            "The actor died.\n\tclass_name: ServeReplica\nWorker exit detail: Worker unexpectedly exits. Some common "
            "causes include: (1) the process was killed by the OOM killer",
            "the process of a replica died: Worker unexpectedly exits.",
        ),
        ("something else\nat last\n\n", "at last"),
        ("", "no message"),
    ],
)
def test_of_what_is_not_known_the_error_itself_is_left(text: str, line: str) -> None:
    assert mend(text, rollout()) is None
    assert last_error(text) == line


def test_a_long_message_is_cut() -> None:
    assert len(last_error(f"ValueError: {'x' * 9000}")) == LONGEST + 4


def test_an_error_that_points_to_another_process_is_known() -> None:
    assert is_elsewhere(ELSEWHERE) and not is_elsewhere(CACHE)
    assert is_elsewhere("Exception: WorkerProc initialization failed ... See stack trace for root cause.")


def test_the_log_of_a_process_is_both_of_its_files(tmp_path: Path) -> None:
    for name, text in {"a-01-98.out": "out", "a-01-98.err": "err", "b-01-980.err": "another", "98.log": "no"}.items():
        (tmp_path / f"worker-{name}").write_text(text)
    assert written_by(98, tmp_path) == "out\nerr"
    assert written_by(7, tmp_path) == ""
