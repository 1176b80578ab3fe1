"""Python code of a user's, by the words that name it: ``path/to/file.py:NAME`` or ``package.module:NAME``.

It travels as source, with that of the modules which lie beside it, so any process can run it, on any machine, whatever
folder it was started in. A file is imported under a name of its own, which holds the hash of all of it, for two files
may be called alike. What is installed is imported where it is needed, and not sent.
"""

from __future__ import annotations

import ast
import difflib
import hashlib
import importlib
import importlib.util
import os
import site
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from raysgpo.user_code.modules import Source, install, told


@dataclass(frozen=True, slots=True)
class UserCode:
    """A function or a class of a user's file or module."""

    given: str
    """What names it, with the file's whole path."""
    module: str
    """What it is imported as."""
    name: str
    """Its name in the module."""
    sources: Mapping[str, Source]
    """What is sent, by the name that it is imported as; empty of an installed module."""
    sha256: str
    """Of the text of all sources."""

    def value(self) -> object:
        """The function or class itself, imported in this process.

        Raises:
            ValueError: it cannot be imported, or the module has no such name; one line.
        """
        module = self._imported()
        try:
            return vars(module)[self.name]
        except KeyError:
            raise ValueError(
                f"{self.given}: there is no {self.name} in it{_nearest(self.name, vars(module))}"
            ) from None

    def prepare(self) -> None:
        """Whatever was pickled by reference to it can be read in this process from now on."""
        install(self.sources)

    def _imported(self) -> object:
        try:
            self.prepare()
            return importlib.import_module(self.module)
        except (Exception, SystemExit) as error:
            raise ValueError(f"{self.given}: it does not import: {told(error)}") from error


def clash(first: UserCode, second: UserCode) -> str | None:
    """Why a process cannot run both; None if it can."""
    for name in first.sources.keys() & second.sources.keys():
        one, other = first.sources[name], second.sources[name]
        if one.text != other.text:
            return f"{one.file} and {other.file} are both imported as {name}, and differ: rename one of them"
    return None


def names_user_code(text: str) -> bool:
    """Whether the words name code, and not an entry of a table of ours."""
    return ":" in text or text.endswith(".py") or "/" in text


def find(given: str) -> UserCode:
    """The code that the words name; nothing is run but packages that a module lies in.

    Raises:
        ValueError: it is not there, or cannot be read; one line that names it.
    """
    place, colon, name = given.rpartition(":")
    if not colon or not name.isidentifier() or not place:
        raise ValueError(f"{given}: write FILE.py:NAME or package.module:NAME")
    return _of_file(place, name) if place.endswith(".py") else _of_module(given, place, name)


def _of_file(place: str, name: str) -> UserCode:
    file = Path(os.path.abspath(os.path.expanduser(place)))
    given = f"{file}:{name}"
    if not file.is_file():
        near = difflib.get_close_matches(file.name, [one.name for one in _python_files(file.parent)], n=1)
        raise ValueError(f"{given}: there is no such file{f'; did you mean {near[0]}?' if near else ''}")
    if file.stem in sys.stdlib_module_names and file.parent == Path.cwd():
        raise ValueError(
            f"{given}: processes started here would take it for Python's own {file.stem}: call it otherwise"
        )
    main = _read(file, given)
    beside = _closure(file.parent, "", main)
    sha256 = _hash({"": main, **beside})
    module = f"{''.join(c if c.isalnum() else '_' for c in file.stem)}_{sha256[:12]}"
    return UserCode(given, module, name, {module: main, **beside}, sha256)


def _of_module(given: str, place: str, name: str) -> UserCode:
    with _from_here():
        try:
            spec = importlib.util.find_spec(place)
        except (Exception, SystemExit) as error:
            raise ValueError(f"{given}: it does not import: {told(error)}") from error
    if spec is None or spec.origin is None or not spec.has_location:
        raise ValueError(f"{given}: there is no module {place}, neither here ({os.getcwd()}) nor installed")
    file = Path(spec.origin).resolve()
    is_package = spec.submodule_search_locations is not None
    root = file.parents[place.count(".") + is_package]
    main = _read(file, given, is_package)
    if _is_installed(root) or place.partition(".")[0] == "raysgpo":
        return UserCode(given, place, name, {}, _hash({place: main}))
    sources = _closure(root, place, main)
    return UserCode(given, place, name, sources, _hash(sources))


@contextmanager
def _from_here() -> Iterator[None]:
    """Modules of the working folder are found, as ``python -m`` finds them."""
    here = os.getcwd()
    sys.path.insert(0, here)
    try:
        yield
    finally:
        sys.path.remove(here)


def _is_installed(root: Path) -> bool:
    places = {*site.getsitepackages(), site.getusersitepackages(), *map(sysconfig.get_path, ("purelib", "stdlib"))}
    return root in {Path(place).resolve() for place in places if place}


def _closure(root: Path, module: str, main: Source) -> dict[str, Source]:
    """The modules under ``root`` that ``main`` imports, wherever in it, and what these import in turn.

    ``module``: the name of ``main`` under ``root``, then among them; empty of a file that has none.
    """
    found = {module: main} if module else {}
    ahead = [(module, main)]
    while ahead:
        name, source = ahead.pop()
        targets = [*_imports(name, source), *([name] if name else [])]
        for part in dict.fromkeys(prefix for target in targets for prefix in _prefixes(root, target)):
            if part not in found:
                found[part] = _source(root, part)
                ahead.append((part, found[part]))
    return found


def _prefixes(root: Path, target: str) -> list[str]:
    """The modules that an import of the target runs, as far as they lie under the root: ``a`` and ``a.b`` of
    ``a.b.c``."""
    parts = target.split(".")
    if parts[0] in sys.stdlib_module_names or parts[0] == "raysgpo":
        return []
    names = [".".join(parts[: end + 1]) for end in range(len(parts))]
    there = [_file(root, name) is not None for name in names]
    return names[: len(there) - there[::-1].index(True)] if any(there) else []


def _file(root: Path, name: str) -> Path | None:
    path = root.joinpath(*name.split("."))
    return next((file for file in (path / "__init__.py", path.with_name(f"{path.name}.py")) if file.is_file()), None)


def _source(root: Path, name: str) -> Source:
    file = _file(root, name)
    if file is None:  # a folder without __init__.py
        return Source(str(root.joinpath(*name.split("."), "__init__.py")), "", True)
    return _read(file, str(file), file.name == "__init__.py")


def _read(file: Path, given: str, is_package: bool = False) -> Source:
    try:
        return Source(str(file), importlib.util.decode_source(file.read_bytes()), is_package)
    except (OSError, SyntaxError, UnicodeError) as error:
        raise ValueError(f"{given}: it cannot be read ({error})") from None


def _imports(name: str, source: Source) -> Iterator[str]:
    """Whatever a source imports, by whole names; ``from a import b`` may name a module ``a.b``."""
    try:
        tree = ast.parse(source.text, source.file)
    except (SyntaxError, ValueError):
        return  # importing it says where
    package = name if source.is_package else name.rpartition(".")[0]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            if base:
                yield from (f"{base}.{alias.name}" for alias in node.names)


def _hash(sources: Mapping[str, Source]) -> str:
    digest = hashlib.sha256()
    for name in sorted(sources):
        digest.update(f"{name}\0{len(sources[name].text)}\0{sources[name].text}".encode(errors="surrogatepass"))
    return digest.hexdigest()


def _python_files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.py")) if folder.is_dir() else []


def _nearest(name: str, names: Mapping[str, object]) -> str:
    own = [one for one in names if not one.startswith("_")]
    near = difflib.get_close_matches(name, own, n=1)
    return f"; did you mean {near[0]}?" if near else ""
