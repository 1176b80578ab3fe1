"""The judge that is measured, from its start to its end.

What imports Ray and torch is imported where replicas are started: every other judge does without.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager

from raysgpo.config import Config, JudgeConfig
from raysgpo.judging.address import JudgeAddress, build_judge
from raysgpo.judging.credentials import read_key
from raysgpo.judging.endpoint import JudgeUnavailable
from raysgpo.judging.judge import Judge
from raysgpo.studies.judge_quality.labelled import LabelledRow

Say = Callable[[str], None]
LOOKED_AT = 32
"""Of the longest rows: what they have in tokens is what the judge must take."""


@contextmanager
def running_judge(config: Config, rows: Sequence[LabelledRow], say: Say) -> Iterator[Judge]:
    """The judge that the configuration names, for ``rows``; replicas are started, and taken down at the end.

    Raises:
        ValueError: its key or its checkpoint is not there, or model_cache takes no files.
        JudgeUnavailable: the replicas do not start.
    """
    with ExitStack() as ending:
        replicas = config.judge.kind == "replicas"
        address = ending.enter_context(_replicas(config, rows, say)) if replicas else _endpoint(config.judge)
        judge = build_judge(config.judge, address)
        assert judge is not None, "judge=none was refused"
        yield judge


def _endpoint(config: JudgeConfig) -> JudgeAddress | None:
    """None for a judge that has no server."""
    if config.kind != "endpoint":
        return None
    assert config.base_url and config.model, "the configuration refuses such an endpoint"
    return JudgeAddress(config.base_url, config.model, read_key(config))


@contextmanager
def _replicas(config: Config, rows: Sequence[LabelledRow], say: Say) -> Iterator[JudgeAddress]:
    """The address of judge replicas on Ray."""
    from raysgpo.serving.application import delete
    from raysgpo.serving.judge_replicas import start_judge, wait_for_judge
    from raysgpo.session.ray_session import ray_session
    from raysgpo.start.preparation import ready_judge

    longest = sorted(rows, key=lambda row: sum(map(len, row.steps)), reverse=True)[:LOOKED_AT]
    judge = ready_judge(config, [(row.problem, row.steps) for row in longest], say)
    name = f"judge-quality-{os.getpid()}"
    say("starting the judge replicas ...")
    with ray_session(), ExitStack() as ending:
        address = start_judge(judge, name)
        ending.callback(delete, name, deadline=5.0)
        try:
            wait_for_judge(judge, name, say)
        except (RuntimeError, TimeoutError) as error:
            raise JudgeUnavailable(str(error)) from None
        yield address
