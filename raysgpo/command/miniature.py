"""``--miniature``: any recipe in minutes on a laptop, with a tiny policy and few rows, along the same path.

What makes the method stays: the algorithm, partial credit and how often the judge is asked, guidance and its ratio, the
order, group size, updates, staleness, the schedule of the learning rate. What makes the size goes: model, rows,
lengths, steps, workers, GPUs, and whatever speaks to somebody outside.
"""

from __future__ import annotations

from raysgpo.config import Config, JudgeConfig
from raysgpo.config.model_path import POLICIES, SMOLLM2, TINY, TINY_LONG
from raysgpo.config.overrides import Tree
from raysgpo.config.task_kinds import TASK_KINDS
from raysgpo.tasks.small_rows import LONG, PROGRAMS, ROWS, SHORT, small_rows

STEPS = 4
PROMPTS_PER_STEP = 8
HELD_OUT = 16
MOST_SAMPLES = 4
"""Of ``evaluation.samples``."""
POLICY_OF = {SHORT: (TINY, 64, ""), LONG: (TINY_LONG, 96, ""), PROGRAMS: (SMOLLM2, 96, None)}
"""File of rows to the policy that gets some of them right, its longest answer, and what is said behind a question."""
ANYWHERE: Tree = {"cpus": 0.5, "gpus": 0, "label_selector": None, "dtype": "auto", "threads": None}
"""Of the policy's replicas and of the trainer: on CPUs, sized by the machine."""


def miniature(config: Config) -> Tree:
    """What is laid over the settings of a recipe."""
    samples, updates = config.evaluation.samples, config.optimizer.updates_per_step
    tree = {
        "name": f"{config.name}-miniature",
        "steps": STEPS,
        "prompts_per_step": PROMPTS_PER_STEP,
        "guidance": {"length": None, "max_length": None},
        "judge": _judge(config.judge) if config.algorithm.partial_credit.kind != "none" else {},
        "rollout": ANYWHERE | {"replicas": 1, "engine": {}, "max_model_len": None, "kv_cache_gib": None},
        "trainer": ANYWHERE
        | {"workers": 1, "shard_size": None, "layout": "auto", "attention": None, "tokens_per_micro_batch": 4096},
        "optimizer": {"lr": 1e-4, "updates_per_step": min(updates, PROMPTS_PER_STEP)},
        "evaluation": {"every": STEPS, "prompts": HELD_OUT, "max_tokens": None, "samples": min(samples, MOST_SAMPLES)},
        "checkpoint": {"every": 0, "export_every": 0, "upload": None},
        "records": {"trackers": ["tensorboard"]},
        **_problems(config),
    }
    return {name: value for name, value in tree.items() if value != {}}  # an empty section would undo the recipe's


def _problems(config: Config) -> Tree:
    """Few rows, and a policy that gets some of them right: the task's generated twin, or rows that come along.

    No tiny policy writes programs: code has SmolLM2 (``make model``).
    """
    task, small = config.task, config.task.row.miniature
    if small is None:
        model = config.model if config.model in POLICIES else TINY
        return {"model": model, "task": {"prompts": ROWS} if task.row.fields is None else {}}
    own: Tree = {
        **{"eval_path": None, "columns": {}, "where": None, "eval_where": None, "subset": None},
        **{"max_prompt_tokens": None, "system": None, "examples": 0, "chat_template_kwargs": {}},
    }
    if small in TASK_KINDS:
        generated = {"kind": small, "path": None, "terms": [3], "prompts": ROWS}
        return {"model": TINY, "task": own | generated, "sampling": {"max_tokens": 80, "stop": []}}
    rows = small_rows(small, config.guidance.on)
    model, tokens, instruction = POLICY_OF[rows]
    settings = own | {"path": str(rows), "instruction": instruction}
    return {"model": model, "task": settings, "sampling": {"max_tokens": tokens, "stop": []}}


def _judge(judge: JudgeConfig) -> Tree:
    """The embedded one, asked as often as the recipe's; a judge by rule stays."""
    if judge.kind == "rule":
        return {}
    own = JudgeConfig()
    places = {name: getattr(own, name) for name in ("replicas", "cpus", "gpus", "label_selector", "engine", "base_url")}
    return {**JudgeConfig.presets["tiny"], **places, "replicas": 1, "max_tokens": None}
