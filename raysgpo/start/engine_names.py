"""The arguments that vLLM's engine has, read from its source: to import it takes ten seconds."""

from __future__ import annotations

import ast
import difflib
from collections.abc import Collection, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from raysgpo.config.overrides import ConfigError

ENGINE = ("engine/arg_utils.py", ("EngineArgs", "AsyncEngineArgs"))
SERVER = ("entrypoints/launchers/cli_args.py", ("BaseFrontendArgs", "FrontendArgs"))
"""A file within vLLM, and its classes whose fields are the arguments: of the engine, of the server around a judge's."""
Source = tuple[str, Sequence[str]]


def check_arguments(setting: str, engine: Mapping[str, Any], *sources: Source) -> None:
    """Refuse an entry of ``rollout.engine`` or ``judge.engine`` whose name vLLM does not know.

    Raises:
        ConfigError: with the name, and the nearest that there is.
    """
    known = [name for source in sources for name in argument_names(*source)] if engine else []
    unknown = [name for name in engine if name not in known]
    if unknown and known:
        name, value = unknown[0], engine[unknown[0]]
        if value is None and ":" in name:
            raise ConfigError(f"{setting}={{{name}}}: write a space behind the colon, {{{name.replace(':', ': ', 1)}}}")
        near = difflib.get_close_matches(name, known, n=1)
        mean = f"; did you mean {near[0]}?" if near else "; remove it"
        raise ConfigError(f"{setting}.{name}={value}: vLLM's engine has no such argument{mean}")


def argument_names(path: str, classes: Sequence[str]) -> Collection[str]:
    """Empty where vLLM is not on this machine, or has them elsewhere: then the engine itself refuses a name."""
    package = find_spec("vllm")
    folders = package.submodule_search_locations if package is not None else None
    files = [file for folder in folders or () if (file := Path(folder, path)).is_file()]
    if not files:
        return ()
    found = [node for node in ast.parse(files[0].read_text()).body if isinstance(node, ast.ClassDef)]
    fields = [line for one in found if one.name in classes for line in one.body if isinstance(line, ast.AnnAssign)]
    return {line.target.id for line in fields if isinstance(line.target, ast.Name)}
