"""Can the models and the examiner of a plan be had? Asked before anything expensive."""

from __future__ import annotations

from raysgpo.config import JudgeConfig
from raysgpo.config.model_path import check_model_path
from raysgpo.config.overrides import ConfigError
from raysgpo.evaluation.examiner import Examiner, ExaminerFailed
from raysgpo.evaluation.plan import Plan
from raysgpo.judging.credentials import read_key


async def check_access(plan: Plan) -> None:
    """The models' folders are there, or the key of their server; the examiner answers an easy question.

    Raises:
        ConfigError: one is missing; the message says what to set.
    """
    if plan.server is None:
        for model in plan.models:
            check_model_path(model.model)
    for section, server in (("server", plan.server), ("examiner", plan.examiner)):
        if server is not None:
            _check_key(section, server)
    examined = next((one.name for one in plan.sets if one.grader == "examiner"), None)
    if examined is None:
        return
    if plan.examiner is None:
        raise ConfigError(
            f"{examined}: an examiner grades some of its answers: give --examiner-url URL and --examiner-model NAME, "
            f"or grade by rules alone, {examined}.grader=rules"
        )
    await _check_examiner(plan.examiner)


def _check_key(section: str, server: JudgeConfig) -> None:
    try:
        read_key(server)
    except ConfigError as error:
        raise ConfigError(str(error).replace("judge.", f"{section}.")) from None


async def _check_examiner(config: JudgeConfig) -> None:
    examiner = Examiner(config)
    try:
        await examiner.check()
    except ExaminerFailed as error:
        raise ConfigError(f"examiner.base_url={config.base_url}: {error}") from None
    finally:
        await examiner.close()
