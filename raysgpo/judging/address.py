"""The judge that the configuration names."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import SecretStr

from raysgpo.config import JudgeConfig
from raysgpo.judging.endpoint import EndpointJudge
from raysgpo.judging.judge import Judge
from raysgpo.judging.rule import RuleJudge
from raysgpo.judging.spoiled import SpoiledJudge


@dataclass(frozen=True, slots=True)
class JudgeAddress:
    """Where the judge's server is. It travels in memory only: the key is in no file and no log."""

    base_url: str
    model: str
    key: SecretStr | None = None


def build_judge(config: JudgeConfig, address: JudgeAddress | None) -> Judge | None:
    """None where nothing is judged."""
    if config.kind == "none":
        return None
    if config.kind == "rule":
        return SpoiledJudge(RuleJudge(), config.spoiled, config.spoiled_as) if config.spoiled else RuleJudge()
    assert address is not None, f"judge.kind={config.kind} needs the address of its server"
    return EndpointJudge(config, address.base_url, address.model, address.key)
