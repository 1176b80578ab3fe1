"""Seeds by hashing.

vLLM seeds parallel samples with seed + index, so neighbouring seeds share random streams. A hash
of everything that names a rollout gives each its own stream, and the same one after a resume.
"""

from __future__ import annotations

import hashlib


def derive_seed(*parts: int | str) -> int:
    """A seed in [0, 2**31) that depends on every part and on their order.

    The bound keeps it valid for numpy, torch and vLLM alike.
    """
    text = "\x1f".join(f"{type(part).__name__}:{part}" for part in parts)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") >> 1
