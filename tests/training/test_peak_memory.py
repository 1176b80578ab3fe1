"""What a block took at most is seen, also when it is gone again at its end."""

from __future__ import annotations

import time

import numpy as np

from raysgpo.training.peak_memory import PeakMemory, anonymous_bytes

MIB = 2**20


def test_memory_that_is_gone_again_was_seen() -> None:
    before = anonymous_bytes()
    assert before is not None
    with PeakMemory() as peak:
        taken = np.ones(256 * MIB, dtype=np.uint8)
        time.sleep(0.2)
        del taken
    assert peak.host is not None
    assert 200 * MIB < peak.host - before < 400 * MIB
    assert peak.device is None


def test_a_block_that_fails_is_watched_no_longer() -> None:
    peak = PeakMemory()
    try:
        with peak:
            raise ValueError
    except ValueError:
        pass
    assert not peak._thread.is_alive()
