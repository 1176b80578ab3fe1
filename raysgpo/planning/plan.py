"""The plan of a run's memory: what ``--dry-run`` prints, and what is refused because it cannot fit."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from raysgpo.config import Config
from raysgpo.config.overrides import ConfigError
from raysgpo.planning.memory_plan import (
    Account,
    further_accounts,
    replica_account,
    sequences_at_once,
    trainer_account,
)
from raysgpo.planning.model_shape import ModelShape

GIB = 2**30
USABLE = 0.95
"""Of a GPU: the rest is lost between the blocks of the allocator [estimated; with room to spare it kept 3 to 13 % more
than was in use, which it gives back where a tensor does not fit]."""
PROMPT = 1024
"""Tokens of the longest prompt, where nobody has read the data yet."""
MOST_WORKERS = 4096


def longest_sequence(config: Config) -> int:
    """Prompt plus answer, tokens, before the data has been read."""
    return config.rollout.max_model_len or (
        max(config.sampling.max_tokens, config.evaluation_tokens) + (config.task.max_prompt_tokens or PROMPT)
    )


def plan_lines(shape: ModelShape, config: Config, longest: int) -> Iterator[str]:
    """For the console. ``config``: with threads and types filled in."""
    yield (
        f"memory, GiB: {shape.parameters / 1e9:.2f} billion parameters, sequences of {longest:,} tokens, "
        f"GPUs of {config.gpu_gib:g}"
    )
    yield from _lines(trainer_account(shape, config, longest))
    replicas = None
    if config.rollout.gpus:
        account, room = replica_account(shape, config, longest, int(config.gpu_gib * GIB))
        yield from _lines(account)
        asked = sequences_at_once(config)
        replicas = f"a replica has room for {room:,} such sequences at once, and is asked for {asked:,}"
    for account in further_accounts(shape, config):
        yield from _lines(account)
    if replicas is not None:
        yield replicas


def _lines(account: Account) -> Iterator[str]:
    yield f"{account.name:<64}{account.total / GIB:>8.1f}"
    for what, size in account.rows:
        yield f"  {what:<62}{size / GIB:>8.1f}"


def check_fits(shape: ModelShape, config: Config, longest: int) -> None:
    """Return if every GPU has room for what it would hold.

    Raises:
        ConfigError: one has not; the message says which settings would make it fit.
    """
    if config.trainer.gpus:
        words = _trainer_words(config, longest)
        _check(
            "trainer",
            config,
            config.trainer.gpus,
            lambda changed: trainer_account(shape, changed, longest).total,
            words,
        )
    if config.rollout.gpus:
        gpu = int(config.gpu_gib * GIB)
        words = _replica_words(config)
        _check("rollout", config, config.rollout.gpus, lambda changed: _least(shape, changed, longest, gpu), words)


def _least(shape: ModelShape, config: Config, longest: int, gpu: int) -> int:
    """Bytes of a replica's GPU with a single sequence."""
    account, room = replica_account(shape, config, longest, gpu)
    cache = account.rows[-1][1]
    return account.total - cache + cache // room


Change = tuple[str, Config]
"""The words that a user would type, and the settings with them."""


def _check(
    section: str, config: Config, gpus: float, needed: Callable[[Config], int], further: Iterator[Change]
) -> None:
    """``gpus``: how many each process has, or which part of one."""
    has = min(1.0, gpus) * config.gpu_gib
    room, total = USABLE * has * GIB, needed(config)
    if total <= room:
        return
    said: dict[str, str] = {}
    for words, changed in further:
        said |= {word.partition("=")[0]: word for word in words.split()}
        if needed(changed) <= room:
            fix = "set " + " ".join(said.values())
            break
    else:
        fix = "choose a smaller model, or larger GPUs"
    raise ConfigError(
        f"{section}: each {'GPU' if gpus >= 1 else f'{gpus:g} of a GPU'} would hold {total / GIB:.1f} GiB, and has "
        f"{has:g} (gpu_gib): {fix}"
    )


def _trainer_words(config: Config, longest: int) -> Iterator[Change]:
    """One change after another, the cheapest first; each keeps those before."""

    def changed(**values: object) -> Config:
        return config.model_copy(update={"trainer": config.trainer.model_copy(update=values)})

    if not config.trainer.gradient_checkpointing:
        config = changed(gradient_checkpointing=True)
        yield "trainer.gradient_checkpointing=true", config
    while config.trainer.tokens_per_micro_batch > longest:
        tokens = max(longest, config.trainer.tokens_per_micro_batch // 2)
        config = changed(tokens_per_micro_batch=tokens)
        yield f"trainer.tokens_per_micro_batch={tokens}", config
    if config.trainer.shard_size is not None:
        config = changed(shard_size=None)
        yield "trainer.shard_size=null", config
    while (workers := 2 * config.trainer.workers[0]) <= 2 * MOST_WORKERS:
        config = changed(workers=(workers, workers))
        yield f"trainer.workers={workers}", config


def _replica_words(config: Config) -> Iterator[Change]:
    parts = config.rollout.tensor_parallel_size
    engine = {key: value for key, value in config.rollout.engine.items() if key != "tensor_parallel_size"}
    for parallel in (2 * parts, 4 * parts, 8 * parts):
        rollout = config.rollout.model_copy(update={"engine": engine, "gpus": parallel})
        yield f"rollout.gpus={parallel}", config.model_copy(update={"rollout": rollout})
