"""The sweeps by their names, which are those of the papers' tables."""

from __future__ import annotations

from raysgpo.config.overrides import ConfigError
from raysgpo.config.section import no_such
from raysgpo.studies.sweeps import corpo, g2rpo_a, sgpo
from raysgpo.studies.sweeps.sweep import Sweep

SWEEPS: dict[str, Sweep] = {**sgpo.SWEEPS, **g2rpo_a.SWEEPS, **corpo.SWEEPS}


def named_sweep(name: str) -> Sweep:
    """The sweep of that name.

    Raises:
        ConfigError: there is none.
    """
    if name not in SWEEPS:
        raise ConfigError(f"--sweep {name}: {no_such('sweep', name, SWEEPS)}")
    return SWEEPS[name]
