"""Adapters alone are trained, and everything that holds for the whole model holds for them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.func import functional_call
from transformers import AutoModelForCausalLM

from raysgpo.config import TrainerConfig
from raysgpo.config.overrides import ConfigError, resolve
from raysgpo.policy import export as export_file
from raysgpo.policy.export import export
from raysgpo.policy.layout import Layout
from raysgpo.policy.loading import check_loadable
from raysgpo.policy.lora import LoraLinear, adapted_layers, is_adapter, without_adapters
from raysgpo.policy.model import TokenScorer
from raysgpo.policy.policy import Policy
from raysgpo.policy.snapshot import check_fit, stored_tensors
from tests.policy.conftest import Build, Sequences, Shares, known, learned, saved
from tests.policy.tensors import Tensors, assert_equal, distance, gradient, weights
from tests.policy.test_ranks import run_ranks

pytestmark = pytest.mark.slow

RANK, ALPHA = 4, 12.0
ADAPTERS: dict[str, Any] = {"lora_rank": RANK, "lora_alpha": ALPHA}
LR = 1e-2


def adapters(policy: Policy) -> Tensors:
    parameters = policy.scorer.causal.named_parameters()
    return {n: p.full_tensor().detach().clone() for n, p in parameters if is_adapter(n)}


def plain_logprobs(model: torch.nn.Module, ids_T: Tensor, merged: Tensors | None = None) -> Tensor:
    """log pi of tokens 1 and on, by transformers alone."""
    logits = functional_call(model, merged or {}, (ids_T[None],)).logits[0, :-1]
    return torch.log_softmax(logits, -1).gather(-1, ids_T[1:, None])[:, 0]


@pytest.fixture
def trained(qwen2: str, build: Build, sequences: Sequences, shares: Shares) -> Policy:
    """One update away from its base."""
    policy = build(qwen2, lr=LR, **ADAPTERS)
    policy.update(shares(sequences(5, seed=0))[0])
    return policy


def test_at_the_start_it_is_its_base_and_every_linear_layer_of_the_decoder_has_an_adapter(
    qwen2: str, build: Build, sequences: Sequences, shares: Shares
) -> None:
    policy, base = build(qwen2, **ADAPTERS), build(qwen2)
    layers = adapted_layers(policy.scorer.causal)
    kinds = "q_proj k_proj v_proj o_proj gate_proj up_proj down_proj".split()
    assert sorted({name.rpartition(".")[2] for name in layers}) == sorted(kinds)
    assert len(layers) == 2 * len(kinds)
    assert all(layer.lora_A.shape[0] == layer.lora_B.shape[1] == RANK for layer in layers.values())
    assert all(layer.scale == ALPHA / RANK for layer in layers.values())
    share = shares(sequences(5, seed=0))[0]
    for mine, theirs in zip(policy.logprobs(share), base.logprobs(share), strict=True):
        assert all((a == b).all() for a, b in zip(mine, theirs, strict=True))
    assert all(torch.equal(value, dict(base.weights())[name]) for name, value in policy.weights())


def test_the_gradient_is_that_of_the_merged_weights_in_plain_transformers(
    trained: Policy, qwen2: str, sequences: Sequences, shares: Shares
) -> None:
    """W + (alpha / rank) B A as a function of A and B, by autograd, under the plain objective at a ratio of 1."""
    made = sequences(5, seed=1)
    [share] = shares(made)
    model = AutoModelForCausalLM.from_pretrained(qwen2, attn_implementation="eager").eval().requires_grad_(False)
    low = {name: value.requires_grad_() for name, value in adapters(trained).items()}
    merged = {}
    for name in {name.rpartition(".")[0] for name in low}:
        change = low[f"{name}.lora_B"] @ low[f"{name}.lora_A"]
        merged[f"{name}.weight"] = model.get_parameter(f"{name}.weight") + ALPHA / RANK * change
    loss = torch.zeros(())
    for s in made:
        logprobs = plain_logprobs(model, torch.from_numpy(s.token_ids_T).long(), merged)
        old, advantage, weight, sampled = (
            torch.from_numpy(array)[1:] for array in (s.logprobs_T, s.advantages_T, s.loss_weight_T, s.sampled_T)
        )
        ratio = torch.where(sampled, (logprobs - old).exp(), (logprobs - logprobs.detach()).exp())
        clipped = torch.where(sampled, ratio.clamp(0.8, 1.2), ratio)
        loss = loss - (torch.minimum(ratio * advantage, clipped * advantage) * weight).sum() / share.denominator
    loss.backward()
    metrics = trained.accumulate(share)
    assert metrics["policy/loss"] == pytest.approx(loss.item(), rel=1e-5)
    plain = {f"{TokenScorer.PREFIX}{name}": value.grad for name, value in low.items() if value.grad is not None}
    assert distance(gradient(trained), plain) < 1e-5


def test_an_update_changes_adapters_alone_and_what_is_published_is_merged(
    trained: Policy, qwen2: str, sequences: Sequences, shares: Shares
) -> None:
    model = AutoModelForCausalLM.from_pretrained(qwen2, attn_implementation="eager")
    before, after = dict(model.named_parameters()), weights(trained)
    assert after.keys() == before.keys(), "no adapter is published"
    held = dict(trained.scorer.causal.named_parameters())
    assert all(torch.equal(held[name].full_tensor(), value) for name, value in before.items())
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {f"{name}.weight" for name in adapted_layers(trained.scorer.causal)}
    model.load_state_dict(after, strict=False)
    made = sequences(5, seed=1)
    [batches] = [trained.logprobs(share) for share in shares(made)]
    found = iter(array for arrays in batches for array in arrays)
    [share] = shares(made)
    for s in (s for cut in share.micro_batches for s in cut):
        plain = plain_logprobs(model, torch.from_numpy(s.token_ids_T).long()).detach().numpy()
        assert next(found)[1:] == pytest.approx(plain * s.scored_T[1:], abs=2e-5)


@pytest.mark.parametrize(
    ("layout", "checkpointing"), [("padded", True), ("packed", False), ("packed", True), ("shared", True)]
)
def test_every_layout_has_the_same_gradient(
    layout: Layout, checkpointing: bool, qwen2: str, build: Build, groups: Sequences, shares: Shares
) -> None:
    made, found = groups(3, 4, seed=3), []
    for settings in ({"layout": "padded"}, {"layout": layout, "gradient_checkpointing": checkpointing}):
        policy = build(qwen2, lr=LR, **ADAPTERS, **settings)
        policy.update(shares(made, budget=120, layout=settings["layout"])[0])
        policy.accumulate(shares(made, budget=120, layout=settings["layout"])[0])
        found.append(gradient(policy))
    assert distance(*found) < 1e-4


def test_the_reference_is_the_base(qwen2: str, build: Build, sequences: Sequences, shares: Shares) -> None:
    policy = build(qwen2, lr=LR, kl=0.1, **ADAPTERS)
    first, second = (shares(sequences(5, seed=k))[0] for k in range(2))
    assert known(policy.update(first), "policy/kl") == 0
    assert policy.reference is policy.scorer, "and costs no second model"
    mine = policy.logprobs(second)
    with without_adapters(policy.scorer):
        base = policy.logprobs(second)
    total, tokens = 0.0, 0
    for cut, arrays, others in zip(second.micro_batches, mine, base, strict=True):
        for s, a, b in zip(cut, arrays, others, strict=True):
            gap = torch.from_numpy(b - a)[torch.from_numpy(s.sampled_T)].double()
            total += float((gap.exp() - gap - 1).sum())
            tokens += len(gap)
    assert known(policy.accumulate(second), "policy/kl") == pytest.approx(total / tokens, rel=1e-4)
    assert all(layer.adapted for layer in adapted_layers(policy.scorer).values())


def test_a_checkpoint_is_the_adapters_and_goes_on_exactly(
    trained: Policy, qwen2: str, build: Build, sequences: Sequences, shares: Shares, tmp_path: Path
) -> None:
    saved(trained, tmp_path)
    names = {name.split(".", 1)[1] for name in stored_tensors(tmp_path) if name.startswith("model.")}
    assert names == set(adapters(trained))
    resumed, share = build(qwen2, lr=LR, **ADAPTERS), shares(sequences(5, seed=2))[0]
    resumed.load(tmp_path)
    assert resumed.update(share) == trained.update(share)
    assert all(torch.equal(value, weights(trained)[name]) for name, value in resumed.weights())
    for words, message in ((TrainerConfig(lora_rank=8), "of the shape"), (TrainerConfig(), "is not in it")):
        with pytest.raises(ValueError, match=message):
            check_fit(tmp_path, check_loadable(qwen2, words))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_an_export_is_the_merged_model_with_the_adapter_in_pefts_format_beside_it(
    dtype: str, trained: Policy, qwen2: str, tmp_path: Path
) -> None:
    saved(trained, tmp_path / "saved")
    export(tmp_path / "saved", tmp_path / "out", dtype)
    number = getattr(torch, dtype)
    found = dict(AutoModelForCausalLM.from_pretrained(tmp_path / "out").named_parameters())
    assert all(torch.equal(found[name], value.to(number)) for name, value in trained.weights())
    assert not (tmp_path / "out" / "adapter_config.json").exists(), "it would be added once more"
    settings = json.loads((tmp_path / "out" / "adapter" / "adapter_config.json").read_text())
    assert (settings["peft_type"], settings["r"], settings["lora_alpha"]) == ("LORA", RANK, ALPHA)
    assert settings["base_model_name_or_path"] == qwen2
    low = load_file(tmp_path / "out" / "adapter" / "adapter_model.safetensors")
    expected = {f"base_model.model.{name}.weight": value for name, value in adapters(trained).items()}
    assert low.keys() == expected.keys() and all(torch.equal(low[name], expected[name]) for name in low)


def test_a_base_of_many_files_is_merged_file_by_file(
    trained: Policy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some of them hold nothing that an adapter stands beside."""
    saved(trained, tmp_path / "saved")
    monkeypatch.setattr(export_file, "FILE_BYTES", 1_000)
    export(tmp_path / "saved", tmp_path / "out", "float32")
    assert len(list((tmp_path / "out").glob("*.safetensors"))) > 10
    assert_equal(dict(AutoModelForCausalLM.from_pretrained(tmp_path / "out").named_parameters()), weights(trained))


def test_vllm_reads_the_adapter(trained: Policy, tmp_path: Path) -> None:
    """Its own reader, which is written against peft's files."""
    from vllm.lora.lora_model import LoRAModel
    from vllm.lora.peft_helper import PEFTHelper

    saved(trained, tmp_path / "saved")
    export(tmp_path / "saved", tmp_path / "out", "bfloat16")
    folder = str(tmp_path / "out" / "adapter")
    helper = PEFTHelper.from_local_dir(folder, max_position_embeddings=128)
    names = adapted_layers(trained.scorer.causal)
    kinds = {name.rpartition(".")[2] for name in names}
    read = LoRAModel.from_local_checkpoint(folder, kinds, helper, lora_model_id=1, device="cpu", dtype=torch.float32)
    assert set(read.loras) == set(names)
    for name, layer in read.loras.items():
        assert torch.equal(layer.lora_a, names[name].lora_A.full_tensor())
        assert layer.scaling == ALPHA / RANK


@pytest.mark.parametrize("world", [4])
def test_any_number_of_ranks_does_what_one_does(
    world: int, qwen2: str, build: Build, sequences: Sequences, shares: Shares, tmp_path: Path
) -> None:
    optimizer = {"max_grad_norm": 0.05, "warmup_steps": 1}
    made, following = sequences(9, seed=1), [(sequences(5, seed=k), k) for k in range(3)]
    policy = build(qwen2, lr=LR, kl=0.1, optimizer=optimizer, layout="padded", **ADAPTERS)
    metrics, slope = policy.accumulate(shares(made, budget=90)[0]), gradient(policy)
    for sequences_, k in following[:2]:
        policy.update(shares(sequences_, budget=90, step=k)[0])
    expected = weights(policy)
    saved(policy, tmp_path / "from_one")
    policy.update(shares(following[2][0], step=2)[0])
    continued = weights(policy)
    several = run_ranks(
        tmp_path,
        {
            "model": qwen2,
            "from_one": str(tmp_path / "from_one"),
            "optimizer": {"lr": LR, **optimizer},
            "trainer": {"layout": "padded", "dtype": "float32", "workers": world, **ADAPTERS},
            "kl": 0.1,
            "gradients": {"many": shares(made, world, budget=90)},
            "updates": [shares(one, world, budget=90, step=k) for one, k in following[:2]],
            "continued": shares(following[2][0], world, step=2),
        },
        world,
    )
    for rank in several:
        found, there = rank["many"]
        assert learned(found) == pytest.approx(learned(metrics), rel=1e-4)
        assert distance(there, slope) < 1e-5
        assert distance(rank["weights"], expected) < 1e-5
        assert distance(rank["continued"], continued) < 1e-5
    policy.load(tmp_path / "from_several")
    assert distance(weights(policy), expected) < 1e-5


def test_in_bfloat16_the_base_is_stored_in_it_and_adapters_are_not(
    qwen2: str, build: Build, sequences: Sequences, shares: Shares
) -> None:
    policy = build(qwen2, lr=LR, dtype="bfloat16", **ADAPTERS)
    policy.update(shares(sequences(5, seed=0))[0])
    for name, parameter in policy.scorer.causal.named_parameters():
        assert parameter.dtype is (torch.float32 if is_adapter(name) else torch.bfloat16)
        assert parameter.requires_grad == is_adapter(name)
    assert all(value.abs().sum() > 0 for value in adapters(policy).values())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["trainer.lora_alpha=8"], "trainer.lora_alpha is of adapters, and there are none: set trainer.lora_rank"),
        (["trainer.lora_targets=[q_proj]"], "trainer.lora_targets is of adapters, and there are none"),
        (["trainer.lora_rank=0"], "trainer.lora_rank=0"),
    ],
)
def test_wrong_settings_are_one_line(words: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        resolve({}, overrides=words)


def test_a_target_that_is_not_there_is_named_with_those_that_are(qwen2: str) -> None:
    trainer = TrainerConfig(lora_rank=4, lora_targets=("q_proj", "query_key_value"))
    with pytest.raises(ValueError, match=r"no linear layer query_key_value in its .*; it has down_proj, gate"):
        check_loadable(qwen2, trainer)
    causal = check_loadable(qwen2, TrainerConfig(lora_rank=4, lora_targets=("q_proj", "v_proj")))
    assert {name.rpartition(".")[2] for name in adapted_layers(causal)} == {"q_proj", "v_proj"}
    assert sum(isinstance(module, LoraLinear) for module in causal.modules()) == 4
