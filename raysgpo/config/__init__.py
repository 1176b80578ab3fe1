"""The configuration of a run: one frozen, typed tree.

A recipe in ``raysgpo/recipes/`` is a function that returns a :class:`Config`; the command line overrides it
with dotted keys (``sampling.temperature=0.7``); the run saves the result as ``config.yaml``. How
text becomes a Config (overrides, presets, files, error messages) is ``raysgpo.config.overrides``; this
file says what may be set, what it means, and which combinations are impossible.
"""

from __future__ import annotations

from raysgpo.config.algorithm import AlgorithmConfig, PartialCreditConfig, doubtful_algorithm
from raysgpo.config.config import Config
from raysgpo.config.curriculum import CurriculumConfig
from raysgpo.config.guidance import GuidanceConfig
from raysgpo.config.judge import JudgeConfig
from raysgpo.config.offline import OfflineConfig
from raysgpo.config.records import CheckpointConfig, EvaluationConfig, RecordsConfig
from raysgpo.config.reward import RewardConfig
from raysgpo.config.rollout import RolloutConfig, SamplingConfig
from raysgpo.config.section import Section
from raysgpo.config.task import TaskConfig
from raysgpo.config.trainer import OptimizerConfig, TrainerConfig, doubtful_optimizer

__all__ = [
    "AlgorithmConfig",
    "CheckpointConfig",
    "Config",
    "CurriculumConfig",
    "EvaluationConfig",
    "GuidanceConfig",
    "JudgeConfig",
    "OfflineConfig",
    "OptimizerConfig",
    "PartialCreditConfig",
    "RecordsConfig",
    "RewardConfig",
    "RolloutConfig",
    "SamplingConfig",
    "Section",
    "TaskConfig",
    "TrainerConfig",
    "doubtful_algorithm",
    "doubtful_optimizer",
]
