"""Threads by phase and the type that is computed with: what follows from the machine, the model and the settings."""

from __future__ import annotations

from pathlib import Path

import pytest

from raysgpo.config import Config
from raysgpo.config.overrides import resolve
from raysgpo.start.machine import REAL, Machine, _flags, _quota, with_machine

PLAIN, ABLE = Machine(8, multiplies_bfloat16=False), Machine(8, multiplies_bfloat16=True)


def resolved(*words: str, parameters: int = REAL, machine: Machine = PLAIN) -> Config:
    return with_machine(resolve({}, overrides=list(words)), parameters, machine)


def threads(*words: str, parameters: int = REAL) -> tuple[int | None, int | None]:
    """Of an engine, and of a train worker."""
    config = resolved(*words, parameters=parameters)
    return config.rollout.threads, config.trainer.threads


def test_phases_that_take_turns_have_every_core_each() -> None:
    assert threads() == (8, 8)
    assert threads("rollout.replicas=2", "trainer.workers=4") == (4, 2)
    assert threads("rollout.replicas=3") == threads("rollout.replicas=[1,3]") == (2, 8)
    assert threads("rollout.replicas=20", "trainer.workers=9") == (1, 1)


def test_phases_that_overlap_divide_the_cores() -> None:
    assert threads("max_staleness=1") == (4, 4)
    assert threads("max_staleness=2", "rollout.replicas=2", "trainer.workers=2") == (2, 2)


def test_judge_replicas_work_while_the_policy_samples() -> None:
    words = ("algorithm=sgpo", "judge=replicas", "judge.model=tiny")
    assert threads(*words) == (4, 8)
    assert resolved(*words).judge.threads == 4
    assert threads(*words, "judge.gpus=1") == (8, 8)
    assert threads("algorithm=sgpo", "judge=rule") == (8, 8)


def test_what_a_gpu_does_takes_no_core() -> None:
    assert threads("rollout.gpus=1", "max_staleness=1") == (8, 8)
    assert threads("trainer.gpus=1", "max_staleness=1") == (8, 8)


def test_a_tiny_model_keeps_one_thread_and_float32() -> None:
    config = resolved(parameters=REAL - 1, machine=ABLE)
    assert (config.rollout.threads, config.trainer.threads) == (1, 1)
    assert config.trainer.dtype == config.rollout.dtype == "float32"


@pytest.mark.parametrize(
    ("words", "machine", "dtype"),
    [
        ((), PLAIN, "float32"),
        ((), ABLE, "bfloat16"),
        (("trainer.gpus=1", "rollout.gpus=1"), PLAIN, "bfloat16"),
        (("trainer.dtype=float32",), ABLE, "float32"),
        (("trainer.dtype=bfloat16",), PLAIN, "bfloat16"),
    ],
)
def test_bfloat16_where_the_machine_multiplies_it(words: tuple[str, ...], machine: Machine, dtype: str) -> None:
    config = resolved(*words, machine=machine)
    assert config.trainer.dtype == dtype
    assert config.rollout.dtype == dtype, "the sampler computes with what the trainer does"


def test_what_was_asked_for_stays() -> None:
    config = resolved("trainer.threads=3", "rollout.threads=5", "rollout.dtype=float32", machine=ABLE)
    assert (config.trainer.threads, config.rollout.threads) == (3, 5)
    assert (config.trainer.dtype, config.rollout.dtype) == ("bfloat16", "float32")


def test_the_machine_says_what_it_can(tmp_path: Path) -> None:
    file = tmp_path / "said"
    for text, cores in (
        ("400000 100000\n", 4),
        ("50000 100000\n", 1),
        ("max 100000\n", float("inf")),
        ("", float("inf")),
    ):
        file.write_text(text)
        assert _quota(file) == cores
    file.write_text("processor : 0\nflags\t\t: fpu avx512_bf16 sse\n")
    assert "avx512_bf16" in _flags(file)
    assert _flags(tmp_path / "none") == set()
    assert Machine.here().cores >= 1
