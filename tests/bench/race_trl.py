"""GRPO by TRL on a task of ours: the other side of ``race.py``, in a process of its own.

python tests/bench/race_trl.py OUT RECIPE [key=value ...]

Prints a line of JSON for each step. Model, prompts under the chat template, batch, lengths, optimizer, clip and
denominator are those of the settings; the reward is the task's grader. OUT: where the trained policy is written.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

from datasets import Dataset
from transformers import AutoConfig, TrainerCallback
from trl import GRPOConfig, GRPOTrainer

from raysgpo.command.configure import configure
from raysgpo.command.words import Words
from raysgpo.config import Config
from raysgpo.config.places import user_path
from raysgpo.groups.order import Order
from raysgpo.policy.model_size import parameters
from raysgpo.records import Problem, Turns
from raysgpo.start.machine import Machine, cpu_dtype
from raysgpo.start.preparation import find_model
from raysgpo.tasks.kinds import build_task
from raysgpo.tasks.turns import turns_before
from tests.bench.race import RECIPES


class Told(TrainerCallback):
    """Seconds of each step by the clock, from the end of the one before."""

    def __init__(self) -> None:
        self._before = time.perf_counter()

    def on_log(self, arguments: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any) -> None:
        if logs and "reward" in logs:
            now = time.perf_counter()
            answers = arguments.per_device_train_batch_size * arguments.gradient_accumulation_steps
            tokens = logs["completions/mean_length"] * answers
            row = {"step": state.global_step, "seconds": now - self._before, "tokens": tokens, "reward": logs["reward"]}
            print(json.dumps(row), flush=True)
            self._before = now

    def on_train_begin(self, *_: Any, **__: Any) -> None:
        self._before = time.perf_counter()


def rows(config: Config, problems: list[Problem], before: Turns) -> Dataset:
    """The prompts of all steps, in the order in which a run visits them."""
    order = Order(len(problems), config.seed)
    count = (config.steps or 1) * config.prompts_per_step
    shown = [problems[order.at(position)[1]] for position in range(count)]
    chat = [[{"role": role, "content": text} for role, text in (*before, ("user", one.prompt))] for one in shown]
    return Dataset.from_dict({"prompt": chat, "place": [problems.index(one) for one in shown]})


def main() -> None:
    out, recipe, *overrides = sys.argv[1:]
    config = configure(Words(recipe, None, overrides), RECIPES)
    task = build_task(config)
    before, problems = turns_before(config.task, task.train)

    def correct(completions: list[Any], place: list[int], **_: Any) -> list[float]:
        texts = [completion[0]["content"] for completion in completions]
        return [sum(task.grade(problems[at], text).parts.values()) for at, text in zip(place, texts, strict=True)]

    model = find_model(config, print)
    chosen = config.trainer.dtype
    if chosen == "auto":  # as a run of ours chooses
        chosen = cpu_dtype(parameters(AutoConfig.from_pretrained(model)), Machine.here())
    answers = config.prompts_per_step * config.sampling.group_size
    # A pass over all answers of a real model takes more than 24 GB: one over a group's, as ours.
    a_pass = answers if config.model == "tiny" else config.sampling.group_size
    arguments = GRPOConfig(
        output_dir=str(user_path(out)),
        use_cpu=True,
        bf16=chosen == "bfloat16",
        model_init_kwargs={"dtype": "float32"},
        max_steps=config.steps or 1,
        per_device_train_batch_size=a_pass,
        gradient_accumulation_steps=answers // a_pass,
        num_generations=config.sampling.group_size,
        max_completion_length=config.sampling.max_tokens,
        temperature=config.sampling.temperature,
        learning_rate=config.optimizer.lr,
        warmup_steps=config.optimizer.warmup_steps,
        lr_scheduler_type="constant_with_warmup",
        weight_decay=config.optimizer.weight_decay,
        adam_beta1=config.optimizer.betas[0],
        adam_beta2=config.optimizer.betas[1],
        max_grad_norm=config.optimizer.max_grad_norm,
        beta=0.0,
        epsilon=0.2,
        loss_type="dapo",
        scale_rewards="group",
        gradient_checkpointing=False,
        shuffle_dataset=False,
        logging_steps=1,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        seed=config.seed,
    )
    trainer = GRPOTrainer(
        model=model,
        reward_funcs=correct,
        args=arguments,
        train_dataset=rows(config, problems, before),
        callbacks=[Told()],
    )
    print(json.dumps({"ready": True}), flush=True)
    trainer.train()
    trainer.save_model(str(user_path(out)))


if __name__ == "__main__":
    main()
