"""What every group of settings is."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A group of settings. A section that has ``presets`` may be set to one word."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, use_attribute_docstrings=True)

    presets: ClassVar[dict[str, dict[str, Any]]] = {}
    """What ``section=word`` stands for; every setting it names can still be overridden."""
