"""What a run leaves behind: its policy as a Hugging Face folder, and on the hub where that is asked for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from huggingface_hub import HfApi, get_token

from raysgpo.config import Config
from raysgpo.config.command_name import command_name
from raysgpo.config.overrides import ConfigError
from raysgpo.output import checkpoint
from raysgpo.output.run_folder import RunFolder
from raysgpo.policy.export import export
from raysgpo.policy.prompts import brief_error
from raysgpo.stores.object_store import StoreFailed
from raysgpo.stores.stored_checkpoints import StoredCheckpoints
from raysgpo.stores.stored_run import StoredRun

Say = Callable[[str], None]


def trained_policy(run: RunFolder, config: Config) -> Path:
    """The folder of the newest checkpoint's policy; made now, if the run ended before it was.

    Raises:
        WriteFailed: there is no room for it.
    """
    step = checkpoint.steps(run.checkpoints)[0]
    folder = run.export(step)
    if not folder.is_dir():
        if run.store is not None:
            StoredCheckpoints(run).fetch(step)
        export(checkpoint.of_step(run.checkpoints, step), folder, config.checkpoint.export_dtype)
    return folder


def tell_policy(run: RunFolder, config: Config, say: Say) -> None:
    """The last lines of a run that has trained: where its policy is, and which checkpoint was better, if one was."""
    if run.store is not None:
        _tell_stored(run, config, say)
    else:
        say(f"trained policy: {trained_policy(run, config)}")
    best, newest = checkpoint.best_step(run.checkpoints), checkpoint.steps(run.checkpoints)[0]
    if best is not None and best != newest:
        words = f"{command_name('export')} {run.path} --step {best}"
        say(f"better by held-out accuracy: step {best}; export it with: {words}")
    if config.checkpoint.upload is not None:
        _upload(trained_policy(run, config), config.checkpoint.upload, say)


def _tell_stored(run: RunFolder, config: Config, say: Say) -> None:
    """Where the policy is in the object store; it is made and sent now, if the run ended before it was."""
    stored = StoredRun(run, say)
    try:
        step = stored.newest_step()
        assert step is not None, "a run that has trained has a checkpoint"
        policy = stored.policy(step)
        if policy is None:
            trained_policy(run, config)
            policy = stored.send_policy(step)
        say(f"trained policy: {policy}")
    except StoreFailed as error:
        say(f"warning: {error}")
        say(f"trained policy: {trained_policy(run, config)}")


def check_upload(config: Config) -> None:
    """Make sure of the right to write there, before anything expensive starts.

    Raises:
        ConfigError: there is no token, or the hub refuses it.
    """
    name = config.checkpoint.upload
    if name is None or config.steps == 0:
        return
    if get_token() is None:
        raise ConfigError(f"checkpoint.upload={name}: there is no token; run hf auth login, or set HF_TOKEN")
    try:
        HfApi().create_repo(name, private=True, exist_ok=True)
    except Exception as error:  # the hub's, the network's, or those of whatever is configured between
        why = brief_error(error)
        raise ConfigError(f"checkpoint.upload={name}: the hub does not let us write there: {why}") from None


def _upload(policy: Path, name: str, say: Say) -> None:
    say(f"uploading it to the hub as {name} ...")
    run = policy.parent.parent.name
    try:
        HfApi().upload_folder(repo_id=name, folder_path=policy, commit_message=f"{run}, {policy.name}")
    except Exception as error:  # as above; the run is done, and its folder is there
        say(f"not uploaded: {brief_error(error)}; try again with: hf upload {name} {policy}")
        return
    say(f"uploaded: {name}")
