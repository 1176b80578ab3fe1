"""What the plan of memory counts, and what it says where there is no room."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, Qwen2Config

from raysgpo.config import Config
from raysgpo.config.overrides import ConfigError, resolve
from raysgpo.planning.memory_plan import (
    CONTEXT,
    activations,
    further_accounts,
    replica_account,
    sequences_at_once,
    trainer_account,
)
from raysgpo.planning.model_shape import ModelShape
from raysgpo.planning.plan import GIB, check_fits, longest_sequence
from raysgpo.policy.lora import add_adapters
from raysgpo.recipes import RECIPES
from raysgpo.start.dry_run import memory_comments
from raysgpo.start.machine import Machine, with_machine

SHAPES: dict[str, dict[str, int]] = {
    "7b": {"hidden_size": 3584, "intermediate_size": 18944, "num_hidden_layers": 28, "num_attention_heads": 28,
           "num_key_value_heads": 4},
    "14b": {"hidden_size": 5120, "intermediate_size": 13824, "num_hidden_layers": 48, "num_attention_heads": 40,
            "num_key_value_heads": 8},
    "32b": {"hidden_size": 5120, "intermediate_size": 27648, "num_hidden_layers": 64, "num_attention_heads": 40,
            "num_key_value_heads": 8},
}  # fmt: skip
"""Of Qwen2.5."""
SMALLER: dict[str, dict[str, int]] = {
    "0.5b": {"hidden_size": 896, "intermediate_size": 4864, "num_hidden_layers": 24, "num_attention_heads": 14},
    "1.5b": {"hidden_size": 1536, "intermediate_size": 8960, "num_hidden_layers": 28, "num_attention_heads": 12},
}
GPUS = ["trainer.gpus=1", "rollout.gpus=1", "trainer.dtype=bfloat16", "rollout.dtype=bfloat16"]


def settings(size: str, **changes: Any) -> Qwen2Config:
    shape = {**SHAPES[size], "vocab_size": 152_064, "tie_word_embeddings": False, **changes}
    return Qwen2Config(**shape, architectures=["Qwen2ForCausalLM"])


def shape_of(config: Qwen2Config) -> ModelShape:
    with torch.device("meta"):
        return ModelShape.of(AutoModelForCausalLM.from_config(config))


@pytest.fixture(scope="module")
def shapes() -> dict[str, ModelShape]:
    return {size: shape_of(settings(size)) for size in SHAPES}


def ready(shape: ModelShape, *words: str, recipe: Config | None = None) -> Config:
    config = resolve(recipe or Config(), overrides=list(words))
    return with_machine(config, shape.parameters, Machine(8, True))


def test_the_shapes_are_those_of_the_models(shapes: dict[str, ModelShape]) -> None:
    """7.62, 14.8 and 32.8 billion; KV of 56, 192 and 256 KiB a token in bfloat16."""
    assert [round(shape.parameters / 1e9, 2) for shape in shapes.values()] == [7.62, 14.77, 32.76]
    assert [2 * 2 * len(s.layers) * s.key_value // 1024 for s in shapes.values()] == [56, 192, 256]
    assert shapes["7b"].root_numbers == 2 * 152_064 * 3584 + 3584


def test_attention_costs_as_much_as_all_else_at_the_length_that_the_operations_say(
    shapes: dict[str, ModelShape],
) -> None:
    """2 N L of the matrices, 2 Q L^2 of causal attention; a layer of Qwen2.5-7B has N = 233,057,792 and Q = 3584."""
    assert shapes["7b"].attention_parity == 233_057_792 // 3584 == 65_027
    for shape in shapes.values():
        length = shape.attention_parity
        matrices, attention = 2 * shape.layer_numbers * length, 2 * shape.query * length**2
        assert 0.99 < attention / matrices <= 1


def test_a_tied_head_is_counted_once() -> None:
    tied, untied = (shape_of(settings("7b", num_hidden_layers=1, tie_word_embeddings=tie)) for tie in (True, False))
    assert untied.parameters - tied.parameters == 152_064 * 3584


def test_what_stays_is_sixteen_bytes_a_parameter_of_the_shard_and_the_reference(shapes: dict[str, ModelShape]) -> None:
    shape = shapes["7b"]
    plain = trainer_account(shape, ready(shape, *GPUS, "trainer.workers=8"), 1024)
    assert plain.static == 16 * shape.sharded(8) == pytest.approx(16 * shape.parameters / 8, rel=1e-3)
    with_reference = trainer_account(shape, ready(shape, *GPUS, "trainer.workers=8", "algorithm.kl_coefficient=0.1"), 1)
    assert with_reference.static - plain.static == 2 * shape.sharded(8)
    of_four = trainer_account(shape, ready(shape, *GPUS, "trainer.workers=8", "trainer.shard_size=4"), 1024)
    assert of_four.static == 16 * shape.sharded(4)


def test_a_shard_is_padded_to_whole_rows() -> None:
    shape = ModelShape(((5, 3),), (((4,), (3, 2)),), 1, 1, 1, 1, 1, 5)
    assert (shape.parameters, shape.layer_numbers, shape.sharded(1)) == (25, 10, 25)
    assert shape.sharded(2) == 3 * 3 + 2 + 2 * 2
    assert shape.sharded(4) == 2 * 3 + 1 + 1 * 2


def test_checkpointing_keeps_one_vector_a_layer_and_token(shapes: dict[str, ModelShape]) -> None:
    """Without it a token of 7B holds about 6.4 MB."""
    shape = shapes["7b"]
    without, kept = (
        activations(shape, 1000, 2, ready(shape, *GPUS, f"trainer.gradient_checkpointing={on}")) / 1000
        for on in ("false", "true")
    )
    assert 5e6 < without < 8e6
    assert kept == pytest.approx(without / 28 + 28 * 2 * 3584)


MEASURED: list[tuple[str, int, str, float]] = [
    ("0.5b", 16_384, "", 30.79),
    ("0.5b", 16_384, "algorithm.kl_coefficient=0.001", 31.97),
    ("0.5b", 16_384, "trainer.lora_rank=16", 22.96),
    ("1.5b", 16_384, "", 70.27),
    ("1.5b", 8_192, "", 48.05),
    ("1.5b", 4_096, "", 36.97),
    ("1.5b", 16_384, "trainer.gradient_checkpointing=true", 27.69),
    ("1.5b", 8_192, "trainer.gradient_checkpointing=true", 26.60),
    ("1.5b", 4_096, "trainer.gradient_checkpointing=true", 26.21),
    ("1.5b", 16_384, "trainer.lora_rank=16", 47.16),
    (
        "1.5b", 8_192,
        "trainer.lora_rank=32 trainer.gradient_checkpointing=true algorithm.kl_coefficient=0.001", 6.52,
    ),
]  # fmt: skip
"""GiB allocated at most by an update on one H200 (``tests/gpu/check.py``), in bfloat16, sequences of 2,048 tokens."""


@pytest.mark.parametrize(("size", "tokens", "words", "allocated"), MEASURED)
def test_the_plan_is_no_less_than_a_gpu_took_and_no_more_than_a_sixth_above(
    size: str, tokens: int, words: str, allocated: float
) -> None:
    further = ["trainer.gradient_checkpointing=false", f"trainer.tokens_per_micro_batch={tokens}", *words.split()]
    config = resolve({}, overrides=[*GPUS, *further])
    made = {**SMALLER[size], "num_key_value_heads": 2, "vocab_size": 151_936, "tie_word_embeddings": True}
    with torch.device("meta"):
        causal = AutoModelForCausalLM.from_config(Qwen2Config(**made, architectures=["Qwen2ForCausalLM"]))
    add_adapters(causal, config.trainer)
    planned = trainer_account(ModelShape.of(causal), config, 2_048).total
    beside = 1.30  # CUDA, kernels and NCCL
    assert allocated + beside <= planned / GIB <= 7 / 6 * (allocated + beside)


def test_what_a_process_takes_of_a_gpu_beside_its_tensors_is_counted_where_it_has_one(
    shapes: dict[str, ModelShape],
) -> None:
    same = ["trainer.dtype=bfloat16", "trainer.gradient_checkpointing=true"]
    with_one, without = (
        dict(trainer_account(shapes["7b"], ready(shapes["7b"], *same, f"trainer.gpus={gpus}"), 1).rows)
        for gpus in (1, 0)
    )
    what = "CUDA, kernels, workspaces"
    assert with_one[what] == CONTEXT > 1.37 * GIB, "1.37 is what was measured"
    assert what not in without


def test_a_rank_on_cpus_holds_the_model_and_its_gradient_whole(shapes: dict[str, ModelShape]) -> None:
    shape = shapes["7b"]
    rows = dict(trainer_account(shape, ready(shape, "trainer.dtype=float32", "trainer.workers=4"), 1).rows)
    assert rows["gathered: the whole model"] == rows["its gradients, float32"] == 4 * shape.parameters


def test_the_cache_is_what_is_left_and_no_more_than_is_asked_for(shapes: dict[str, ModelShape]) -> None:
    shape = shapes["7b"]
    few = ready(shape, *GPUS, "prompts_per_step=1", "sampling.group_size=2", "rollout.replicas=2")
    account, room = replica_account(shape, few, 4096, 80 * GIB)
    assert room == 1 and account.rows[-1][1] == 4096 * 56 * 1024, "one sequence for each replica"
    many = ready(shape, *GPUS, "prompts_per_step=512", "rollout.replicas=2")
    account, room = replica_account(shape, many, 4096, 80 * GIB)
    assert 71.9 * GIB < account.total <= 72 * GIB and room == account.rows[-1][1] // (4096 * 56 * 1024)


def test_a_changing_number_of_replicas_is_planned_at_its_worst(shapes: dict[str, ModelShape]) -> None:
    """The fewest share the sequences, the most hold the weights."""
    shape, words = shapes["7b"], ("prompts_per_step=32", "sampling.group_size=8")
    config = ready(shape, *GPUS, *words, "rollout.replicas=[1,4]")
    assert sequences_at_once(config) == sequences_at_once(ready(shape, *GPUS, *words, "rollout.replicas=1"))
    account, _ = replica_account(shape, config, 4096, 80 * GIB)
    assert account.name == "replica, each GPU of 1 to 4 x 1"
    stored = further_accounts(shape, config)[0].rows[1]
    assert stored == further_accounts(shape, ready(shape, *GPUS, *words, "rollout.replicas=4"))[0].rows[1]


@pytest.mark.parametrize("size", SHAPES)
def test_the_recipes_of_the_papers_sizes_fit(size: str, shapes: dict[str, ModelShape]) -> None:
    """7B on 8 GPUs, 14B on 16, 32B on 32."""
    config = ready(shapes[size], recipe=RECIPES.load(f"sgpo_{size}"))
    gpus = config.trainer.workers[1] + config.rollout.replicas[1] * config.rollout.gpus
    assert gpus == {"7b": 8, "14b": 16, "32b": 32}[size]
    check_fits(shapes[size], config, longest_sequence(config))


REFUSED = [
    ("7b", ["trainer.workers=1"]),
    ("7b", ["trainer.workers=4", "trainer.gradient_checkpointing=false", "trainer.tokens_per_micro_batch=65536"]),
    ("14b", ["trainer.workers=8", "trainer.shard_size=2"]),
    ("32b", ["trainer.workers=64", "gpu_gib=64"]),
    ("32b", ["trainer.workers=4", "rollout.gpus=2", "rollout.engine={tensor_parallel_size: 2}"]),
    ("14b", ["trainer.workers=32", "gpu_gib=24"]),
]


@pytest.mark.parametrize(("size", "words"), REFUSED)
def test_what_cannot_fit_names_settings_with_which_it_does(
    size: str, words: list[str], shapes: dict[str, ModelShape]
) -> None:
    shape, words = shapes[size], [*GPUS, "sampling.max_tokens=4096", *words]
    for _ in range(2):  # the trainer's, and then the replicas'
        config = ready(shape, *words)
        try:
            check_fits(shape, config, longest_sequence(config))
        except ConfigError as error:
            message = str(error)
            assert re.match(
                r"(trainer|rollout): each GPU would hold [\d.]+ GiB, and has \d+ \(gpu_gib\): set ", message
            )
            words = [*words, *message.partition(": set ")[2].split()]
    assert len(words) > len(GPUS) + 2
    config = ready(shape, *words)
    check_fits(shape, config, longest_sequence(config))


def test_what_fits_nowhere_is_said(shapes: dict[str, ModelShape]) -> None:
    config = ready(shapes["32b"], *GPUS, "gpu_gib=4")
    with pytest.raises(ConfigError, match="choose a smaller model, or larger GPUs"):
        check_fits(shapes["32b"], config, 4096)


def test_the_dry_run_of_a_model_that_is_there_is_comments_with_every_total(tmp_path: Path) -> None:
    settings("7b", num_hidden_layers=2).save_pretrained(tmp_path)
    config = resolve({}, overrides=[f"model={tmp_path}", *GPUS, "algorithm.kl_coefficient=0.1"])
    lines = list(memory_comments(config))
    assert all(line.startswith("# ") for line in lines)
    totals = [float(line.split()[-1]) for line in lines if re.match(r"# (trainer|replica)", line)]
    assert len(totals) == 2
    at = next(index for index, line in enumerate(lines) if line.startswith("# trainer"))
    parts = []
    for line in lines[at + 1 :]:
        if not line.startswith("#   "):
            break
        parts.append(float(line.split()[-1]))
    assert sum(parts) == pytest.approx(totals[0], abs=0.05 * len(parts))


def test_a_model_that_is_not_there_is_a_comment_and_an_embedded_one_none() -> None:
    assert list(memory_comments(resolve({}, overrides=["model=tiny"]))) == []
    [line] = memory_comments(resolve({}, overrides=["model=/no/such/folder"]))
    assert line.startswith("# memory is not planned: model=/no/such/folder: ")
