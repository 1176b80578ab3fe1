"""``--method "NAME: LABEL, LABEL"``: which models, or runs, are one method: its seeds, or its four runs of Table 3."""

from __future__ import annotations

from collections.abc import Sequence

from raysgpo.config.overrides import ConfigError
from raysgpo.config.section import no_such

Methods = dict[str, list[str]]
"""Name to labels, in order."""


def named_methods(texts: Sequence[str], labels: Sequence[str]) -> Methods:
    """Those that are asked for, or else each label by itself.

    Raises:
        ConfigError: a text that says no method, a label that is not there, or that is in two.
    """
    if not texts:
        return {label: [label] for label in labels}
    methods: Methods = {}
    taken: dict[str, str] = {}
    for text in texts:
        name, colon, rest = (part.strip() for part in text.partition(": "))
        members = [part.strip() for part in rest.split(",")] if colon else [name]
        if not name or "" in members:
            raise ConfigError(f"--method {text!r}: expected a name and labels, such as --method 'SGPO: sgpo-0, sgpo-1'")
        if name in methods:
            raise ConfigError(f"--method {text!r}: there is a method {name!r} already; give all its labels in one")
        for member in members:
            if member not in labels:
                raise ConfigError(f"--method {text!r}: {member}: {no_such('label', member, labels)}")
            if member in taken:
                raise ConfigError(f"--method {text!r}: {member} is of {taken[member]!r} already; leave one out")
            taken[member] = name
        methods[name] = members
    return methods
