"""The smallest policy and judge that can be made: seconds for what is about the making, not about what they learn."""

from __future__ import annotations

from raysgpo.tiny.tiny_judge import TinyJudgeConfig
from raysgpo.tiny.tiny_policy import TinyConfig

POLICY = TinyConfig(
    hidden_size=32, intermediate_size=32, layers=1, heads=1, max_length=64, batch_size=4, clean_steps=3, slip_steps=2,
    threads=1,
)  # fmt: skip
JUDGE = TinyJudgeConfig(
    hidden_size=16, intermediate_size=16, layers=1, heads=1, batch_size=4, drill_steps=2, response_steps=2,
    real_responses=6, policy=POLICY, threads=1,
)  # fmt: skip
