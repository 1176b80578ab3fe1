"""Beginning a run, or going on with one: the same prompts and seeds that an uninterrupted run would have seen."""

from __future__ import annotations

import re
import shlex
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from raysgpo.config import Config, Section
from raysgpo.config.overrides import ConfigError, Tree, dump, load, resolve, section_of
from raysgpo.groups.prepared import StartState
from raysgpo.output import checkpoint
from raysgpo.output.run_folder import RunFolder
from raysgpo.output.run_lock import RunLock
from raysgpo.output.whole_file import write_whole, writing
from raysgpo.stores.claim import Claim
from raysgpo.stores.object_store import StoreFailed
from raysgpo.stores.stored_run import StoredRun, run_names, stored_config, taken_number

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


def resume_config(run: str, root: Path, overrides: list[str], store: str | None = None) -> Config:
    """The saved settings of a run with ``overrides`` applied, ready to go on.

    ``store``: the address under which runs are numbered, if they are kept in an object store.

    Raises:
        ConfigError: there is no such run, or an override would change the data that it sees.
    """
    saved = None if store is None else _stored(store, run)
    if saved is not None:
        path = root / "runs" / run
    else:
        try:
            path = RunFolder.existing(run, root).path
        except ValueError as error:
            where = "" if store is None else f"; {store} has {', '.join(_names(store)[-10:]) or 'no runs'}"
            raise ConfigError(f"resume={error}{where}") from None
        saved = _complete(path / "config.yaml", str(path))
    after = resolve(saved, overrides=[*overrides, f"resume={path}"])
    _check_fixed(saved, after)
    return after


def auto_resumed(config: Config) -> Config:
    """The same settings for the newest run of this name, which they go on with; as they are if there is none.

    For a job whose cluster runs the same words again after a failure.

    Raises:
        ConfigError: that run was started with other data.
    """
    folder = RunFolder.newest(config.storage_root, config.name)
    path = None if folder is None else folder.path
    saved = None if path is None else _complete(path / "config.yaml", str(path))
    for name in _newest_first(config) if config.store is not None else ():
        if path is not None and name < path.name:
            break
        if (there := _stored(str(config.store), name)) is not None:
            path, saved = config.storage_root / "runs" / name, there
            break
    if path is None or saved is None:
        return config
    try:
        _check_fixed(saved, config)
    except ConfigError as error:
        raise ConfigError(f"resume={AUTO} found {path}, but {error}; or give this run another name=") from None
    return config.model_copy(update={"resume": str(path)})


def _newest_first(config: Config) -> list[str]:
    """The runs of this name in its object store."""
    names = [name for name in _names(str(config.store)) if re.fullmatch(rf"{re.escape(config.name)}-\d+", name)]
    return sorted(names, key=lambda name: int(name.rpartition("-")[2]), reverse=True)


def _names(store: str) -> list[str]:
    with _asking(store):
        return run_names(store)


def _stored(store: str, run: str) -> Tree | None:
    """The saved settings of a run in an object store; None if it is not there.

    Raises:
        ConfigError: the store cannot be asked, or they are incomplete.
    """
    if not re.fullmatch(r"[^/\0]+", run):
        return None
    with _asking(store):
        text = stored_config(store, run)
    if text is None:
        return None
    with tempfile.NamedTemporaryFile(suffix=".yaml") as file:
        file.write(text)
        file.flush()
        return _complete(Path(file.name), f"{store}/runs/{run}")


@contextmanager
def _asking(store: str) -> Iterator[None]:
    """A store that cannot be asked before a run has begun is a setting to change."""
    try:
        yield
    except StoreFailed as error:
        raise ConfigError(f"storage={store}: {error.why}") from None


def _check_fixed(saved: Tree, after: Config) -> None:
    """Code of the user's may have moved, as the working folder of a job does, or may say something else now."""
    before = resolve({**saved, "task": _with_kind(saved["task"], after), "reward": {}})
    for key in FIXED:
        old, new = _at(before, key), _at(after, key)
        if old != new:
            raise ConfigError(
                f"{key}={new}: the run was started with {old}, and a resumed run must see the same data; "
                "leave it, or start a new run from the checkpoint with model=PATH"
            )


def _with_kind(saved: Any, after: Config) -> Any:
    """The saved settings of the task, with its class of the user's where that is now."""
    code = after.task.code
    if code is None or not isinstance(saved, dict) or _file_name(str(saved.get("kind"))) != _file_name(code.given):
        return saved
    return {**saved, "kind": code.given}


def _file_name(given: str) -> str:
    return given.rpartition("/")[2]


def _complete(file: Path, run: str) -> Tree:
    """The saved settings. All of them stand in the file of a run: what is missing would silently be a default.

    Raises:
        ConfigError: the file is empty, or was cut off.
    """
    saved = load(file)
    missing = list(_missing(saved))
    if missing:
        state = "incomplete" if saved else "empty"
        more = f" and {len(missing) - 1} other settings" if len(missing) > 1 else ""
        raise ConfigError(
            f"resume={run}: {run}/config.yaml is {state}, it lacks {missing[0]}{more}: write into it what the "
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
    run = RunFolder.resumed(config)
    checkpoints = run.checkpoints
    if run.store is not None:
        with _asking(str(config.store)):
            step = StoredRun(run, say).newest_step()
        return StartState() if step is None else _state(checkpoint.of_step(checkpoints, step), [])
    try:
        folder, messages = checkpoint.newest_complete(checkpoints)
    except FileNotFoundError as error:
        if not checkpoint.steps(checkpoints):
            return StartState()
        raise ConfigError(f"resume={config.resume}: {error}") from None
    for message in messages:
        say(message)
    return _state(folder, messages)


def _state(folder: Path, messages: list[str]) -> StartState:
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


def hold_resumed(config: Config, lock: RunLock, say: Callable[[str], None]) -> None:
    """Hold the folder of the run to resume, if there is one, before anything of it is read.

    Raises:
        ConfigError: another process works in it, or its object store cannot be asked.
    """
    if config.resume is None:
        return
    run = RunFolder.resumed(config)
    if run.store is not None:
        with writing(run.path, 0):
            run.path.mkdir(parents=True, exist_ok=True)
    lock.hold(run.path)
    if run.store is not None and lock.alone:
        _claim(run, config, lock, say)


def _claim(run: RunFolder, config: Config, lock: RunLock, say: Callable[[str], None]) -> None:
    """Hold the run in its object store too; afterwards what is here is what is there, or more."""
    with _asking(str(config.store)):
        claim = Claim(run, say)
        same = claim.hold()
        lock.take_along(claim)
        if not same:
            StoredRun(run, say).replace_local()
        claim.settle()


def open_folder(config: Config, lock: RunLock, say: Callable[[str], None]) -> RunFolder:
    """The folder to resume, or a new one, held; the resolved configuration is written into it.

    What a run has recorded without a checkpoint to go on from is set aside, and that is said.

    Raises:
        ConfigError: another process works in it.
        WriteFailed: there is no room; what was there is as it was.
    """
    run = RunFolder.resumed(config) if config.resume else _new_folder(config)
    lock.hold(run.path)
    if run.store is not None and lock.alone:
        _claim(run, config, lock, say)
    if config.resume:
        _tell_changed_code(run, config, say)
        if not checkpoint.steps(run.checkpoints):
            _set_records_aside(run, config, say)
    write_whole(run.config, dump(config.model_copy(update={"resume": None})))
    if run.store is not None:
        with _asking(str(config.store)):
            StoredRun(run, say).send_config()
    return run


def _tell_changed_code(run: RunFolder, config: Config, say: Callable[[str], None]) -> None:
    """Code of the user's that says something else than when the run was last started."""
    saved = load(run.config)
    for section, code in (("task", config.task.code), ("reward", config.reward.code)):
        before = saved.get(section)
        sha256 = before.get("sha256") if isinstance(before, dict) else None
        if code is not None and sha256 is not None and sha256 != code.sha256:
            say(
                f"{section}={code.given}: it has changed since the run was last started (sha256 {sha256[:12]}, now "
                f"{code.sha256[:12]}); the run goes on with what it says now"
            )


def _new_folder(config: Config) -> RunFolder:
    if config.store is None:
        return RunFolder.create(config.storage_root, config.name)
    with _asking(config.store):
        taken = taken_number(config.store, config.name)
    return RunFolder.at(RunFolder.create(config.storage_root, config.name, taken).path, config.store)


def _set_records_aside(run: RunFolder, config: Config, say: Callable[[str], None]) -> None:
    files = [run.metrics, run.groups]
    if config.mode == "online":  # an offline run evaluates its model before it trains, and has that already
        files += [run.evaluations, run.answers, run.set_answers]
    aside = run.set_aside(files)
    if aside is not None:
        say(f"the run has no checkpoint to go on from and begins anew; what it recorded before is in {aside}")


def resume_words(command: str, run: RunFolder, config: Config) -> str:
    """What goes on with the run: by its name where runs are numbered, elsewhere by its path."""
    root = config.storage_root
    numbered = run.path.parent == root / "runs"
    words = [f"resume={run.path.name if numbered else run.path}"]
    if config.store is not None:
        words.append(f"storage={config.store}")
    if numbered and root != Config().storage_root:
        words.append(f"{'storage' if config.store is None else 'scratch'}={root}")
    return f"{command} {shlex.join(words)}"
