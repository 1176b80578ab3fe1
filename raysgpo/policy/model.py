"""A causal language model that answers with logprobs, sharded by FSDP2.

Shape legend: _R rows, _L tokens of a row, _A all tokens of a pass, _N scored tokens,
_H hidden size.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard, register_fsdp_forward_method
from torch.distributed.tensor import DTensor
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel
from transformers.utils import logging as transformers_logging

from raysgpo.config import TrainerConfig
from raysgpo.policy import varlen  # noqa: F401  the kernel that it names has to be known when a model is made
from raysgpo.policy.batch import ScorerInput
from raysgpo.policy.logprobs import token_logprobs
from raysgpo.policy.plain_head import changed_logits, refusal


class TokenScorer(nn.Module):
    """Wraps a transformers model; its forward gives logprobs of chosen tokens, never all the logits.

    The head runs inside this forward, because FSDP2 holds the head's full weight only there.
    """

    PREFIX = "causal."
    """What our parameter names carry before transformers' names."""

    def __init__(self, causal: PreTrainedModel, temperature: float, chunk: int) -> None:
        super().__init__()
        self.causal = causal
        self.temperature = temperature
        self.chunk = chunk

    def forward(self, inputs: ScorerInput) -> tuple[Tensor, Tensor]:
        """Logprobs [N] and entropies [N] at the sampling temperature."""
        output = self.causal.base_model(
            input_ids=inputs.token_ids_RL,
            position_ids=inputs.position_ids_RL,
            attention_mask=None,
            use_cache=False,
            **(inputs.packing.for_kernels() if inputs.packing is not None else {}),
        )
        hidden_AH = output.last_hidden_state.flatten(0, 1)
        head = self.causal.get_output_embeddings()
        return token_logprobs(hidden_AH[inputs.predict_N], head.weight, inputs.targets_N, self.temperature, self.chunk)

    def own_logits(self, token_ids_RL: Tensor) -> Tensor:
        """The model's own [R, L, V], at no temperature: to compare with, for a few tokens."""
        logits_RLV: Tensor = self.causal(input_ids=token_ids_RL, use_cache=False).logits
        return logits_RLV


def training_device() -> torch.device:
    """This rank's GPU (by LOCAL_RANK), or the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    return torch.device("cpu")


def build_causal(model_path: str, attention: str, dtype: torch.dtype = torch.float32) -> PreTrainedModel:
    """The architecture that ``config.json`` names, on the meta device: without weights, and without dropout.

    Raises:
        ValueError: there is none, transformers does not know it, or we would get it wrong.
    """
    transformers_logging.disable_progress_bar()
    with _naming(model_path):
        config = AutoConfig.from_pretrained(model_path)
    _refuse_quantized(model_path, config)
    _without_dropout(config)
    with _naming(model_path, attention), torch.device("meta"):
        causal = AutoModelForCausalLM.from_config(config, dtype=dtype, attn_implementation=attention)
    _refuse_unknown_heads(model_path, causal)
    if not causal._no_split_modules:
        raise ValueError(
            f"model={model_path}: {type(causal).__name__} does not say which of its modules are layers "
            "(_no_split_modules), so it cannot be sharded layer by layer: choose another model"
        )
    return causal


@contextmanager
def _naming(model_path: str, attention: str = "eager") -> Iterator[None]:
    """What transformers cannot do with a model or its attention kernel, with its name and what to give instead."""
    try:
        yield
    except (OSError, ValueError, ImportError) as error:
        if attention != "eager" and (isinstance(error, ImportError) or "attn_implementation" in str(error)):
            why = str(error).partition("The only possible arguments")[0].strip().splitlines()[0].rstrip(".")
            raise ValueError(
                f"trainer.attention={attention} cannot be used with model={model_path}: {why}: leave it out, and the "
                "kernel is chosen, or choose another, such as sdpa"
            ) from error
        kind = "folder" if Path(model_path).exists() else "name (there is no such folder here)"
        raise ValueError(
            f"model={model_path}: transformers cannot load this {kind}: "
            f"{error}. Give a folder or a hub name that holds a causal language model"
        ) from error


def _without_dropout(config: Any) -> None:
    """Dropout would make the trainer's logprobs differ from the sampler's: every such rate becomes 0."""
    for name, value in list(vars(config).items()):
        if ("dropout" in name or name.endswith("_pdrop")) and isinstance(value, float):
            setattr(config, name, 0.0)


def _refuse_quantized(model_path: str, config: Any) -> None:
    quantized = getattr(config, "quantization_config", None)
    if quantized is not None:
        method = quantized.get("quant_method") if isinstance(quantized, dict) else None
        raise ValueError(
            f"model={model_path}: its weights are quantized ({method or 'quantization_config'}), which cannot be "
            "trained: give the checkpoint that they were made from"
        )


def _refuse_unknown_heads(model_path: str, causal: PreTrainedModel) -> None:
    if (change := changed_logits(causal.config)) is not None:
        raise ValueError(refusal(model_path, f"its config sets {change}"))
    if getattr(causal.get_output_embeddings(), "bias", None) is not None:
        raise ValueError(f"model={model_path}: its output head has a bias, which the trainer does not support")


def decoder_layers(causal: PreTrainedModel) -> list[nn.Module]:
    """What is sharded and gathered as one, in the model's order; the rest is the root."""
    classes = set(causal._no_split_modules or ())
    return [module for module in causal.modules() if type(module).__name__ in classes]


def rank_mesh(device_type: str, world: int, shard_size: int | None) -> DeviceMesh:
    """All ranks in a row, or in rows of ``shard_size``, each row with a copy of the model."""
    if shard_size is None or shard_size == world:
        return init_device_mesh(device_type, (world,))
    shape = (world // shard_size, shard_size)
    return init_device_mesh(device_type, shape, mesh_dim_names=("replicate", "shard"))


def whole(tensor: Tensor) -> Tensor:
    """All of it, on every rank. Collective where it is sharded."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def before_pass(scorer: TokenScorer, last: bool) -> None:
    """What the next backward pass leaves to the update's ``last``.

    Gradients are summed over the copies of the model once. On a CPU, which copies memory slowly and has much of it, so
    are they over the shards of a copy, and the weights stay whole from the first pass to the end of the last."""
    assert isinstance(scorer, FSDPModule)
    scorer.set_requires_all_reduce(last)
    if keeps_whole(training_device().type):
        scorer.set_requires_gradient_sync(last)
        scorer.set_reshard_after_backward(last)


def keeps_whole(device_type: str) -> bool:
    """Whether a rank there has the weights whole from one pass to the next."""
    return device_type == "cpu"


def reshard(scorer: TokenScorer) -> None:
    """After forward passes alone: whatever is still whole is given up."""
    for module in scorer.modules():
        if isinstance(module, FSDPModule):
            module.reshard()


def shard(causal: PreTrainedModel, trainer: TrainerConfig, temperature: float, mesh: DeviceMesh) -> TokenScorer:
    """Wrap and shard over the mesh: each decoder layer alone, and the rest (embedding, norm, head).

    Parameters keep their type whatever ``trainer.dtype``; with bfloat16, forward and backward use a
    rounded copy, and gradients are summed over ranks in float32.
    """
    if trainer.gradient_checkpointing:
        causal.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    scorer = TokenScorer(causal, temperature, trainer.chunk(causal.config.get_text_config().vocab_size))
    scorer.train()  # Gradient checkpointing acts in this mode only; there is no dropout to wake up.
    settings: dict[str, Any] = {"mesh": mesh}
    if keeps_whole(mesh.device_type):
        settings["reshard_after_forward"] = False
    if trainer.dtype == "bfloat16":
        settings["mp_policy"] = MixedPrecisionPolicy(param_dtype=torch.bfloat16, reduce_dtype=torch.float32)
    for layer in decoder_layers(causal):
        fully_shard(layer, **settings)
    fully_shard(scorer, **settings)
    register_fsdp_forward_method(scorer, "own_logits")
    _sum_gradients(scorer)
    return scorer


def _sum_gradients(scorer: TokenScorer) -> None:
    """Add the ranks' gradients up instead of averaging them: the loss has its global denominator already.

    It takes both calls. Sum reduction alone still divides by the number of ranks afterwards, and a
    divide factor of 1 alone asks gloo for a premultiplied sum, which it does not have.
    """
    for module in scorer.modules():
        if isinstance(module, FSDPModule):
            module.set_gradient_divide_factor(1.0)
            module.set_force_sum_reduction_for_comms(True)
