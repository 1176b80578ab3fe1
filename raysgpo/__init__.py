"""Post-training of reasoning models on Ray that learns from their mistakes.

Each folder is a station of a batch, on one layer; imports point down only (``tests/test_layers.py`` proves it):

- L0, no Ray, vLLM, torch or transformers: ``config``, ``tasks``, ``judging``, ``algorithms``, ``guidance``,
  ``groups``, ``output``, ``user_code``, ``recipes``, ``studies``.
- L1, torch and transformers: ``policy``, ``tiny``, ``start``.
- L2, Ray and vLLM: ``weights``, ``serving``, ``conductor``, ``training``, ``session``, ``run``.

``offline`` and ``command`` have files of each. docs/one-batch.md reads them in order.

For notebooks and files of the user's: ``from raysgpo import Config, train``, ``from raysgpo import Grade, Problem``.
"""

from __future__ import annotations

from typing import Any

__version__ = "0.1.0"

_NAMES = {
    "Config": "raysgpo.config:Config",
    "Grade": "raysgpo.tasks.task:Grade",
    "Problem": "raysgpo.records:Problem",
    "TaskConfig": "raysgpo.config:TaskConfig",
    "train": "raysgpo.command.notebook:train",
}
"""What may be imported from here, each when it is asked for: this module alone imports nothing. ``__init__.pyi`` says
the same to type checkers."""
__all__ = ["Config", "Grade", "Problem", "TaskConfig", "train"]


def __getattr__(name: str) -> Any:
    if name not in _NAMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from pkgutil import resolve_name

    return resolve_name(_NAMES[name])


def __dir__() -> list[str]:
    return sorted([*globals(), *_NAMES])
