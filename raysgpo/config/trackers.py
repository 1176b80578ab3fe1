"""The experiment trackers that a run may tell its numbers: one row each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator

from raysgpo.config.section import OneOf


@dataclass(frozen=True, slots=True)
class TrackerKind:
    """A tracker as its setting sees it."""

    factory: str
    """``module:name`` of a :class:`raysgpo.tracking.tracker.Tracker`; what it needs is imported when it begins."""
    package: str
    """What it imports."""
    extra: str | None = None
    """Of raysgpo, which brings the package; None: it comes along."""

    @property
    def installed(self) -> bool:
        """Whether the package is there. A folder of its name, such as W&B's own ``wandb/``, is none."""
        spec = find_spec(self.package)
        return spec is not None and spec.origin is not None


TRACKERS: Mapping[str, TrackerKind] = {
    "tensorboard": TrackerKind("raysgpo.tracking.tensorboard:TensorBoardLog", "tensorboardX"),
    "wandb": TrackerKind("raysgpo.tracking.wandb:WandbRun", "wandb", extra="wandb"),
    "mlflow": TrackerKind("raysgpo.tracking.mlflow:MLflowRun", "mlflow", extra="mlflow"),
}


def _listed(given: Any) -> Any:
    """One word is a list of one."""
    return (given,) if isinstance(given, str) else given


def _each_once(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))


TrackerNames = Annotated[
    tuple[Annotated[str, OneOf(TRACKERS, "tracker")], ...], BeforeValidator(_listed), AfterValidator(_each_once)
]
"""Names of TRACKERS, each once."""


def missing_package(name: str) -> str | None:
    """What to install for a tracker, in one line; None if it is there."""
    kind = TRACKERS[name]
    if kind.installed:
        return None
    return (
        f"records.trackers={name}: the package {kind.package} is not installed: pip install raysgpo[{kind.extra}], or "
        f"leave {name} out"
    )
