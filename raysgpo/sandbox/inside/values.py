"""Values between a program and its tests: data and nothing else.

What comes back from a program is made anew of Python's own types, so that no ``__eq__`` of the program's speaks for it.
A value that is no data, such as a function or an object of a class, stays where it is; the other side gets its number.

A value is a letter, the length of what follows in four bytes, and so much; a container holds values one after another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from types import GeneratorType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MOST_ITEMS = 1_000_000
"""Of an iterator, which may have no end."""
_ITERATORS: tuple[type[Iterable], ...] = (
    GeneratorType, map, filter, zip, enumerate, reversed, type(iter([])), type(iter(())), type(iter({})),
    type(iter(set())), type(iter("")), type(iter(range(0))), type({}.keys()), type({}.values()), type({}.items()),
)  # fmt: skip


def written(value: Any, keep: Callable[[Any], int]) -> bytes:
    """``keep``: gives the number of a value that stays here.

    Raises whatever a value that is too deep, too large or hostile makes it raise.
    """
    parts: list[bytes] = []
    _write(value, parts, keep)
    return b"".join(parts)


def read(data: bytes, at: Callable[[int], Any]) -> Any:
    """``at``: what stands for the value of this number over there.

    Raises ValueError or KeyError for what is no value, RecursionError for one too deep.
    """
    value, end = _read(data, 0, at)
    if end != len(data):
        raise ValueError("a value, and more behind it")
    return value


def _write(value: Any, parts: list[bytes], keep: Callable[[Any], int]) -> None:
    kind, content = _shown(value, keep)
    if isinstance(content, bytes):
        parts += (kind, len(content).to_bytes(4, "big"), content)
        return
    at = len(parts)
    parts += (kind, b"")
    for item in content:
        _write(item, parts, keep)
    parts[at + 1] = sum(map(len, parts[at + 2 :])).to_bytes(4, "big")


def _shown(value: Any, keep: Callable[[Any], int]) -> tuple[bytes, bytes | Iterable[Any]]:
    """The letter, and the content or the values that it consists of. Of a class of the program's own, what it holds."""
    kind = type(value)
    if value is None or kind is bool:
        return b"n" if value is None else b"b", b"" if value is None else bytes([value])
    if isinstance(value, int):
        number = int.__index__(value)
        return b"i", number.to_bytes(number.bit_length() // 8 + 1, "big", signed=True)
    if isinstance(value, str):
        return b"s", str.encode(value, "utf-8", "surrogatepass")
    if isinstance(value, float):
        return b"f", float.hex(value).encode()
    if isinstance(value, bytes | bytearray):
        return b"y" if isinstance(value, bytes) else b"Y", bytes(value)
    for base, letter, items in _CONTAINERS:
        if isinstance(value, base):
            return letter, items(value)
    if isinstance(value, _ITERATORS):
        return b"I", islice(value, MOST_ITEMS)
    if kind.__module__ == "collections" and kind.__name__ == "deque":
        return b"D", value
    if kind is complex:
        return b"c", (value.real, value.imag)
    if kind is range:
        return b"r", (value.start, value.stop, value.step)
    if kind.__module__ in _NUMBERS and kind.__name__ == _NUMBERS[kind.__module__]:
        return b"N", (kind.__module__, str(value))
    return b"o", keep(value).to_bytes(4, "big")


def _read(data: bytes, start: int, at: Callable[[int], Any]) -> tuple[Any, int]:
    """The value that begins at ``start``, and where it ends."""
    kind, content = data[start : start + 1], start + 5
    end = content + int.from_bytes(data[start + 1 : content], "big")
    if end > len(data):
        raise ValueError("a value that ends too soon")
    if kind in _PLAIN:
        return _PLAIN[kind](data[content:end]), end
    if kind == b"o":
        return at(int.from_bytes(data[content:end], "big")), end
    items = []
    while content < end:
        item, content = _read(data, content, at)
        items.append(item)
    return _MADE[kind](items), end


def _pairs(items: list[Any]) -> dict[Any, Any]:
    return dict(zip(items[::2], items[1::2], strict=True))


def _flat(value: dict[Any, Any]) -> Iterator[Any]:
    return (one for pair in dict.items(value) for one in pair)


def _deque(items: list[Any]) -> Any:
    from collections import deque

    return deque(items)


def _number(parts: list[str]) -> Any:
    module, text = parts
    kind = _NUMBERS[module]
    return getattr(__import__(module), kind)(text)


_CONTAINERS: tuple[tuple[type, bytes, Callable[[Any], Iterable[Any]]], ...] = (
    (list, b"l", list.__iter__), (tuple, b"t", tuple.__iter__), (dict, b"d", _flat), (set, b"S", set.__iter__),
    (frozenset, b"F", frozenset.__iter__),
)  # fmt: skip
_NUMBERS = {"decimal": "Decimal", "fractions": "Fraction"}
_PLAIN: dict[bytes, Callable[[bytes], Any]] = {
    b"n": lambda data: None,
    b"b": lambda data: data == b"\x01",
    b"i": lambda data: int.from_bytes(data, "big", signed=True),
    b"s": lambda data: data.decode("utf-8", "surrogatepass"),
    b"f": lambda data: float.fromhex(data.decode()),
    b"y": bytes,
    b"Y": bytearray,
}
_MADE: dict[bytes, Callable[[list[Any]], Any]] = {
    b"l": list, b"t": tuple, b"d": _pairs, b"S": set, b"F": frozenset, b"I": iter, b"D": _deque,
    b"c": lambda parts: complex(*parts), b"r": lambda parts: range(*parts), b"N": _number,
}  # fmt: skip
