"""The scorer against the model's own logits, of architectures that change them after the head and of plain ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import (
    CohereConfig,
    CohereForCausalLM,
    FalconH1Config,
    FalconH1ForCausalLM,
    Gemma2Config,
    Gemma2ForCausalLM,
    GraniteConfig,
    GraniteForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from raysgpo.config.trainer import VARLEN
from raysgpo.policy.layout import Layout
from raysgpo.policy.model import TokenScorer
from raysgpo.policy.plain_attention import attends_plainly
from raysgpo.policy.plain_head import changed_logits
from raysgpo.policy.scorer_check import check_scorer
from tests.policy.conftest import Build, checkpoint

SMALL = {
    "vocab_size": 99,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
}
FALCON_H1 = {"mamba_d_ssm": 32, "mamba_n_heads": 4, "mamba_d_head": 8, "mamba_d_state": 8, "mamba_chunk_size": 16}
ARCHITECTURES: dict[str, tuple[type, type[PreTrainedModel], dict[str, Any]]] = {
    "qwen2": (Qwen2Config, Qwen2ForCausalLM, {}),
    "llama": (LlamaConfig, LlamaForCausalLM, {}),
    "gemma2": (Gemma2Config, Gemma2ForCausalLM, {"head_dim": 8, "final_logit_softcapping": None, "pad_token_id": 0}),
    "granite": (GraniteConfig, GraniteForCausalLM, {"logits_scaling": 1.0}),
    "cohere": (CohereConfig, CohereForCausalLM, {"logit_scale": 1.0, "pad_token_id": 0, "eos_token_id": 1}),
    "falcon_h1": (FalconH1Config, FalconH1ForCausalLM, FALCON_H1),
}
CHANGES = [
    ("gemma2", {"final_logit_softcapping": 30.0}),
    ("gemma2", {"final_logit_softcapping": 1000.0}),
    ("granite", {"logits_scaling": 8.0}),
    ("granite", {"logits_scaling": 1.001}),
    ("cohere", {"logit_scale": 0.0625}),
    ("falcon_h1", {"lm_head_multiplier": 0.039}),
]


def random_model(name: str, **changes: Any) -> PreTrainedModel:
    """As small as usual: its logits are near 0, where a cap does nothing."""
    settings, model, own = ARCHITECTURES[name]
    torch.manual_seed(3)
    config = settings(**{**SMALL, **own, **changes})
    return model._from_config(config, attn_implementation=VARLEN if attends_plainly(config) else "eager").eval()


def check(name: str, model: PreTrainedModel, layout: Layout) -> None:
    check_scorer(name, TokenScorer(model, temperature=0.7, chunk=64), layout, "float32")


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_a_plain_head_of_any_architecture_agrees(name: str, tied: bool) -> None:
    model = random_model(name, tie_word_embeddings=tied)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    logits = model(input_ids=torch.arange(5)[None]).logits
    check("m", model, "shared" if attends_plainly(model.config) else "padded")
    assert attends_plainly(model.config) == (name not in ("falcon_h1", "gemma2"))
    assert changed_logits(model.config) is None
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert torch.equal(model(input_ids=torch.arange(5)[None]).logits, logits), "it came back as it was"


@pytest.mark.parametrize(("name", "change"), CHANGES)
def test_changed_logits_are_refused_by_their_setting_and_without_knowing_it(
    name: str, change: dict[str, float]
) -> None:
    model = random_model(name, **change)
    [(setting, value)] = change.items()
    assert changed_logits(model.config) == f"{setting}={value}"
    with pytest.raises(ValueError, match=rf"^model=m: its own logprobs .* differ by up to .* {type(model).__name__}"):
        check("m", model, "shared" if attends_plainly(model.config) else "padded")


class _Doubtful(Qwen2ForCausalLM):
    """An architecture of nobody's: ``change`` is what it does to its logits, said by no setting."""

    change = staticmethod(lambda logits: logits)

    def forward(self, *arguments: Any, **named: Any) -> Any:
        output = super().forward(*arguments, **named)
        output.logits = self.change(output.logits)
        return output


def _one_token_off(logits: Tensor) -> Tensor:
    return torch.cat([logits[..., :1] - 1e4, logits[..., 1:]], dim=-1)


@pytest.mark.parametrize(
    "change",
    [lambda logits: logits * 0.99, lambda logits: torch.tanh(logits / 100) * 100, _one_token_off],
    ids=["multiplier", "cap", "masked token"],
)
def test_what_no_setting_says_is_found_too(change: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    model = _Doubtful._from_config(Qwen2Config(**SMALL), attn_implementation=VARLEN).eval()
    check("m", model, "shared")
    monkeypatch.setattr(_Doubtful, "change", staticmethod(change))
    with pytest.raises(ValueError, match="in a way that the trainer does not know"):
        check("m", model, "shared")


def test_a_bias_of_the_head_is_found_and_a_model_without_a_head_is_named() -> None:
    model = random_model("qwen2", tie_word_embeddings=False)
    model.lm_head.bias = nn.Parameter(torch.linspace(0, 1, SMALL["vocab_size"]))
    with pytest.raises(ValueError, match="differ by up to"):
        check("m", model, "shared")
    with pytest.raises(ValueError, match="no output head over tokens"):
        check("m", model.model, "shared")


def test_in_bfloat16_as_strictly(build: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousandth of the largest logit is 0.06 nats, which rounding it twice to bfloat16 would hide."""
    path = checkpoint(tmp_path, LlamaForCausalLM, LlamaConfig(**SMALL))
    build(path, dtype="bfloat16")
    forward = LlamaForCausalLM.forward

    def changed(*arguments: Any, **named: Any) -> Any:
        output = forward(*arguments, **named)
        output.logits = output.logits * 0.999
        return output

    monkeypatch.setattr(LlamaForCausalLM, "forward", changed)
    with pytest.raises(ValueError, match="in a way that the trainer does not know"):
        build(path, dtype="bfloat16")


def test_a_policy_and_its_reference_are_checked_when_they_are_built(
    build: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = checkpoint(tmp_path, LlamaForCausalLM, LlamaConfig(**SMALL))
    build(path, kl=0.1)
    forward = LlamaForCausalLM.forward

    def changed(*arguments: Any, **named: Any) -> Any:
        output = forward(*arguments, **named)
        output.logits = output.logits / 2
        return output

    monkeypatch.setattr(LlamaForCausalLM, "forward", changed)
    with pytest.raises(ValueError, match=f"^model={path}: its own logprobs"):
        build(path)
