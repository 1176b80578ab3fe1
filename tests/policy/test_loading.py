"""What is read shard by shard is what transformers reads whole; and weights that are another model's are named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import DTensor
from transformers import (
    AutoModelForCausalLM,
    Gemma2Config,
    Gemma2ForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    LlamaPreTrainedModel,
    PreTrainedModel,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from raysgpo.config import TrainerConfig
from raysgpo.policy.loading import check_loadable, load_scorer
from raysgpo.policy.model import TokenScorer
from tests.policy.test_scorer_check import SMALL

pytestmark = pytest.mark.slow

YARN = {"rope_type": "yarn", "factor": 2.0, "original_max_position_embeddings": 32, "rope_theta": 1e4}
MODELS: dict[str, tuple[type, type, dict[str, Any]]] = {
    "qwen2": (Qwen2Config, Qwen2ForCausalLM, {}),
    "qwen3": (Qwen3Config, Qwen3ForCausalLM, {"head_dim": 8}),
    "llama": (LlamaConfig, LlamaForCausalLM, {}),
    "yarn": (LlamaConfig, LlamaForCausalLM, {"rope_parameters": YARN}),
    "gemma2": (Gemma2Config, Gemma2ForCausalLM, {"head_dim": 8, "final_logit_softcapping": None, "pad_token_id": 0}),
}


def saved(folder: Path, name: str, tied: bool = False, **how: Any) -> Path:
    settings, model, own = MODELS[name]
    torch.manual_seed(5)
    model(settings(**{**SMALL, **own, "tie_word_embeddings": tied})).save_pretrained(folder, **how)
    return folder


def loaded(folder: Path, dtype: torch.dtype = torch.float32) -> TokenScorer:
    mesh = init_device_mesh("cpu", (1,))
    return load_scorer(str(folder), TrainerConfig(dtype="float32"), 1.0, mesh, dtype)


def tensors(model: PreTrainedModel) -> dict[str, torch.Tensor]:
    named = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    return {name: t.full_tensor() if isinstance(t, DTensor) else t for name, t in named.items()}


def same(folder: Path, dtype: torch.dtype = torch.float32) -> None:
    expected = tensors(AutoModelForCausalLM.from_pretrained(folder, dtype=dtype))
    found = tensors(loaded(folder, dtype).causal)
    assert found.keys() == expected.keys() and any("inv_freq" in name for name in found)
    for name, tensor in found.items():
        assert tensor.dtype == expected[name].dtype and torch.equal(tensor, expected[name]), name


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("name", MODELS)
def test_every_tensor_is_the_one_that_transformers_reads(one_rank: None, name: str, tied: bool, tmp_path: Path) -> None:
    same(saved(tmp_path, name, tied))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_from_several_files_in_another_type(one_rank: None, dtype: torch.dtype, tmp_path: Path) -> None:
    """Frequencies stay float32, whatever the parameters are."""
    settings, model, _ = MODELS["qwen2"]
    model(settings(**SMALL)).to(torch.bfloat16).save_pretrained(tmp_path, max_shard_size="10KB")
    assert len(list(tmp_path.glob("*.safetensors"))) > 2
    same(tmp_path, dtype)


def test_a_tied_head_stays_tied(one_rank: None, tmp_path: Path) -> None:
    causal = loaded(saved(tmp_path, "llama", tied=True)).causal
    assert causal.get_output_embeddings().weight is causal.get_input_embeddings().weight


def rewritten(folder: Path, change: Any) -> Path:
    file = folder / "model.safetensors"
    stored = load_file(file)
    change(stored)
    save_file(stored, file)
    return folder


def test_files_of_the_model_without_its_head_will_do_where_the_head_is_tied(one_rank: None, tmp_path: Path) -> None:
    def without_base(stored: dict[str, torch.Tensor]) -> None:
        for name in list(stored):
            stored[name.removeprefix("model.")] = stored.pop(name)

    same(rewritten(saved(tmp_path, "qwen2", tied=True), without_base))


def test_what_old_checkpoints_hold_beside_is_passed_over(one_rank: None, tmp_path: Path) -> None:
    def older(stored: dict[str, torch.Tensor]) -> None:
        stored["model.layers.0.self_attn.rotary_emb.inv_freq"] = torch.zeros(4)
        stored["lm_head.weight"] = stored["model.embed_tokens.weight"].clone()

    same(rewritten(saved(tmp_path, "llama", tied=True), older))


LAST = "model.layers.1.mlp.up_proj.weight"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda stored: stored.pop(LAST), f"they have no {LAST}, which LlamaForCausalLM of num_hidden_layers=2"),
        (lambda stored: stored.update({"model.layers.2.x": torch.zeros(1)}), "they have model.layers.2.x, which Llama"),
        (lambda stored: stored.update({LAST: torch.zeros(47, 32)}), rf"{LAST} has the shape \[47, 32\] there and \[48"),
    ],
)
def test_weights_of_another_model_are_named(change: Any, said: str, tmp_path: Path) -> None:
    folder = rewritten(saved(tmp_path, "llama"), change)
    with pytest.raises(ValueError, match=rf"^model={folder}: its weights cannot be used: {said}"):
        check_loadable(str(folder), TrainerConfig())


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    folder = saved(tmp_path, "llama")
    check_loadable(str(folder), TrainerConfig())
    (folder / "model.safetensors").write_bytes(b"{}")
    with pytest.raises(ValueError, match=r"its weights cannot be used: model.safetensors cannot be read"):
        check_loadable(str(folder), TrainerConfig())
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(ValueError, match=r"neither model.safetensors nor .* save it again with save_pretrained"):
        check_loadable(str(folder), TrainerConfig())
    (folder / "model.safetensors.index.json").write_text("[]")
    with pytest.raises(ValueError, match=r"model.safetensors.index.json cannot be read"):
        check_loadable(str(folder), TrainerConfig())


def test_what_cannot_be_sharded_or_trained_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = saved(tmp_path, "llama")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"quantization_config": {"quant_method": "gptq"}}))
    with pytest.raises(ValueError, match=r"its weights are quantized \(gptq\), .* that they were made from"):
        check_loadable(str(folder), TrainerConfig())
    (folder / "config.json").write_text(json.dumps(config))
    monkeypatch.setattr(LlamaPreTrainedModel, "_no_split_modules", None)
    with pytest.raises(ValueError, match="LlamaForCausalLM does not say which of its modules are layers"):
        check_loadable(str(folder), TrainerConfig())


@pytest.mark.parametrize(
    ("attention", "why"), [("flash_attention_2", "FlashAttention2"), ("nonsense", 'attn_implementation="nonsense"')]
)
def test_a_kernel_that_is_not_here_is_refused_by_its_setting(attention: str, why: str, qwen2: str) -> None:
    with pytest.raises(ValueError, match=rf"^trainer.attention={attention} cannot be used .*{why}.*: leave it out"):
        check_loadable(qwen2, TrainerConfig(attention=attention))
    check_loadable(qwen2, TrainerConfig(attention=attention, gpus=1))  # the workers' GPUs may have it
