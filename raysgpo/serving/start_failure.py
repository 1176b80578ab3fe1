"""Why an engine did not start, in one line: what Ray Serve and vLLM say of it in the words of our settings.

vLLM's messages name its own arguments, and are the end of a trace of a hundred lines. What is known among them becomes
the setting that mends it; of everything else the line of the error itself is left.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

LONGEST = 400
"""Characters of another package's message that are shown."""
WRAPPED = re.compile(r"See (?:root cause|stack trace)|Traceback \(most recent call last\)")
"""In errors that only say that there was another: in another process, or further down in the text."""
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_LOGGED = re.compile(r"^\(\w[\w ]* pid=\d+(?:, ip=\S+)?\) ?(?:[A-Z]+ \S+ \S+ \[[^]]+\] ?)?", re.MULTILINE)
"""What vLLM's loggers, and Ray, write before each line."""
_ERROR = re.compile(r"^(?:\w+\.)*(\w*(?:Error|Exception|Exit)): ?(.*)$")
_DIED = re.compile(r"Worker exit detail: (.*?)(?: Some common causes|\.?\s*$)", re.MULTILINE)
_INVALID = re.compile(r"validation errors? for \w+\n(?:  Value error, (?P<refusal>.+?)|(?P<rest>(?:.|\n)+?)) \[type=")
_FIELD = re.compile(r"^(?P<field>\w+)[\w.,'\[\]-]*\n  (?P<why>.+?) \[type=", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """What a user can set of an engine, for messages."""

    section: str
    """``rollout`` or ``judge``."""
    model: str
    """Such as ``judge.model=Qwen/Qwen3-8B``."""
    gpus: float
    kv_cache_gib: float | None
    engine: Mapping[str, Any]

    def key(self, name: str) -> str:
        return f"{self.section}.{name}"

    def argument(self, name: str) -> str:
        """Such as ``rollout.engine={dtype: half}``."""
        given = yaml.safe_dump({name: self.engine[name]}, default_flow_style=True, width=math.inf)
        return f"{self.section}.engine={given.strip()}"


def plain(text: str) -> str:
    """Without colours, and without what loggers put before each line."""
    return _LOGGED.sub("", _COLOUR.sub("", text))


def is_elsewhere(text: str) -> bool:
    """Whether what failed is another process of the engine, whose error is in its log alone."""
    return "See root cause above" in text or "See stack trace" in text


def last_error(text: str) -> str:
    """The error of a trace, in one line: the last that does not stand for another one."""
    text = plain(text)
    if (refused := _INVALID.search(text)) is not None:
        return _short(refused["refusal"] or " ".join(refused["rest"].split()))
    errors = [f"{name}: {said}" for name, said in _errors(text) if not WRAPPED.search(said)]
    if errors:
        return _short(errors[-1])
    if (died := _DIED.search(text)) is not None:
        return _short(f"the process of a replica died: {died[1]}")
    return _short(next((line for line in reversed(text.splitlines()) if line.strip()), "no message"))


def mend(text: str, engine: EngineSettings) -> str | None:
    """What to set, for a failure that another try would only repeat; None for any other."""
    text = plain(text)
    for pattern, line in KINDS:
        if (found := pattern.search(text)) is not None:
            return line(found, engine)
    return _invalid(text, engine)


def _errors(text: str) -> Iterator[tuple[str, str]]:
    for line in text.splitlines():
        if (found := _ERROR.match(line)) is not None:
            yield found[1], found[2]


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= LONGEST else text[:LONGEST].rstrip() + " ..."


def _invalid(text: str, engine: EngineSettings) -> str | None:
    """A value that vLLM's own checks refuse, with the entry of ``engine`` that has it, if one has."""
    if (refused := _INVALID.search(text)) is None:
        return None
    if refused["refusal"] is None:
        fields = list(_FIELD.finditer(text))
        ours = next((found for found in fields if found["field"] in engine.engine), fields[0] if fields else None)
        if ours is None:
            return None
        name = ours["field"]
        at = engine.argument(name) if name in engine.engine else f"{engine.key('engine')}: {name}"
        return f"{at}: {_lowered(ours['why'])}"
    said = _short(refused["refusal"])
    named = [name for name, value in engine.engine.items() if name in said or (str(value) and str(value) in said)]
    return f"{engine.argument(named[0]) if named else engine.model}: vLLM refuses it: {said}"


def _lowered(text: str) -> str:
    return text[:1].lower() + text[1:]


Line = Callable[[re.Match[str], EngineSettings], str]


def _cache(found: re.Match[str], engine: EngineSettings) -> str:
    tokens, needed, there = int(found[1]), float(found[2]), float(found[3])
    takes = f"one sequence of {tokens} tokens takes {needed:g} GiB of the key-value cache"
    if engine.gpus or engine.kv_cache_gib is None:
        return f"{engine.model}: {takes} and {there:g} GiB are left for it; {_more_gpu_memory(engine)}"
    # vLLM rounds its numbers to 0.01, and keeps a block for itself.
    enough = math.ceil((needed + 0.01 + max(engine.kv_cache_gib - there, 0.0)) * 100) / 100
    key = engine.key("kv_cache_gib")
    return f"{key}={engine.kv_cache_gib:g}: {takes}; set {key}={enough:g} or more, or leave it out"


def _no_cache(found: re.Match[str], engine: EngineSettings) -> str:
    if engine.gpus or engine.kv_cache_gib is None:
        return f"{engine.model}: its weights leave no memory for the key-value cache; {_more_gpu_memory(engine)}"
    key = engine.key("kv_cache_gib")
    return f"{key}={engine.kv_cache_gib:g} is less than a block of the key-value cache; raise it, or leave it out"


def _more_gpu_memory(engine: EngineSettings) -> str:
    return (
        f"set {engine.key('gpus')} higher, {engine.key('max_model_len')} lower, or "
        f"{engine.key('engine')}={{gpu_memory_utilization: ...}} nearer to 1"
    )


def _no_room(found: re.Match[str], engine: EngineSettings) -> str:
    key = engine.key("kv_cache_gib")
    return f"{key}={float(found[2]):g}: the replica's machine has {found[1]} GiB free; set {key} lower, or leave it out"


def _out_of_memory(found: re.Match[str], engine: EngineSettings) -> str:
    if engine.gpus:
        return (
            f"{engine.model}: the engine ran out of GPU memory ({_short(found[0])}); set {engine.key('gpus')} higher, "
            f"{engine.key('max_model_len')} lower, or {engine.key('engine')}={{gpu_memory_utilization: ...}} lower "
            "where another process shares the GPU"
        )
    cache = "" if engine.kv_cache_gib is None else f"={engine.kv_cache_gib:g}"
    return (
        f"{engine.model}: the engine ran out of memory ({_short(found[0])}); set {engine.key('kv_cache_gib')}{cache} "
        "lower, or take a smaller model"
    )


def _architecture(found: re.Match[str], engine: EngineSettings) -> str:
    names = (found[1] or found[2]).replace("'", "")
    return f"{engine.model}: vLLM cannot run its architecture {names} (config.json); take another model"


def _revision(found: re.Match[str], engine: EngineSettings) -> str:
    at = engine.argument("revision") if "revision" in engine.engine else engine.key("engine")
    return f"{at}: {engine.model} has no such revision; name one that it has, or leave it out"


def _no_access(found: re.Match[str], engine: EngineSettings) -> str:
    return (
        f"{engine.model}: the hub does not give it to the replica's machine ({_short(found[0])}); set HF_TOKEN on "
        "every node, or give the folder of a copy that all nodes see"
    )


def _no_hub(found: re.Match[str], engine: EngineSettings) -> str:
    return (
        f"{engine.model}: the replica's machine cannot reach the hub and has no copy of it; give the folder of a copy "
        "that all nodes see"
    )


def _argument(found: re.Match[str], engine: EngineSettings) -> str:
    name = found[1] or found[2]
    at = engine.argument(name) if name in engine.engine else engine.key("engine")
    return f"{at}: vLLM's engine has no argument {name}; remove it"


def _length(found: re.Match[str], engine: EngineSettings) -> str:
    return f"{engine.key('max_model_len')}={found[1]}: the model takes at most {found[2]} tokens"


def _heads(found: re.Match[str], engine: EngineSettings) -> str:
    return (
        f"{engine.model}: its {found[1]} attention heads cannot be divided over {found[2]} GPUs; set "
        f"{engine.key('gpus')} or {engine.key('engine')}={{tensor_parallel_size: ...}} to a divisor of {found[1]}"
    )


def _dtype(found: re.Match[str], engine: EngineSettings) -> str:
    at = engine.argument("dtype") if "dtype" in engine.engine else engine.model
    return f"{at}: {_short(found[0])}; set {engine.key('engine')}={{dtype: ...}} to another, such as float32"


def _kind(pattern: str, line: Line) -> tuple[re.Pattern[str], Line]:
    return re.compile(pattern), line


KINDS: tuple[tuple[re.Pattern[str], Line], ...] = (
    _kind(
        r"max seq len \((\d+)\), \(?([\d.]+) GiB KV cache is needed.*?available KV cache memory \((-?[\d.]+) GiB\)",
        _cache,
    ),
    _kind(r"No available memory for the cache blocks", _no_cache),
    _kind(
        r"\(([\d.]+)/[\d.]+ GiB\) on kv cache allocation is less than requested memory for kv \(([\d.]+) GiB", _no_room
    ),
    _kind(
        r"CUDA out of memory|OutOfMemoryError|DefaultCPUAllocator: .*allocate memory|Cannot allocate memory"
        r"|std::bad_alloc|(?m:^MemoryError)|Free memory on device \S+ \(.*?\) on startup is less than desired",
        _out_of_memory,
    ),
    _kind(
        r"Model architectures \[(.+?)\] (?:are not supported|failed to be)|Model architecture (\S+) (?:was|is)",
        _architecture,
    ),
    _kind(r"RevisionNotFound|Revision Not Found|is not a valid git identifier", _revision),
    _kind(r"GatedRepoError|RepositoryNotFoundError|is not a valid model identifier|40[13] Client Error", _no_access),
    _kind(r"couldn't connect to '\S*huggingface|LocalEntryNotFoundError|OfflineModeIsEnabled", _no_hub),
    _kind(
        r"AsyncEngineArgs.__init__\(\) got an unexpected keyword argument '(\w+)'|Unknown engine argument: (\w+)",
        _argument,
    ),
    _kind(r"User-specified max_model_len \((\d+)\) is greater than the derived max_model_len \(\w+=(\d+)", _length),
    _kind(r"attention heads \((\d+)\) must be divisible by tensor parallel size \((\d+)\)", _heads),
    _kind(r"Unknown dtype: .*|does not support float16.*|Bfloat16 is only supported .*", _dtype),
)
"""What vLLM, torch and the hub say, to what we say of it."""
