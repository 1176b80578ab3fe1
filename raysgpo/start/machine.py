"""What a run makes of the machine's cores: threads by phase, and the type that is computed with.

Without staleness sampling and training take turns, so each may have every core; with it they overlap and divide them.
The cores are those of the machine where the command runs.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from raysgpo.config import Config, TrainerConfig

Dtype = Literal["float32", "bfloat16"]

REAL = 10_000_000
"""Parameters from which on a model's arithmetic, not the program around it, takes the time: below it more threads
wait for each other, and bfloat16 converts more than it saves."""
LARGE = 1_000_000_000
"""Parameters from which on the activations of a model's layers outgrow what is left of a GPU beside its shard."""
BFLOAT16_FLAGS = {"amx_bf16", "avx512_bf16"}
"""Of a CPU that multiplies bfloat16 by itself, as /proc/cpuinfo names them."""


@dataclass(frozen=True, slots=True)
class Machine:
    cores: int
    multiplies_bfloat16: bool

    @classmethod
    def here(cls) -> Machine:
        """Of this container, if it has fewer cores than the machine."""
        may_use = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        return cls(int(min(may_use, _quota())), bool(_flags() & BFLOAT16_FLAGS))


def _quota(file: Path = Path("/sys/fs/cgroup/cpu.max")) -> float:
    """Cores that the container may use at a time; infinite if it has no limit."""
    quota, _, period = _text(file).partition(" ")
    return max(1, int(quota) // int(period)) if quota.isdecimal() else math.inf


def _flags(file: Path = Path("/proc/cpuinfo")) -> set[str]:
    """Empty where the system does not say."""
    lines = _text(file).splitlines()
    return next((set(line.partition(":")[2].split()) for line in lines if line.startswith("flags")), set())


def _text(file: Path) -> str:
    """Empty if it is not there."""
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def with_machine(config: Config, parameters: int, machine: Machine) -> Config:
    """The settings with threads, types and what is kept of a forward pass filled in. ``parameters``: of the policy."""
    real = parameters >= REAL
    trainer, rollout, judge = config.trainer, config.rollout, config.judge
    free_choice = "bfloat16" if trainer.gpus else cpu_dtype(parameters, machine)
    dtype = trainer.dtype if trainer.dtype != "auto" else free_choice
    judged = judge.replicas[1] if judge.kind == "replicas" and config.needs_judge and not judge.gpus else 0
    engines = 0 if rollout.gpus else rollout.replicas[1]
    ranks = 0 if trainer.gpus else trainer.workers[1]
    cores = machine.cores if real else 1
    together = (engines + judged + ranks,) * 2 if config.max_staleness else (engines + judged, ranks)
    sampling, training = (max(1, cores // max(1, processes)) for processes in together)
    return config.model_copy(
        update={
            "trainer": trainer.model_copy(
                update={
                    "dtype": dtype,
                    "threads": trainer.threads or training,
                    "gradient_checkpointing": _checkpointing(trainer, parameters),
                }
            ),
            "rollout": rollout.model_copy(
                update={
                    "dtype": rollout.dtype if rollout.dtype != "auto" else dtype,
                    "threads": rollout.threads or sampling,
                }
            ),
            "judge": judge.model_copy(update={"threads": judge.threads or sampling}),
        }
    )


def _checkpointing(trainer: TrainerConfig, parameters: int) -> bool:
    """A GPU's memory is what a large model runs out of; a CPU's time is what it has none of."""
    if trainer.gradient_checkpointing is not None:
        return trainer.gradient_checkpointing
    return bool(trainer.gpus) and parameters >= LARGE


def cpu_dtype(parameters: int, machine: Machine) -> Dtype:
    """In which a model of so many ``parameters`` is computed on a CPU, if nobody says."""
    return "bfloat16" if parameters >= REAL and machine.multiplies_bfloat16 else "float32"
