"""Is the judge there? Asked before anything expensive where it runs elsewhere, after its start where it is ours."""

from __future__ import annotations

import asyncio

from raysgpo.config import Config
from raysgpo.config.overrides import ConfigError
from raysgpo.judging.address import JudgeAddress
from raysgpo.judging.credentials import read_key
from raysgpo.judging.endpoint import EndpointJudge, JudgeUnavailable
from raysgpo.serving.judge_replicas import wait_for_judge
from raysgpo.session.interrupts import Say


def endpoint_address(config: Config, say: Say) -> JudgeAddress | None:
    """The judge that runs elsewhere, asked whether it is there; None if the run has none such.

    Raises:
        ConfigError: there is no key, or the judge does not answer and ``judge.required`` is set.
    """
    judge = config.judge
    if judge.kind != "endpoint" or not config.needs_judge:
        return None
    assert judge.base_url is not None and judge.model is not None, "the configuration refuses such an endpoint"
    address = JudgeAddress(judge.base_url, judge.model, read_key(judge))
    _check(config, address, say)
    return address


def wait_for_judge_replicas(config: Config, address: JudgeAddress, name: str, say: Say) -> None:
    """Return once they answer; or, without ``judge.required``, once they have failed to."""
    try:
        wait_for_judge(config.judge, name, say)
    except (ConfigError, RuntimeError, TimeoutError) as error:
        if config.judge.required:
            raise
        say(f"{error}; the run goes on without a judge (judge.required=false), and its votes are lost")
        return
    _check(config, address, say)


def _check(config: Config, address: JudgeAddress, say: Say) -> None:
    async def check() -> None:
        judge = EndpointJudge(config.judge, address.base_url, address.model, address.key)
        try:
            await judge.check(config.judge.start_seconds)
        finally:
            await judge.close()

    try:
        asyncio.run(check())
    except JudgeUnavailable as error:
        if config.judge.required:
            raise ConfigError(f"{error} (or set judge.required=false to start without the judge)") from None
        say(f"{error}; the run starts without it (judge.required=false), and its votes are lost until it answers")
