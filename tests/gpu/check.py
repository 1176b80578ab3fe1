"""What one GPU can show in a few minutes: ``python tests/gpu/check.py [--small]``. It prints one table.

    packing        packed rows under varlen against padded ones under sdpa: logprobs, gradient
    speed          tokens a second of an update, the share of the GPU's peak that its arithmetic is (MFU), and the
                   plan's total against the most that was allocated
    lora           the same of an update of adapters
    checkpoint     copied to host memory, written, read again, and the next update the same
    mismatch       logprobs of sampled tokens, vLLM's against the trainer's (with a GPU, or --engine)

Random weights in the shapes of Qwen2.5, so nothing is fetched. Without a GPU it runs on the CPU in float32, where the
numbers mean little: that the script works is then all it shows. ``--small``: shapes of a few million parameters.
"""

from __future__ import annotations

import argparse
import gc
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch.distributed.tensor import DTensor
from transformers import AutoModelForCausalLM, Qwen2Config, Qwen2TokenizerFast

from raysgpo.config import AlgorithmConfig, Config, OptimizerConfig, TrainerConfig
from raysgpo.planning.memory_plan import trainer_account
from raysgpo.planning.model_shape import ModelShape
from raysgpo.policy.layout import Layout, Size
from raysgpo.policy.loading import check_loadable
from raysgpo.policy.micro_batches import plan_micro_batches
from raysgpo.policy.model import build_causal
from raysgpo.policy.policy import Policy
from raysgpo.policy.sequences import Share, TrainSequence
from raysgpo.policy.snapshot import Stager

SMALL = {"hidden_size": 128, "intermediate_size": 256, "num_hidden_layers": 3, "num_attention_heads": 4}
SHAPES: dict[str, dict[str, int]] = {
    "0.5B": {"hidden_size": 896, "intermediate_size": 4864, "num_hidden_layers": 24, "num_attention_heads": 14},
    "1.5B": {"hidden_size": 1536, "intermediate_size": 8960, "num_hidden_layers": 28, "num_attention_heads": 12},
}
PEAKS = {"H100": 989e12, "H200": 989e12, "A100": 312e12, "L40S": 362e12}
"""Dense bfloat16 operations a second, by the vendor's data sheets."""
GPU = torch.cuda.is_available()
DTYPE = "bfloat16" if GPU else "float32"
GIB = 2**30

Row = tuple[str, str, str]


def model(folder: Path, shape: dict[str, int], vocabulary: int) -> str:
    torch.manual_seed(0)
    config = Qwen2Config(
        **shape, num_key_value_heads=2, vocab_size=vocabulary, tie_word_embeddings=True, max_position_embeddings=32_768
    )
    with torch.device("cuda" if GPU else "cpu"):
        made = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    made.to(torch.bfloat16).save_pretrained(folder)
    Qwen2TokenizerFast().save_pretrained(folder)
    return str(folder)


def build(path: str, **settings: Any) -> Policy:
    trainer = TrainerConfig(**{"dtype": DTYPE, "gradient_checkpointing": False, **settings})
    return Policy.build(path, trainer, OptimizerConfig(lr=1e-5), AlgorithmConfig(), 1.0, 100, 1)


def share(path: str, lengths: list[int], layout: Layout, budget: int) -> Share:
    """Sequences of random tokens, a quarter of each its prompt."""
    vocabulary, draw = ModelShape.of(build_causal(path, "eager")).vocabulary, np.random.default_rng(0)
    made = []
    for length in lengths:
        sampled_T = np.arange(length) >= length // 4
        made.append(
            TrainSequence(
                token_ids_T=draw.integers(0, vocabulary, length).astype(np.int32),
                loss_weight_T=sampled_T.astype(np.float32),
                advantages_T=np.where(sampled_T, draw.normal(), 0).astype(np.float32),
                logprobs_T=np.where(sampled_T, -np.log(vocabulary), 0).astype(np.float32),
                sampled_T=sampled_T,
                prompt_length=length // 4,
            )
        )
    [plan] = plan_micro_batches([Size(len(s), s.prompt_length, n) for n, s in enumerate(made)], 1, budget, layout)
    tokens = sum(int(s.sampled_T.sum()) for s in made)
    return Share(0, [[made[index] for index in cut] for cut in plan], float(tokens), tokens)


def free(action: Callable[[], Any]) -> Any:
    result = action()
    gc.collect()
    if GPU:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    return result


def gradient(policy: Policy) -> torch.Tensor:
    slopes = [p.grad for _, p in sorted(policy.scorer.named_parameters())]
    return torch.cat([(s.full_tensor() if isinstance(s, DTensor) else s).flatten().float().cpu() for s in slopes])


def packing(path: str, lengths: list[int]) -> list[Row]:
    found = []
    kinds: list[tuple[Layout, str]] = [("padded", "sdpa"), ("packed", "varlen")]
    for layout, attention in kinds:
        policy = build(path, layout=layout, attention=attention)
        one = share(path, lengths, layout, budget=sum(lengths))
        arrays = [array for cut in policy.logprobs(one) for array in cut]
        policy.accumulate(one)
        order = np.argsort([len(array) for array in arrays], kind="stable")
        found.append((np.concatenate([arrays[index] for index in order]), gradient(policy)))
        free(lambda: None)
    (dense_T, slope), (packed_T, packed_slope) = found
    distance = float((packed_slope - slope).norm() / slope.norm())
    return [
        ("packing", "largest difference of a logprob", f"{np.abs(dense_T - packed_T).max():.2e} nats"),
        ("packing", "relative difference of the gradient", f"{distance:.2e}"),
    ]


def seconds(action: Callable[[], Any]) -> float:
    start = time.perf_counter()
    action()
    if GPU:
        torch.cuda.synchronize()
    return time.perf_counter() - start


def update(path: str, name: str, tokens: int, length: int, **further: Any) -> list[Row]:
    settings: dict[str, Any] = {
        "layout": "packed" if GPU else "padded",
        "attention": "varlen" if GPU else "sdpa",
        "tokens_per_micro_batch": tokens,
        **further,
    }
    what = "lora" if "lora_rank" in further else "speed"
    shape = ModelShape.of(check_loadable(path, TrainerConfig(**settings)))
    policy = free(lambda: build(path, **settings))
    one = share(path, [length] * (2 * tokens // length), settings["layout"], tokens)
    policy.update(one)
    taken = min(seconds(lambda: policy.update(one)) for _ in range(3))
    all_tokens = sum(len(s) for cut in one.micro_batches for s in cut)
    # Forward and backward are 6 operations a parameter and token, and attention 6 a layer, width and token before it.
    operations = all_tokens * (6 * shape.parameters + 6 * len(shape.layers) * shape.query * length)
    rows = [(what, f"{name}, tokens a second of an update", f"{all_tokens / taken:,.0f}")]
    if GPU:
        device = torch.cuda.get_device_name()
        peak = next((peak for known, peak in PEAKS.items() if known in device), None)
        if peak is not None and what == "speed":  # beside a frozen weight there is a third less to compute
            rows.append((what, f"{name}, share of the peak", f"{operations / taken / peak:.1%}"))
        config = Config(trainer=TrainerConfig(dtype=DTYPE, gradient_checkpointing=False, **settings))
        planned, held = trainer_account(shape, config, length).total, torch.cuda.max_memory_allocated()
        rows.append((what, f"{name}, planned and allocated, GiB", f"{planned / GIB:.2f}  {held / GIB:.2f}"))
    return rows


def checkpoint(path: str, folder: Path) -> list[Row]:
    policy, again = build(path, layout="padded"), build(path, layout="padded")
    one = share(path, [64] * 4, "padded", 256)
    policy.update(one)
    group = dist.new_group(backend="gloo")
    snapshot, stager = policy.snapshot(), Stager()
    staged = seconds(lambda: snapshot.stage(stager))
    snapshot.write_model_files(folder)
    took = seconds(lambda: snapshot.write(folder, group))
    again.load(folder)
    first, second = policy.update(one)["policy/loss"], again.update(one)["policy/loss"]
    return [
        ("checkpoint", "seconds to copy, to write", f"{staged:.2f}  {took:.1f}"),
        ("checkpoint", "difference of the next loss", f"{abs((first or 0) - (second or 0)):.1e}"),
    ]


def mismatch(path: str) -> list[Row]:
    """One step's worth of sampling by the engine, and the same tokens under the trainer."""
    from vllm import LLM, SamplingParams

    policy = free(lambda: build(path, layout="padded"))
    engine = LLM(
        model=path, dtype=DTYPE, gpu_memory_utilization=0.3, max_model_len=256, skip_tokenizer_init=True, seed=0
    )
    vocabulary, draw = ModelShape.of(build_causal(path, "eager")).vocabulary, np.random.default_rng(0)
    prompts = [draw.integers(0, vocabulary, 32).tolist() for _ in range(16)]
    sampling = SamplingParams(temperature=1.0, max_tokens=64, logprobs=0, ignore_eos=True, detokenize=False)
    answers = engine.generate([{"prompt_token_ids": prompt} for prompt in prompts], sampling, use_tqdm=False)
    made, theirs = [], []
    for prompt, answer in zip(prompts, answers, strict=True):
        tokens, found = answer.outputs[0].token_ids, answer.outputs[0].logprobs
        sampled_T = np.arange(len(prompt) + len(tokens)) >= len(prompt)
        theirs.append([each[token].logprob for each, token in zip(found, tokens, strict=True)])
        zeros_T = np.zeros(len(sampled_T), dtype=np.float32)
        ids_T = np.array([*prompt, *tokens], dtype=np.int32)
        made.append(TrainSequence(ids_T, sampled_T.astype(np.float32), zeros_T, zeros_T, sampled_T, len(prompt)))
    [mine] = policy.logprobs(Share(0, [made], 1.0, 1))
    gaps_N = np.concatenate([np.abs(array[32:] - given) for array, given in zip(mine, theirs, strict=True)])
    return [("mismatch", f"mean and largest, nats ({DTYPE})", f"{gaps_N.mean():.1e}  {gaps_N.max():.1e}")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--engine", action="store_true", help="start vLLM also without a GPU")
    arguments = parser.parse_args()
    small = arguments.small
    dist.init_process_group("nccl" if GPU else "gloo", store=dist.HashStore(), rank=0, world_size=1)
    device = torch.cuda.get_device_name() if GPU else "CPU"
    rows: list[Row] = [("device", f"torch {torch.__version__}", device)]
    shapes = {"small": SMALL} if small else SHAPES
    vocabulary, tokens, length = (1_000, 512, 64) if small else (151_936, 16_384, 2_048)
    with tempfile.TemporaryDirectory() as root:
        paths = {name: model(Path(root) / name, shape, vocabulary) for name, shape in shapes.items()}
        first = next(iter(paths.values()))
        rows += packing(first, [length, length // 2, length // 3, 17])
        for name, path in paths.items():
            rows += update(path, name, tokens, length)
            rows += update(path, name, tokens, length, lora_rank=16)
        rows += checkpoint(first, Path(root) / "checkpoint")
        if GPU or arguments.engine:
            rows += mismatch(first)
    for what, number, value in rows:
        print(f"{what:<12}{number:<46}{value}")
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
