"""Beginning a run, or going on with one: the same prompts and seeds that an uninterrupted run would have seen."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

from raysgpo.config import Config
from raysgpo.config.overrides import ConfigError, Tree, dump, load, resolve
from raysgpo.groups.prepared import StartState
from raysgpo.output import checkpoint
from raysgpo.output.run_folder import RunFolder

FIXED = (
    "seed",
    "model",
    "prompts_per_step",
    "task",
    "curriculum",
    "sampling.group_size",
    "evaluation.prompts",
    "mode",
    "offline.groups",
    "offline.passes",
    "offline.keep",
    "offline.positive_advantage",
)
"""Settings that decide which prompts and seeds stand at which position."""


def resume_config(run: str, root: Path, overrides: list[str]) -> Config:
    """The saved settings of a run with ``overrides`` applied, ready to go on.

    Raises:
        ConfigError: there is no such run, or an override would change the data that it sees.
    """
    try:
        folder = RunFolder.existing(run, root)
    except ValueError as error:
        raise ConfigError(f"resume={error}") from None
    saved: Tree = load(folder.config)
    before = resolve(saved)
    after = resolve(saved, overrides=[*overrides, f"resume={folder.path}"])
    for key in FIXED:
        old, new = _at(before, key), _at(after, key)
        if old != new:
            raise ConfigError(
                f"{key}={new}: the run was started with {old}, and a resumed run must see the same data; "
                "leave it, or start a new run from the checkpoint with model=PATH"
            )
    return after


def _at(config: Config, key: str) -> Any:
    value: Any = config
    for name in key.split("."):
        value = getattr(value, name)
    return value


def start_state(config: Config, say: Callable[[str], None]) -> StartState:
    """Where the run begins: at nothing, or at the newest complete checkpoint of the run to resume.

    A run that never wrote a checkpoint begins anew, in its folder; one whose checkpoints are all
    corrupt is an error.
    """
    if config.resume is None:
        return StartState()
    checkpoints = RunFolder(Path(config.resume)).checkpoints
    try:
        folder, messages = checkpoint.newest_complete(checkpoints)
    except FileNotFoundError as error:
        if not checkpoint.steps(checkpoints):
            return StartState()
        raise ConfigError(f"resume={config.resume}: {error}") from None
    for message in messages:
        say(message)
    state = checkpoint.read_state(folder)
    return StartState(
        state["step"],
        state["position"],
        state["version"],
        tuple(state["solved"]),
        state["controllers"],
        tuple(messages),
    )


def open_folder(config: Config) -> RunFolder:
    """The folder to resume, or a new one; the resolved configuration is written into it."""
    run = RunFolder(Path(config.resume)) if config.resume else RunFolder.create(config.storage_root, config.name)
    run.config.write_text(dump(config.model_copy(update={"resume": None})))
    return run


def resume_words(command: str, run: RunFolder, config: Config) -> str:
    """What goes on with the run: by its name where runs are numbered, elsewhere by its path."""
    root = config.storage_root
    numbered = run.path.parent == root / "runs"
    words = [f"resume={run.path.name if numbered else run.path}"]
    if numbered and root != Config().storage_root:
        words.append(f"storage={root}")
    return f"{command} {shlex.join(words)}"
