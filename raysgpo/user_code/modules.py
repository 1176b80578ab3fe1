"""Modules that are imported from source which came along, and not from a disk: their files may be on another machine.

A module has the file's name and its lines all the same, so a traceback shows where the user wrote what.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.abc import ExecutionLoader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_file_location
from types import CodeType, ModuleType, TracebackType


@dataclass(frozen=True, slots=True)
class Source:
    """The source of a module."""

    file: str
    """Its whole path where it was read."""
    text: str
    is_package: bool = False


class _Loader(ExecutionLoader):
    def __init__(self, source: Source) -> None:
        self.source = source

    def get_filename(self, fullname: str) -> str:
        return self.source.file

    def get_source(self, fullname: str) -> str:
        """What a traceback asks for its lines where the file is not there."""
        return self.source.text

    def get_code(self, fullname: str) -> CodeType:
        return compile(self.source.text, self.source.file, "exec", dont_inherit=True)

    def is_package(self, fullname: str) -> bool:
        return self.source.is_package


class _Finder(MetaPathFinder):
    """Finds what was installed before anything on the path: a script finds first what lies beside it, too."""

    def __init__(self) -> None:
        self.sources: dict[str, Source] = {}

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        source = self.sources.get(fullname)
        if source is None:
            return None
        places: list[str] | None = [] if source.is_package else None
        return spec_from_file_location(fullname, source.file, loader=_Loader(source), submodule_search_locations=places)


_FINDER = _Finder()
_LOCK = threading.RLock()


def install(sources: Mapping[str, Source]) -> None:
    """From now on an import of one of these names gives this source. What was imported of another text goes.

    Raises:
        ImportError: another module of that name is there already.
    """
    with _LOCK:
        if all(_FINDER.sources.get(name) == source for name, source in sources.items()):
            return
        for name, source in sources.items():
            _check_free(name, source)
        for name in sources:
            sys.modules.pop(name, None)
        _FINDER.sources.update(sources)
        if _FINDER not in sys.meta_path:
            sys.meta_path.insert(0, _FINDER)


def _check_free(name: str, source: Source) -> None:
    """Sources that were installed before give way; what others have imported stays."""
    there = getattr(sys.modules.get(name), "__file__", None)
    if name not in _FINDER.sources and there is not None and os.path.realpath(there) != os.path.realpath(source.file):
        raise ImportError(f"{source.file}: another module is called {name} already ({there}): rename it")


def place(error: BaseException) -> str:
    """Where in a user's file the error was raised, as `` (my_reward.py, line 7)``; nothing if in none of them."""
    trace: TracebackType | None = error.__traceback__
    found = ""
    while trace is not None:
        spec = trace.tb_frame.f_globals.get("__spec__")
        if isinstance(getattr(spec, "loader", None), _Loader):
            found = f" ({trace.tb_frame.f_code.co_filename.rpartition('/')[2]}, line {trace.tb_lineno})"
        trace = trace.tb_next
    return found


def told(error: BaseException) -> str:
    """The error in one line, with its place in the user's file."""
    said = str(error).strip().partition("\n")[0][:300]
    return f"{type(error).__name__}{': ' if said else ''}{said}{place(error)}"
