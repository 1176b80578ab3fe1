"""Beginning a run, or going on with one: the same prompts and seeds that an uninterrupted run would have seen."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from raysgpo.config import Config, Section
from raysgpo.config.overrides import ConfigError, Tree, dump, load, resolve, section_of
from raysgpo.groups.prepared import StartState
from raysgpo.output import checkpoint
from raysgpo.output.run_folder import RunFolder
from raysgpo.output.run_lock import RunLock
from raysgpo.output.whole_file import write_whole

AUTO = "auto"
"""In the place of a run: the newest one of the name that is configured, or a new one if there is none."""

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
    saved = _complete(folder)
    after = resolve(saved, overrides=[*overrides, f"resume={folder.path}"])
    _check_fixed(resolve(saved), after)
    return after


def auto_resumed(config: Config) -> Config:
    """The same settings for the newest run of this name, which they go on with; as they are if there is none.

    For a job whose cluster runs the same words again after a failure.

    Raises:
        ConfigError: that run was started with other data.
    """
    folder = RunFolder.newest(config.storage_root, config.name)
    if folder is None:
        return config
    try:
        _check_fixed(resolve(_complete(folder)), config)
    except ConfigError as error:
        raise ConfigError(f"resume={AUTO} found {folder.path}, but {error}; or give this run another name=") from None
    return config.model_copy(update={"resume": str(folder.path)})


def _check_fixed(before: Config, after: Config) -> None:
    for key in FIXED:
        old, new = _at(before, key), _at(after, key)
        if old != new:
            raise ConfigError(
                f"{key}={new}: the run was started with {old}, and a resumed run must see the same data; "
                "leave it, or start a new run from the checkpoint with model=PATH"
            )


def _complete(folder: RunFolder) -> Tree:
    """The saved settings. All of them stand in the file of a run: what is missing would silently be a default.

    Raises:
        ConfigError: the file is empty, or was cut off.
    """
    saved = load(folder.config)
    missing = list(_missing(saved))
    if missing:
        state = "incomplete" if saved else "empty"
        more = f" and {len(missing) - 1} other settings" if len(missing) > 1 else ""
        raise ConfigError(
            f"resume={folder.path}: {folder.config} is {state}, it lacks {missing[0]}{more}: write into it what the "
            "run was started with (--dry-run prints all settings)"
        )
    return saved


def _missing(saved: Tree, section: type[Section] = Config, prefix: str = "") -> Iterator[str]:
    """Every setting that has no value; a section may be a preset's word."""
    for name, field in section.model_fields.items():
        inner = section_of(field)
        if name not in saved:
            yield prefix + name
        elif inner is not None and isinstance(saved[name], dict):
            yield from _missing(saved[name], inner, f"{prefix}{name}.")


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
        state.get("sizes", {}),
        tuple(messages),
    )


def hold_resumed(config: Config, lock: RunLock) -> None:
    """Hold the folder of the run to resume, if there is one, before anything of it is read.

    Raises:
        ConfigError: another process works in it.
    """
    if config.resume is not None:
        lock.hold(Path(config.resume))


def open_folder(config: Config, lock: RunLock, say: Callable[[str], None]) -> RunFolder:
    """The folder to resume, or a new one, held; the resolved configuration is written into it.

    What a run has recorded without a checkpoint to go on from is set aside, and that is said.

    Raises:
        ConfigError: another process works in it.
        WriteFailed: there is no room; what was there is as it was.
    """
    run = RunFolder(Path(config.resume)) if config.resume else RunFolder.create(config.storage_root, config.name)
    lock.hold(run.path)
    if config.resume and not checkpoint.steps(run.checkpoints):
        _set_records_aside(run, config, say)
    write_whole(run.config, dump(config.model_copy(update={"resume": None})))
    return run


def _set_records_aside(run: RunFolder, config: Config, say: Callable[[str], None]) -> None:
    files = [run.metrics, run.groups]
    if config.mode == "online":  # an offline run evaluates its model before it trains, and has that already
        files += [run.evaluations, run.answers]
    aside = run.set_aside(files)
    if aside is not None:
        say(f"the run has no checkpoint to go on from and begins anew; what it recorded before is in {aside}")


def resume_words(command: str, run: RunFolder, config: Config) -> str:
    """What goes on with the run: by its name where runs are numbered, elsewhere by its path."""
    root = config.storage_root
    numbered = run.path.parent == root / "runs"
    words = [f"resume={run.path.name if numbered else run.path}"]
    if numbered and root != Config().storage_root:
        words.append(f"storage={root}")
    return f"{command} {shlex.join(words)}"
