"""From words to a Config: dotted overrides, presets, YAML files, and messages a person can act on."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from raysgpo.config import Config, Section
from raysgpo.config.data_source import is_hub_name
from raysgpo.config.places import is_address, user_path
from raysgpo.config.question_set import whole_word
from raysgpo.config.section import Verbatim, no_such
from raysgpo.user_code.code import UserCode

Tree = dict[str, Any]

UNREADABLE = (OmegaConfBaseException, yaml.YAMLError, ValueError)
"""What OmegaConf raises on text that is no YAML."""


class ConfigError(ValueError):
    """A setting that the user must change; the message names the key, the value and the fix."""


def resolve(*layers: Config | Tree, overrides: Sequence[str] = ()) -> Config:
    """The layers, later ones over earlier ones, with ``key=value`` words applied, checked as a whole.

    Shallow keys are applied first, so a preset (``algorithm=sgpo``) never undoes a setting inside
    it (``algorithm.baseline=none``), in whichever order the two are typed.

    Raises:
        ConfigError: unknown key, wrong type, or an impossible combination.
    """
    tree: Tree = {}
    for layer in layers:
        given = layer.model_dump(mode="json") if isinstance(layer, Section) else layer
        _merge(tree, _expand(Config, given, ""))
    for word in sorted(overrides, key=lambda word: word.partition("=")[0].count(".")):
        _merge(tree, _expand(Config, _parse(word), ""))
    try:
        return _absolute_paths(Config.model_validate(tree))
    except ValidationError as error:
        raise ConfigError("\n".join(told(detail) for detail in error.errors())) from None


def load(path: str | Path) -> Tree:
    """The settings of a YAML file, such as the ``config.yaml`` of a run."""
    file = user_path(str(path))
    if not file.is_file():
        raise ConfigError(f"--config {path}: no such file")
    try:
        tree = OmegaConf.to_container(OmegaConf.load(file))
    except (*UNREADABLE, OSError) as error:
        raise ConfigError(f"--config {path}: not readable as YAML settings: {error}") from None
    if not isinstance(tree, dict):
        raise ConfigError(f"--config {path}: expected settings (key: value), found {type(tree).__name__}")
    return {str(key): value for key, value in tree.items()}


def dump(config: Config) -> str:
    """The resolved configuration as YAML; ``load`` and ``resolve`` give the same Config back."""
    return OmegaConf.to_yaml(OmegaConf.create(config.model_dump(mode="json")))


def dotted_keys(section: type[Section] = Config, prefix: str = "") -> Iterator[str]:
    """Every key that can be set, sections included: ``sampling``, ``sampling.temperature``, ..."""
    for name, field in section.model_fields.items():
        yield prefix + name
        if (inner := section_of(field)) is not None:
            yield from dotted_keys(inner, f"{prefix}{name}.")


def _parse(word: str) -> Tree:
    key, equals, value = word.partition("=")
    if not equals or not key:
        raise ConfigError(f"{word!r}: expected key=value, such as sampling.temperature=0.7")
    if value != "null" and _is_verbatim(key):
        return _nested(key, value)
    try:
        container = OmegaConf.to_container(OmegaConf.from_dotlist([word]))
    except UNREADABLE as error:
        raise ConfigError(f"{key}: {value!r} is not readable: {error}") from None
    assert isinstance(container, dict), "a dotlist always parses to a mapping"
    return {str(name): item for name, item in container.items()}


def _is_verbatim(key: str, section: type[Section] = Config) -> bool:
    name, _, rest = key.partition(".")
    field = section.model_fields.get(name)
    if field is None:
        return False
    inner = section_of(field)
    if inner is not None:
        return _is_verbatim(rest, inner)
    return not rest and any(isinstance(part, Verbatim) for part in field.metadata)


def _nested(key: str, value: str) -> Tree:
    name, dot, rest = key.partition(".")
    return {name: _nested(rest, value) if dot else value}


def _expand(section: type[Section], tree: Tree, prefix: str) -> Tree:
    """Check the keys of ``tree`` and replace preset words by the settings they stand for."""
    expanded: Tree = {}
    for name, value in tree.items():
        if name not in section.model_fields:
            raise ConfigError(_unknown(section, prefix, name))
        inner = section_of(section.model_fields[name])
        if inner is None:
            expanded[name] = value
        elif isinstance(value, dict):
            expanded[name] = _expand(inner, value, f"{prefix}{name}.")
        else:
            expanded[name] = _expand(inner, _preset(inner, prefix + name, value), f"{prefix}{name}.")
    return expanded


def _preset(section: type[Section], key: str, word: Any) -> Tree:
    if section.shorthand is not None:
        return {section.shorthand: None if word == "none" else word}
    if not section.presets:
        first = next(iter(section.model_fields))
        raise ConfigError(f"{key}={word}: {key} is a group of settings; set one of them, such as {key}.{first}=...")
    if word is None:
        word = "none"
    if not isinstance(word, str) or word not in section.presets:
        raise ConfigError(f"{key}={word}: {no_such('preset', str(word), section.presets)}")
    return section.presets[word]


def _merge(tree: Tree, update: Tree) -> None:
    """Names that are not given stay; ``{}`` leaves none of them."""
    for name, value in update.items():
        if isinstance(value, dict) and value and isinstance(tree.get(name), dict):
            _merge(tree[name], value)
        else:
            tree[name] = value


def section_of(field: FieldInfo) -> type[Section] | None:
    """The section that a field holds, or None if the field is a plain setting."""
    kind = field.annotation
    return kind if isinstance(kind, type) and issubclass(kind, Section) else None


def _unknown(section: type[Section], prefix: str, name: str) -> str:
    key = prefix + name
    siblings = {prefix + field: field for field in section.model_fields}
    near = difflib.get_close_matches(name, section.model_fields, n=1, cutoff=0.6)
    if near:
        return f"{key}: unknown key; did you mean {prefix}{near[0]}?"
    elsewhere = list(dotted_keys())
    near = difflib.get_close_matches(name, {known.rpartition(".")[2] for known in elsewhere}, n=1, cutoff=0.7)
    if near:
        named = [known for known in elsewhere if known.rpartition(".")[2] == near[0]]
        return f"{key}: unknown key; did you mean {' or '.join(named)}?"
    return f"{key}: unknown key; known here: {', '.join(siblings)}"


def told(detail: ErrorDetails) -> str:
    """What pydantic found, in one line with the key, the value and how the value is written."""
    key = ".".join(str(part) for part in detail["loc"])
    text, given = detail["msg"].removeprefix("Value error, "), detail["input"]
    if not key or (detail["type"] == "value_error" and isinstance(given, dict | Section)):
        return text  # of a whole section: the message names the keys
    if detail["type"] in ("tuple_type", "list_type"):
        text = f"write a list, {key}=[{given}]"
    elif detail["type"] == "dict_type":
        text = f"write names with values, '{key}={{NAME: VALUE}}'"
    return f"{key}={given}: {text[0].lower()}{text[1:]}"


def _absolute_paths(config: Config) -> Config:
    """Files named relative to where the command was typed: workers run in other folders."""
    update: dict[str, Any] = {
        "task": _with_code(_with_absolute(config.task, "path", "eval_path"), "kind", config.task.code),
        "reward": _with_code(config.reward, "function", config.reward.code),
        "offline": _with_absolute(config.offline, "groups"),
        "evaluation": config.evaluation.model_copy(update={"sets": tuple(map(whole_word, config.evaluation.sets))}),
        "storage": config.store or str(config.storage_root),
        "scratch": str(user_path(config.scratch).absolute()),
        "model_cache": str(config.model_cache_root),
    }
    if user_path(config.model).exists():
        update["model"] = str(user_path(config.model).absolute())
    return config.model_copy(update=update)


def _with_absolute(section: Section, *names: str) -> Section:
    return section.model_copy(update={name: _absolute(getattr(section, name)) for name in names})


def _with_code(section: Section, name: str, code: UserCode | None) -> Section:
    """Code of the user's by its whole path, with the hash of what it says now."""
    update = {"sha256": None} if code is None else {name: code.given, "sha256": code.sha256}
    return section.model_copy(update=update)


def _absolute(sources: Any) -> Any:
    """One path, several, or several with weights; names of the hub stay."""
    if isinstance(sources, dict):
        return {_absolute(path): weight for path, weight in sources.items()}
    if isinstance(sources, tuple):
        return tuple(map(_absolute, sources))
    whole = sources is None or is_hub_name(sources) or is_address(sources)
    return sources if whole else str(user_path(sources).absolute())
