"""The judge that the configuration names."""

from __future__ import annotations

from raysgpo.config import JudgeConfig
from raysgpo.judging.judge import Judge
from raysgpo.judging.rule import RuleJudge


def build_judge(config: JudgeConfig) -> Judge | None:
    """None where nothing is judged."""
    return {"none": lambda: None, "rule": RuleJudge}[config.kind]()
