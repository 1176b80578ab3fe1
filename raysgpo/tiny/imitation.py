"""The SFT contrast of guidance: the policy learns the same trajectories by heart, with a held-out loss.

Shape legend: _B sequences of a batch, _T tokens (padded), _V vocabulary.
"""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import cross_entropy
from transformers import AutoModelForCausalLM, PreTrainedModel, PreTrainedTokenizerBase

from raysgpo.config import Config, EvaluationConfig, Section, TaskConfig
from raysgpo.config.model_path import TINY, check_model_path
from raysgpo.policy.prompts import encode, load_tokenizer
from raysgpo.records import Problem
from raysgpo.seeds import derive_seed
from raysgpo.tasks.kinds import build_task
from raysgpo.tiny import sft
from raysgpo.tiny.embedded import embedded_policy
from raysgpo.tiny.model_cache import find_or_make, fingerprint
from raysgpo.tiny.sft import IGNORED, teach, torch_setting

Example = tuple[list[int], int]
"""Token ids of prompt and answer, and how many of them are the prompt's."""


class ImitationConfig(Section):
    """What is learned by heart, and how."""

    model: str = TINY
    """As ``model`` of a run: a folder, a hub name, ``tiny`` or ``tiny_long``."""
    task: TaskConfig = TaskConfig()
    held_out: int = Field(128, ge=1)
    """Held-out problems, those that a run with so many ``evaluation.prompts`` evaluates."""
    seed: int = Field(0, ge=0)
    """Of the order of the trajectories."""
    steps: int = Field(80, ge=1)
    batch_size: int = Field(32, ge=1)
    lr: float = Field(1e-4, gt=0)
    every: int = Field(10, ge=1)
    """Steps between two looks at the held-out loss."""
    threads: int = Field(2, ge=1)


def imitate(cache: Path, config: ImitationConfig, report: Callable[[str], None] = print) -> Path:
    """The folder of the trained policy in Hugging Face format, made now unless it is there already.

    ``losses.jsonl`` in it has the held-out loss: nats a token of the held-out trajectories, by step.

    Raises:
        ValueError: there is no such model, the task cannot be built, or a problem has no trajectory.
    """
    check_model_path(config.model)
    embedded = embedded_policy(config.model, config.task, cache, report)
    if embedded is not None:
        config = config.model_copy(update={"model": str(embedded)})
    target = cache / "models" / f"imitation-{fingerprint(config, (sys.modules[__name__], sft))}"
    return find_or_make(target, lambda folder: _make(folder, config, report))


def _make(folder: Path, config: ImitationConfig, report: Callable[[str], None]) -> None:
    task = build_task(Config(task=config.task, evaluation=EvaluationConfig(prompts=config.held_out)))
    tokenizer = load_tokenizer(config.model)
    train, held_out = (_examples(tokenizer, part) for part in (task.train, task.held_out))
    losses: list[dict[str, float]] = []
    with torch_setting(config.threads, derive_seed("imitation", config.seed)):
        model = AutoModelForCausalLM.from_pretrained(config.model, dtype=torch.float32)

        def look(step: int) -> None:
            losses.append({"step": step, "loss": held_out_loss(model, held_out, config.batch_size)})
            report(f"imitation: held-out loss {losses[-1]['loss']:.4f} after {step} steps")

        batches = _watched(_batches(train, config), config.every, look)
        teach(model, batches, config.steps, config.lr, report, "imitation")
        look(config.steps)
    model.eval().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    (folder / "losses.jsonl").write_text("".join(json.dumps(row) + "\n" for row in losses))


def _examples(tokenizer: PreTrainedTokenizerBase, problems: Sequence[Problem]) -> list[Example]:
    missing = [problem.id for problem in problems if not problem.reference]
    if missing:
        raise ValueError(
            f"{len(missing)} of {len(problems)} rows have no solution to imitate (the first: {missing[0]})"
        )
    return [_example(tokenizer, problem) for problem in problems]


def _example(tokenizer: PreTrainedTokenizerBase, problem: Problem) -> Example:
    prompt = encode(tokenizer, problem).token_ids
    answer = tokenizer(problem.reference or "", add_special_tokens=False)["input_ids"]
    return [*prompt, *answer, tokenizer.eos_token_id], len(prompt)


def _batches(examples: Sequence[Example], config: ImitationConfig) -> Iterator[tuple[Tensor, Tensor]]:
    """Epoch after epoch, each in an order of its own."""
    rng = random.Random(derive_seed("imitation order", config.seed))
    while True:
        order = rng.sample(range(len(examples)), len(examples))
        for start in range(0, len(order), config.batch_size):
            yield tensors([examples[index] for index in order[start : start + config.batch_size]])


def _watched(
    batches: Iterator[tuple[Tensor, Tensor]], every: int, look: Callable[[int], None]
) -> Iterator[tuple[Tensor, Tensor]]:
    """The batches; before each ``every``-th the number of steps done so far is told."""
    for step, batch in enumerate(batches):
        if step % every == 0:
            look(step)
        yield batch


def tensors(examples: Sequence[Example]) -> tuple[Tensor, Tensor]:
    """Token ids and labels [_B, _T], padded on the right; only the answers carry loss."""
    longest = max(len(ids) for ids, _ in examples)
    ids_BT = torch.zeros((len(examples), longest), dtype=torch.int64)
    labels_BT = torch.full((len(examples), longest), IGNORED)
    for row, (ids, prompt) in enumerate(examples):
        ids_BT[row, : len(ids)] = torch.tensor(ids)
        labels_BT[row, prompt : len(ids)] = torch.tensor(ids[prompt:])
    return ids_BT, labels_BT


@torch.no_grad()
def held_out_loss(model: PreTrainedModel, examples: Sequence[Example], batch_size: int) -> float:
    """Mean of -log p over all answer tokens, end of turn included, in nats. Leaves the model as it was."""
    was_training = model.training
    model.eval()
    total, tokens = 0.0, 0
    for start in range(0, len(examples), batch_size):
        ids_BT, labels_BT = tensors(examples[start : start + batch_size])
        logits_BTV = model(input_ids=ids_BT, use_cache=False).logits
        targets = labels_BT[:, 1:].flatten()
        total += cross_entropy(logits_BTV[:, :-1].flatten(0, 1), targets, ignore_index=IGNORED, reduction="sum").item()
        tokens += int((targets != IGNORED).sum())
    model.train(was_training)
    return total / tokens
