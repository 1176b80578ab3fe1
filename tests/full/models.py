"""Models that are made in seconds, for runs of the real stack."""

from __future__ import annotations

from pathlib import Path


def hasty_policy(folder: Path) -> Path:
    """A policy that has begun to add: often wrong, sometimes right."""
    from raysgpo.tiny.tiny_policy import TinyConfig, ensure_tiny_policy

    config = TinyConfig(
        hidden_size=64, intermediate_size=128, heads=2, clean_terms=(2, 3), clean_steps=240, slip_steps=0, threads=1
    )
    return ensure_tiny_policy(folder, report=lambda line: None, config=config)


def hasty_judge(folder: Path) -> Path:
    """A judge that was taught for seconds: it says letters, and is often wrong."""
    from raysgpo.tiny.tiny_judge import TinyJudgeConfig, train_tiny_judge
    from raysgpo.tiny.tiny_model import save_tiny_model

    config = TinyJudgeConfig(
        hidden_size=32, intermediate_size=64, heads=1, batch_size=16, terms=(3,), drill_steps=60, response_steps=20,
        real_share=0, threads=1,
    )  # fmt: skip
    save_tiny_model(train_tiny_judge(config, [], lambda line: None), config, folder)
    return folder
