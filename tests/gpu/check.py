"""What one GPU can show in a few minutes: ``python tests/gpu/check.py [--small] [--only SECTION ...]``.

    packing        packed rows under varlen against padded ones under sdpa: logprobs, gradient; both against float32,
                   and what the difference would be if the borders of the sequences were ignored
    speed          tokens a second of an update, the share of the GPU's peak that its arithmetic is (MFU), and the
                   plan's total against the most that was allocated in each phase of an update
    lora           the same of an update of adapters
    room           a forward pass that does not fit is cut, and the update is the same (with a GPU)
    weights        what is published after an update: cast, packed into one buffer, copied, checksummed
    checkpoint     copied to host memory beside an update, written, read again, and the next update the same
    mismatch       logprobs of sampled tokens, vLLM's against the trainer's (with a GPU, or --engine)

A section that fails is a row with its reason, and the exit status is 1. Random weights in the shapes of Qwen2.5, so
nothing is fetched. Without a GPU it runs on the CPU in float32, where the numbers mean little: that the script works is
then all it shows. ``--small``: shapes of a few million parameters.
"""

from __future__ import annotations

import argparse
import gc
import importlib.util
import statistics
import sys
import tempfile
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
import torch.distributed as dist
from blake3 import blake3
from torch.distributed.tensor import DTensor
from transformers import AutoModelForCausalLM, Qwen2Config, Qwen2TokenizerFast

from raysgpo.config import AlgorithmConfig, Config, OptimizerConfig, TrainerConfig
from raysgpo.planning.memory_plan import trainer_account
from raysgpo.planning.model_shape import ModelShape
from raysgpo.policy.layout import Layout, Size
from raysgpo.policy.loading import check_loadable
from raysgpo.policy.micro_batches import plan_micro_batches
from raysgpo.policy.model import build_causal
from raysgpo.policy.packing import Packing
from raysgpo.policy.policy import Policy
from raysgpo.policy.sequences import Share, TrainSequence
from raysgpo.policy.snapshot import Stager
from raysgpo.weights.memory_file import MemoryFile

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


def build(path: str, kl: float = 0.0, **settings: Any) -> Policy:
    trainer = TrainerConfig(**{"dtype": DTYPE, "gradient_checkpointing": False, **settings})
    return Policy.build(path, trainer, OptimizerConfig(lr=1e-5), AlgorithmConfig(kl_coefficient=kl), 1.0, 100, 1)


def share(path: str, lengths: list[int], layout: Layout, budget: int, one_prompt: bool = False) -> Share:
    """Sequences of random tokens, a quarter of each its prompt; or one prompt for all, the shortest but a token."""
    vocabulary, draw = ModelShape.of(build_causal(path, "eager")).vocabulary, np.random.default_rng(0)
    made, common = [], draw.integers(0, vocabulary, min(lengths) - 1)
    for length in lengths:
        prompt = common if one_prompt else draw.integers(0, vocabulary, length // 4)
        sampled_T = np.arange(length) >= len(prompt)
        made.append(
            TrainSequence(
                token_ids_T=np.append(prompt, draw.integers(0, vocabulary, length - len(prompt))).astype(np.int32),
                loss_weight_T=sampled_T.astype(np.float32),
                advantages_T=np.where(sampled_T, draw.normal(), 0).astype(np.float32),
                logprobs_T=np.where(sampled_T, -np.log(vocabulary), 0).astype(np.float32),
                sampled_T=sampled_T,
                prompt_length=len(prompt),
            )
        )
    sizes = [Size(len(s), s.prompt_length, 0 if one_prompt else n) for n, s in enumerate(made)]
    [plan] = plan_micro_batches(sizes, 1, budget, layout)
    tokens = sum(int(s.sampled_T.sum()) for s in made)
    return Share(0, [[made[index] for index in cut] for cut in plan], float(tokens), tokens)


def free() -> None:
    """Give back what nobody holds any more, and count peaks anew."""
    gc.collect()
    if GPU:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def gradient(policy: Policy) -> torch.Tensor:
    slopes = [p.grad for _, p in sorted(policy.scorer.named_parameters())]
    return torch.cat([(s.full_tensor() if isinstance(s, DTensor) else s).flatten().float() for s in slopes])


def packing(path: str, lengths: list[int]) -> Iterator[Row]:
    """``lengths``: no two the same, so that the arrays can be put in one order."""
    sampled: dict[tuple[bool, int], Any] = {}

    def measured(
        layout: Layout, attention: str, one_prompt: bool = False, **settings: Any
    ) -> tuple[np.ndarray, torch.Tensor]:
        policy = build(path, layout=layout, attention=attention, **settings)
        one = share(path, lengths, layout, sum(lengths), one_prompt)
        arrays = [array for cut in policy.logprobs(one) for array in cut]
        for array in arrays:
            sampled.setdefault((one_prompt, len(array)), array)
        # Ratios near 1, as of a policy that has just been sampled: none lies beside a clip.
        cuts = [
            [replace(s, logprobs_T=np.where(s.sampled_T, sampled[one_prompt, len(s)], 0)) for s in c]
            for c in one.micro_batches
        ]
        policy.accumulate(replace(one, micro_batches=cuts))
        found = np.concatenate(sorted(arrays, key=len)), gradient(policy)
        del policy
        free()
        return found

    def apart(one: tuple[np.ndarray, torch.Tensor], other: tuple[np.ndarray, torch.Tensor]) -> tuple[str, str]:
        gaps_N = np.abs(one[0] - other[0])
        distance = float((one[1] - other[1]).norm() / other[1].norm())
        return f"{gaps_N.max():.2e} nats, mean {gaps_N.mean():.2e}", f"{distance:.2e}"

    dense, packed = measured("padded", "sdpa"), measured("packed", "varlen")
    for what, value in zip(("largest difference of a logprob", "relative difference of the gradient"),
                           apart(packed, dense), strict=True):  # fmt: skip
        yield "packing", what, value
    yield "packing", "the same twice: logprob, gradient", "  ".join(apart(measured("packed", "varlen"), packed))
    again = measured("packed", "varlen", gradient_checkpointing=True)
    yield "packing", "layers computed again: logprob, gradient", "  ".join(apart(again, packed))
    each, once = (measured(layout, "varlen", one_prompt=True) for layout in ("packed", "shared"))
    yield "packing", "a prompt once against once an answer", "  ".join(apart(once, each))
    if GPU:
        exact = measured("padded", "sdpa", dtype="float32")
        yield "packing", "padded against float32: logprob, gradient", "  ".join(apart(dense, exact))
        yield "packing", "packed against float32: logprob, gradient", "  ".join(apart(packed, exact))
    borders: Any = mock.patch.object(Packing, "for_kernels", lambda _: {})
    with borders, mock.patch("raysgpo.policy.policy.check_scorer"):  # which would find out
        yield "packing", "borders ignored: logprob, gradient", "  ".join(apart(measured("packed", "varlen"), dense))


def seconds(action: Callable[[], Any]) -> float:
    start = time.perf_counter()
    action()
    if GPU:
        torch.cuda.synchronize()
    return time.perf_counter() - start


@dataclass
class Phases:
    """Seconds, and the most bytes of a GPU, of each phase of an update."""

    seconds: dict[str, float] = field(default_factory=dict)
    bytes: dict[str, int] = field(default_factory=dict)

    def of(self, policy: Policy, one: Share) -> None:
        """An update, phase by phase."""
        compute = policy._terms

        def forward(*given: Any) -> Any:
            self._end("backward")
            terms = compute(*given)
            self._end("forward")
            return terms

        self._begin()
        with mock.patch.object(policy, "_terms", forward):
            policy.accumulate(one)
        self._end("backward")
        policy._clip_gradients()
        self._end("clip")
        policy.optimizer.step()
        self._end("step")
        policy.optimizer.zero_grad()

    def _begin(self) -> None:
        if GPU:
            torch.cuda.synchronize()
            torch.cuda.reset_peak_memory_stats()
        self._since = time.perf_counter()

    def _end(self, phase: str) -> None:
        if GPU:
            torch.cuda.synchronize()
            self.bytes[phase] = max(self.bytes.get(phase, 0), torch.cuda.max_memory_allocated())
        self.seconds[phase] = self.seconds.get(phase, 0) + time.perf_counter() - self._since
        self._begin()


def update(path: str, name: str, tokens: int, length: int, kl: float = 0.0, **further: Any) -> Iterator[Row]:
    settings: dict[str, Any] = {
        "layout": "packed" if GPU else "padded",
        "attention": "varlen" if GPU else "sdpa",
        "gradient_checkpointing": False,
        "dtype": DTYPE,
        **further,
    }
    what = "lora" if "lora_rank" in further else "speed"
    shape = ModelShape.of(check_loadable(path, TrainerConfig(**settings)))

    def planned(tokens: int) -> int:
        config = Config(
            trainer=TrainerConfig(**settings, tokens_per_micro_batch=tokens, gpus=int(GPU)),
            algorithm=AlgorithmConfig(kl_coefficient=kl),
        )
        return trainer_account(shape, config, length).total

    while GPU and planned(tokens) > 0.9 * torch.cuda.mem_get_info()[1]:
        tokens //= 2
    free()
    policy = build(path, kl, **settings, tokens_per_micro_batch=tokens)
    one = share(path, [length] * (2 * tokens // length), settings["layout"], tokens)
    policy.update(one)
    free()
    taken = statistics.median(seconds(partial(policy.update, one)) for _ in range(3))
    reserved = torch.cuda.max_memory_reserved() if GPU else 0
    free_bytes, all_bytes = torch.cuda.mem_get_info() if GPU else (0, 0)
    beyond = all_bytes - free_bytes - (torch.cuda.memory_reserved() if GPU else 0)
    phases = Phases()
    phases.of(policy, one)
    all_tokens = sum(len(s) for cut in one.micro_batches for s in cut)
    scored = sum(int(s.scored_T.sum()) for cut in one.micro_batches for s in cut)
    # Forward and backward are 6 operations a number of a matrix and token, and attention 6 a layer, width and token
    # before it; the head is computed for scored tokens, and the embedding is no product.
    operations = (
        all_tokens * (6 * (shape.parameters - shape.root_numbers) + 6 * len(shape.layers) * shape.query * length)
        + scored * 6 * shape.vocabulary * shape.hidden
    )
    if GPU:
        name += f" {tokens:,}"
    yield what, f"{name}, tokens a second of an update", f"{all_tokens / taken:,.0f}"
    spent = "  ".join(f"{phase} {taken:.3f}" for phase, taken in phases.seconds.items())
    yield what, f"{name}, seconds", f"{taken:.3f}: {spent}"
    if GPU:
        device = torch.cuda.get_device_name()
        peak = next((peak for known, peak in PEAKS.items() if known in device), None)
        # Beside a frozen weight there is a third less to compute, and of a reference a third more.
        if peak is not None and what == "speed" and not kl:
            yield what, f"{name}, share of the peak", f"{operations / taken / peak:.1%}"
        held = "  ".join(f"{phase} {size / GIB:.2f}" for phase, size in phases.bytes.items())
        most = max(phases.bytes.values())
        yield what, f"{name}, planned and allocated, GiB", f"{planned(tokens) / GIB:.2f}  {most / GIB:.2f}: {held}"
        yield what, f"{name}, reserved, in use beyond it, GiB", f"{reserved / GIB:.2f}  {beyond / GIB:.2f}"
    del policy
    free()


def room(path: str, length: int) -> Iterator[Row]:
    """The GPU is made so small that the forward pass of eight sequences does not fit, and those of fewer do."""
    settings: dict[str, Any] = {"layout": "packed", "attention": "varlen"}
    policy = build(path, **settings)
    one = share(path, [length] * 8, "packed", 8 * length)
    policy.accumulate(one)
    stays = torch.cuda.memory_allocated()
    free()
    phases = Phases()
    phases.of(policy, one)
    whole, slope = policy.accumulate(one)["policy/loss"], gradient(policy)
    policy.optimizer.zero_grad()
    free()
    limit = stays + 0.7 * (phases.bytes["forward"] - stays)
    torch.cuda.set_per_process_memory_fraction(limit / torch.cuda.mem_get_info()[1])
    try:
        cut = policy.accumulate(one)["policy/loss"]
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    distance = float((gradient(policy) - slope).norm() / slope.norm())
    yield "room", "passes cut", str(policy.cut_passes)
    yield "room", "difference of the loss, of the gradient", f"{abs((whole or 0) - (cut or 0)):.1e}  {distance:.1e}"


def weights(path: str, name: str) -> Iterator[Row]:
    policy = build(path)
    size = sum(tensor.nbytes for _, tensor in policy.weights())
    numbers = sum(tensor.numel() for _, tensor in policy.weights())
    dtype = getattr(torch, DTYPE)
    flat = torch.empty(numbers, dtype=dtype, device="cuda" if GPU else "cpu")

    def into_flat() -> None:
        torch.cat([tensor.flatten() for _, tensor in policy.weights()], out=flat)

    host, pinned = torch.empty(numbers, dtype=dtype), torch.empty(numbers, dtype=dtype, pin_memory=GPU)
    for target in (host, pinned):  # pages that were never touched cost the first copy
        target.zero_()
    file = MemoryFile()
    hashed = pinned.view(torch.uint8).numpy().data
    ways: list[tuple[str, Callable[[], Any]]] = [
        ("as they are published", lambda: deque(file.write_weights(policy.weights(), checksums=False), maxlen=0)),
        ("the same with checksums", lambda: deque(file.write_weights(policy.weights()), maxlen=0)),
        ("cast to the type", lambda: [tensor for _, tensor in policy.weights()]),
        ("cast into one buffer", into_flat),
        ("the buffer to fresh host memory", lambda: flat.cpu()),
        ("the buffer to host memory", lambda: host.copy_(flat)),
        ("the buffer to pinned memory", lambda: pinned.copy_(flat)),
        ("BLAKE3, a thread", lambda: blake3(hashed).hexdigest()),
        ("BLAKE3, all threads", lambda: blake3(hashed, max_threads=blake3.AUTO).hexdigest()),
    ]
    for what, action in ways:
        seconds(action)
        taken = statistics.median(seconds(action) for _ in range(3))
        yield "weights", f"{name}, {what}", f"{taken:.4f} s, {size / taken / 1e9:.2f} GB/s"


def local(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def checkpoint(path: str, folder: Path) -> Iterator[Row]:
    policy, again = build(path, layout="padded"), build(path, layout="padded")
    one = share(path, [64] * 4, "padded", 256)
    policy.update(one)
    group, stager = dist.new_group(backend="gloo"), Stager()
    first = policy.snapshot()
    fresh = seconds(lambda: first.stage(stager))  # which has to come by its memory
    alone = statistics.median(seconds(lambda: policy.update(one)) for _ in range(3))
    snapshot = policy.snapshot()
    then = {name: local(tensor).cpu().clone() for name, tensor in snapshot._tensors.items()}
    with ThreadPoolExecutor(1) as pool:
        staging = pool.submit(seconds, lambda: snapshot.stage(stager))
        beside = seconds(lambda: policy.update(one))
        staged = staging.result()
    changed = sum(not torch.equal(local(copied), then[name]) for name, copied in snapshot._tensors.items())
    snapshot.write_model_files(folder)
    took = seconds(lambda: snapshot.write(folder, group))
    yield "checkpoint", f"seconds to copy {snapshot.bytes / GIB:.2f} GiB, first and next", f"{fresh:.2f}  {staged:.2f}"
    yield "checkpoint", "seconds of an update, alone and beside it", f"{alone:.3f}  {beside:.3f}"
    yield "checkpoint", "tensors that the update changed in the copy", f"{changed} of {len(then)}"
    yield "checkpoint", "seconds to write", f"{took:.1f}"
    again.load(folder)
    policy.load(folder)
    mine, other = policy.update(one)["policy/loss"], again.update(one)["policy/loss"]
    yield "checkpoint", "difference of the next loss", f"{abs((mine or 0) - (other or 0)):.1e}"


def mismatch(path: str) -> Iterator[Row]:
    """One step's worth of sampling by the engine, and the same tokens under the trainer."""
    if importlib.util.find_spec("vllm") is None:
        yield "mismatch", "skipped", "vllm is not installed here"
        return
    from vllm import LLM, SamplingParams

    policy = build(path, layout="padded")
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
    yield "mismatch", f"mean and largest, nats ({DTYPE})", f"{gaps_N.mean():.1e}  {gaps_N.max():.1e}"


def printed(what: str, section: Callable[[], Iterable[Row]]) -> bool:
    """Print the rows as they come; whether all came. What one section meets does not keep the others from running."""
    try:
        for kind, number, value in section():
            print(f"{kind:<12}{number:<52}{value}", flush=True)
    except Exception as error:
        traceback.print_exc(file=sys.stderr)
        lines = str(error).strip().splitlines()
        print(f"{what:<12}{'FAILED':<52}{type(error).__name__}: {lines[0] if lines else 'no message'}", flush=True)
        return False
    finally:
        free()
    return True


def sections(root: Path, small: bool, engine: bool) -> Iterator[tuple[str, Callable[[], Iterable[Row]]]]:
    shapes = {"small": SMALL} if small else SHAPES
    vocabulary, tokens, length = (1_000, 512, 64) if small else (151_936, 16_384, 2_048)
    paths = {name: model(root / name, shape, vocabulary) for name, shape in shapes.items()}
    free()
    (first, *_), (*_, last) = paths.values(), paths.values()
    yield "packing", lambda: packing(first, [length, length // 2, length // 3, length // 5, length // 7, 17])
    for name, path in paths.items():
        yield "speed", partial(update, path, name, tokens, length)
        yield "lora", partial(update, path, name, tokens, length, lora_rank=16)
    name = [*paths][-1]
    if GPU:
        for further in (tokens // 2, tokens // 4):
            yield "speed", partial(update, last, name, further, length)
            yield "speed", partial(update, last, f"{name} ckpt", further, length, gradient_checkpointing=True)
        yield "speed", partial(update, last, f"{name} ckpt", tokens, length, gradient_checkpointing=True)
        yield "speed", partial(update, first, f"{next(iter(paths))} KL", tokens, length, kl=0.001)
        recipe: dict[str, Any] = {"lora_rank": 32, "gradient_checkpointing": True, "kl": 0.001}
        yield "lora", partial(update, last, f"{name} ckpt KL", tokens // 2, length, **recipe)
        if not small:  # of a few megabytes the allocator gives no exact part
            yield "room", lambda: room(first, length)
    yield "weights", lambda: weights(last, name)
    yield "checkpoint", lambda: checkpoint(first, root / "checkpoint")
    if GPU or engine:
        yield "mismatch", lambda: mismatch(first)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--engine", action="store_true", help="start vLLM also without a GPU")
    parser.add_argument("--only", nargs="*", metavar="SECTION", help="these sections alone")
    arguments = parser.parse_args()
    dist.init_process_group("nccl" if GPU else "gloo", store=dist.HashStore(), rank=0, world_size=1)
    device = torch.cuda.get_device_name() if GPU else "CPU"
    printed("device", lambda: [("device", f"torch {torch.__version__}", device)])
    with tempfile.TemporaryDirectory() as root:
        whole = [
            printed(what, section)
            for what, section in sections(Path(root), arguments.small, arguments.engine)
            if arguments.only is None or what in arguments.only
        ]
    dist.destroy_process_group()
    return 0 if all(whole) else 1


if __name__ == "__main__":
    sys.exit(main())
