"""Do all nodes see the same folders? Asked of each of them before anything expensive starts.

    this process    writes a word into the run's storage ---> each node reads it, and writes one of its own
                    reads that back               <---

Of an object store each node is asked whether it can be used there, and for a disk to put a run together on.

The conductor writes records on the driver's node; train workers write checkpoints. Rollout replicas, train workers
and judge replicas read the models' folders, each on the nodes that have room for it.
"""

from __future__ import annotations

import socket
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import ray
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from raysgpo.config import Config
from raysgpo.config.model_path import POLICIES, TINY
from raysgpo.config.overrides import ConfigError
from raysgpo.config.places import check_writable
from raysgpo.config.resolved import ResolvedConfig
from raysgpo.output.whole_file import writing
from raysgpo.planning.demand import amounts
from raysgpo.planning.placement import fits
from raysgpo.stores.stored_model import of_store
from raysgpo.stores.stored_run import check_store

DEADLINE = 60.0
"""Seconds that all nodes together have: each starts a process for it."""
PATIENCE = 5.0
"""Seconds in which a shared file system shows a new file to another host."""
FIX = (
    "set storage to a folder that all nodes share, such as an NFS, Lustre or FSx mount, or to an object store, "
    "s3://BUCKET/PREFIX or gs://BUCKET/PREFIX"
)


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Question:
    """What a node is asked."""

    folder: Path
    """Of the run's storage, which it must read and write."""
    word: str
    """Of a file there, and what the file holds."""
    models: tuple[tuple[str, Path], ...]
    """(setting, folder) of each model that it may have to load."""


@dataclass(frozen=True, slots=True)
class Answer:
    host: str
    reads: bool
    """Whether it found the word in the file."""
    wrote: str | None
    """Name of the file that it wrote; None where it could not."""
    missing: tuple[str, ...]
    """Settings of models that are not there."""
    error: str = ""
    """What the system said."""


def look(question: Question, node: str) -> Answer:
    """On the node ``node``."""
    mine, error = f"{question.word}-{node}", ""
    reads = _appears(question.folder / question.word, question.word)
    wrote: str | None = None
    if reads:
        try:
            (question.folder / mine).write_text(mine)
            wrote = mine
        except OSError as failure:
            error = failure.strerror or str(failure)
    missing = tuple(setting for setting, folder in question.models if not (folder / "config.json").is_file())
    return Answer(socket.gethostname(), reads, wrote, missing, error)


def check_shared(config: ResolvedConfig, asked: Config, deadline: float = DEADLINE) -> None:
    """Return once every node has seen the run's storage and the models; at once on a cluster of one node.

    ``config`` has the models' folders, ``asked`` what the user called them.

    Raises:
        ConfigError: a node does not see, or cannot write to, one of them; or does not answer.
        WriteFailed: this process cannot write there.
    """
    nodes = [node for node in ray.nodes() if node["Alive"]]
    if len(nodes) < 2:
        return
    if config.store is not None:
        _check_store(nodes, config.store, config.storage_root, deadline)
        return
    storage = Path(config.resume) if config.resume is not None else config.storage_root
    word = f".seen-{uuid.uuid4().hex}"
    with writing(storage, 0):
        (storage / word).write_text(word)
    try:
        answers = _ask(nodes, storage, word, config, asked, deadline)
        for node in nodes:
            _check(answers.get(node["NodeID"]), node, storage, config, asked, deadline)
    finally:
        for file in storage.glob(f"{word}*"):
            with suppress(OSError):
                file.unlink()


def _ask(
    nodes: Sequence[Mapping[str, Any]], storage: Path, word: str, config: ResolvedConfig, asked: Config, deadline: float
) -> dict[str, Answer]:
    """Of each node by its id, as far as they answered in time."""
    questions = {
        node["NodeID"]: (Question(storage, word, tuple(_models(config, asked, node["Resources"]))), node["NodeID"])
        for node in nodes
    }
    return everywhere(look, questions, deadline)


def everywhere(function: Callable[..., T], arguments: Mapping[str, tuple[Any, ...]], deadline: float) -> dict[str, T]:
    """What ``function`` says on each node, by the node's id, as far as it answers in time."""
    task = ray.remote(function)
    pending = {}
    for node, given in arguments.items():
        place = NodeAffinitySchedulingStrategy(node, soft=False)
        pending[task.options(num_cpus=0, max_retries=0, scheduling_strategy=place).remote(*given)] = node
    done, late = ray.wait(list(pending), num_returns=len(pending), timeout=deadline)
    for reference in late:
        ray.cancel(reference, force=True)
    found: dict[str, T] = {}
    for reference in done:
        with suppress(RayError):  # the node is gone, or its process died: it has not answered
            found[pending[reference]] = ray.get(reference)
    return found


def look_at_store(url: str, scratch: Path) -> str:
    """On a node: what is wrong with the store or the disk, if anything."""
    try:
        check_writable("scratch", scratch)
        check_store(url)
    except ValueError as error:
        return f"{error} (on {socket.gethostname()})"
    return ""


def _check_store(nodes: Sequence[Mapping[str, Any]], url: str, scratch: Path, deadline: float) -> None:
    """Raises ConfigError for a node that cannot use the store, or has no disk."""
    answers = everywhere(look_at_store, {node["NodeID"]: (url, scratch) for node in nodes}, deadline)
    for node in nodes:
        said = answers.get(node["NodeID"], f"storage={url}: it did not answer within {deadline:.0f} s")
        if said:
            raise ConfigError(
                f"node {node['NodeManagerAddress']}: {said}; every node needs the credentials, the region and the "
                "endpoint in the environment of its Ray processes"
            )


def _models(config: ResolvedConfig, asked: Config, node: Mapping[str, float]) -> Iterator[tuple[str, Path]]:
    """(setting, folder) of what a node with these resources may load; hub names are each node's own affair."""
    rollout, trainer, judge = config.rollout, config.trainer, config.judge
    parts = [(_named("model", asked.model, asked), config.model, rollout.cpus, rollout.gpus)]
    parts += [(_named("model", asked.model, asked), config.model, trainer.cpus, trainer.gpus)]
    if judge.kind == "replicas" and config.needs_judge and judge.model is not None:
        parts += [(_named("judge.model", asked.judge.model or "", asked), judge.model, judge.cpus, judge.gpus)]
    seen: set[str] = set()
    for setting, model, cpus, gpus in parts:
        if fits(amounts(cpus, gpus), node) and setting not in seen and Path(model).is_dir() and not of_store(model):
            seen.add(setting)
            yield setting, Path(model)


def _named(setting: str, model: str, asked: Config) -> str:
    """What the user would change: of a model that comes along, where it is made."""
    return f"model_cache={asked.model_cache}" if model in (*POLICIES, TINY) else f"{setting}={model}"


def _check(
    answer: Answer | None, node: Mapping[str, Any], storage: Path, config: Config, asked: Config, deadline: float
) -> None:
    """Raises ConfigError for a node that does not see what it must."""
    setting = f"resume={config.resume}" if config.resume is not None else f"storage={asked.storage}"
    where = f"node {node['NodeManagerAddress']}"
    if answer is None:
        raise ConfigError(
            f"{where} did not say within {deadline:.0f} s whether it sees {storage} ({setting}): see that the node is "
            "well, and that the folder's file system answers there"
        )
    where += f" ({answer.host})"
    if not answer.reads:
        raise ConfigError(f"{setting}: {where} does not see what is written to {storage}; {FIX}")
    if answer.wrote is None:
        raise ConfigError(
            f"{setting}: {where} cannot write to {storage} ({answer.error}): let the user of its Ray processes write "
            f"there, or {FIX}"
        )
    if not _appears(storage / answer.wrote, answer.wrote):
        raise ConfigError(f"{setting}: what {where} writes to {storage} is not seen here; {FIX}")
    for missing in answer.missing:
        raise ConfigError(
            f"{missing}: {where} does not have the model in that folder: set it to a folder that all nodes share"
            + (", or to a hub name" if not missing.startswith("model_cache=") else "")
        )


def _appears(file: Path, text: str) -> bool:
    """Whether the file holds the text, soon."""
    end = time.monotonic() + PATIENCE
    while True:
        with suppress(OSError):
            if file.read_text() == text:
                return True
        if time.monotonic() > end:
            return False
        time.sleep(0.1)
