"""Settings of what a run measures, saves and writes down."""

from __future__ import annotations

import sys
from typing import Annotated, Literal

from pydantic import Field

from raysgpo.config.section import Section
from raysgpo.config.trackers import TrackerNames


class EvaluationConfig(Section):
    """Held-out prompts, on the rollout replicas, outside the window."""

    every: int = Field(10, ge=0)
    """Steps between evaluations; the last step is always evaluated; 0 never evaluates."""
    prompts: Annotated[int, Field(ge=1)] | Literal["all"] = 128
    """Number of held-out prompts; ``all``: every row of ``task.eval_path``."""
    temperature: float = Field(0.0, ge=0)
    """0 is greedy."""
    max_tokens: int | None = Field(None, ge=1)
    """Longest answer; None: that of training, ``sampling.max_tokens``."""
    top_p: float = Field(1.0, gt=0, le=1)
    """Of the answers that are drawn; 1: the full distribution."""
    top_k: int = Field(0, ge=0)
    """Of the answers that are drawn; 0: the full vocabulary."""
    deadline: float | None = Field(None, gt=0)
    """Seconds for one prompt's answers, from the request; a later answer counts as none. None: as many as it takes,
    while tokens come (``rollout.token_deadline``)."""
    sets: tuple[str, ...] = ()
    """Sets of questions that are asked at each evaluation too, each with its own settings: ``[aime24,math500]``, or
    files of your own ([evaluation.md](evaluation.md))."""
    samples: int = Field(1, ge=1)
    """Answers drawn to each held-out prompt after the last step, for pass@k up to this k [paper: 16]; 1 draws none."""
    samples_temperature: float = Field(0.6, gt=0)
    """Temperature of those answers [paper]; ``evaluation.temperature`` is that of the accuracy."""

    @property
    def most_prompts(self) -> int:
        """How many are held out where there are so many."""
        return sys.maxsize if self.prompts == "all" else self.prompts


ExportDtype = Literal["bfloat16", "float16", "float32"]


class CheckpointConfig(Section):
    """How often a run can be gone on with from, how many of those places stay, and what becomes of the policy."""

    every: int = Field(10, ge=0)
    """Steps between checkpoints; the last step is always saved; 0 saves only the last."""
    keep: int = Field(2, ge=1)
    """How many of the newest checkpoints stay."""
    keep_best: bool = True
    """Whether the checkpoint of the highest held-out accuracy stays as well; of a step that was evaluated."""
    export_every: int = Field(0, ge=0)
    """Steps between Hugging Face folders of the policy, in ``exports/``, each beside a checkpoint; all of them stay.
    The last step always has one; 0: it alone. ``jobs/export.py`` makes one of any checkpoint."""
    export_dtype: ExportDtype = "bfloat16"
    """Type of the weights in them; checkpoints have float32."""
    upload: str | None = Field(None, pattern=r"^[\w.-]+/[\w.-]+$")
    """A name on the Hugging Face hub, ``owner/name``, to which the policy of the last step is uploaded (private, if it
    is not there yet), with the token of ``hf auth login`` or HF_TOKEN."""


class RecordsConfig(Section):
    """What is written down beyond the numbers."""

    tokens: bool = False
    """Write token ids and logprobs into groups.jsonl too, so that the trainer can replay the run."""
    trackers: TrackerNames = ("tensorboard",)
    """Experiment trackers that get the numbers too, one or a list: ``tensorboard``, ``wandb`` (Weights & Biases) and
    ``mlflow``. Their own environment variables say where and with which key."""
