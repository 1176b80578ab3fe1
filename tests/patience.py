"""How long a test waits for what must come about."""

from __future__ import annotations

PATIENCE = 300.0
"""Seconds. On a busy machine a process takes a minute to start; a test that passes waits no longer than it must."""
