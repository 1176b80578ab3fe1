"""Settings of the sandbox that programs run in."""

from __future__ import annotations

from pydantic import Field

from raysgpo.config.section import Section


class SandboxConfig(Section):
    """What one program may use. Always: one process, no network, no file but Python's own and no place to write to."""

    deadline: float = Field(10.0, gt=0, le=60)
    """Seconds by the clock for one run of a program, and as many of CPU time: all asserts together, or one standard
    input. A program that passes them has failed, and further inputs are not tried."""
    memory_gib: float = Field(1.0, gt=0.1)
    """Address space of a program; as many run at a time as the node has cores."""
    output_mib: float = Field(4.0, gt=0)
    """What a program may print, and what a value may take on its way to the tests."""
    threads: int = Field(32, ge=1)
    """Of a program, its first one included."""
