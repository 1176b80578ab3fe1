"""Recorded groups whose logprobs the trainer works out before the first step."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from raysgpo.config.overrides import resolve
from raysgpo.groups.window import run_window
from raysgpo.offline import recorded_source
from raysgpo.offline.collect import stored_groups, write_groups
from raysgpo.offline.recorded_source import RecordedSource, has_logprobs
from raysgpo.output.whole_file import WriteFailed
from raysgpo.records import Group, Rollout
from tests.output.full_disk import no_file_beyond
from tests.resolved import resolved

COUNT = 4


@pytest.fixture
def file(tmp_path: Path, make_group: Callable[..., Group], make_rollout: Callable[..., Rollout]) -> Path:
    """Groups of one answer each, without logprobs."""
    known = make_rollout()
    prompt, completion = known.segments
    unknown_T = np.full(len(completion.token_ids_T), np.nan, np.float32)
    rollout = replace(known, segments=(prompt, replace(completion, logprobs_T=unknown_T)))
    path = tmp_path / "judged.jsonl"
    write_groups([make_group(position, [rollout]) for position in range(COUNT)], path)
    return path


def source(file: Path) -> RecordedSource:
    config = resolved(resolve({}, overrides=["prompts_per_step=2"]))
    state: Any = SimpleNamespace(config=config, window=run_window(config, 0, 0, 2))
    return RecordedSource(state, file=file)


def score(of: RecordedSource) -> None:
    """As one rank does it."""
    batch = 0
    while (share := of.unscored(batch, 0, 1)) is not None:
        of.scored(batch, 0, 1, [[np.full(len(one), -0.25, np.float32) for one in part] for part in share.micro_batches])
        batch += 1


def test_the_trainer_is_answered_at_once_and_gets_groups_once_their_logprobs_are_written(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, may_write = recorded_source.replace_rows, threading.Event()

    def slow(*arguments: Any) -> None:
        assert may_write.wait(60)
        real(*arguments)

    monkeypatch.setattr(recorded_source, "replace_rows", slow)

    async def run() -> list[Group]:
        there = source(file)
        score(there)
        groups = asyncio.create_task(there.groups(0))
        await asyncio.sleep(0)
        assert not any(map(has_logprobs, stored_groups(file))) and not groups.done()
        may_write.set()
        return await asyncio.wait_for(groups, 60)

    assert all(map(has_logprobs, asyncio.run(run())))
    assert len(stored_groups(file)) == COUNT and all(map(has_logprobs, stored_groups(file)))


def test_on_a_full_disk_the_groups_stay_as_they_were_and_the_trainer_is_told(file: Path) -> None:
    before = file.read_bytes()

    async def run() -> None:
        there = source(file)
        with no_file_beyond(100):
            score(there)
            await there.groups(0)

    with pytest.raises(WriteFailed, match=r"judged\.jsonl: [\d,]+ bytes or more could not be written"):
        asyncio.run(run())
    assert file.read_bytes() == before
