"""Steps as the trainer got them, so that one that is asked for again is the same."""

from __future__ import annotations

import contextlib
import pickle
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

from raysgpo.conductor.versions import Versions
from raysgpo.config import Config
from raysgpo.groups.stages import over_step
from raysgpo.groups.window import age
from raysgpo.policy.sequences import Share
from raysgpo.policy.shares import step_shares
from raysgpo.records import Drop, Group


@dataclass(frozen=True, slots=True)
class _Issued:
    groups: list[Group]
    """With their age when the step was handed out."""
    ranks: int
    updates: list[list[Share]]
    """Of each update, a share for each of the ranks."""


class IssuedSteps:
    """The groups of each step, with their age when it was handed out, and the ranks' shares of them.

    Where the number of ranks has changed since, the same groups are shared out among those that there are.

    They stay until a checkpoint covers them: in memory while the step is trained, then the groups in a file, since ten
    steps of 1,024 prompts with long answers are gigabytes. The shares follow from the groups.
    """

    def __init__(self, config: Config, versions: Versions, folder: Path) -> None:
        """``folder``: for trained steps; what another run of this folder left there is removed."""
        self._config = config
        self._versions = versions
        self._folder = folder
        self._issued: dict[int, _Issued] = {}
        shutil.rmtree(folder, ignore_errors=True)

    def __contains__(self, step: int) -> bool:
        return step in self._issued or self._file(step).exists()

    def add(self, step: int, groups: list[Group], ranks: int) -> None:
        """Hand the step out now; a second time changes nothing."""
        if step not in self:
            aged = over_step([self._aged(group, step) for group in groups], self._config.algorithm)
            self._issued[step] = self._shared(step, aged, ranks)

    def groups(self, step: int) -> list[Group]:
        """All of them, those included that carry no gradient."""
        return self._get(step).groups

    def shares(self, step: int, rank: int, ranks: int) -> list[Share]:
        """Those of one of the ranks, update after update."""
        issued = self._get(step)
        if issued.ranks != ranks:
            issued = self._issued[step] = self._shared(step, issued.groups, ranks)
        return [update[rank] for update in issued.updates]

    def put_away(self, step: int) -> None:
        """The step is trained: most likely nobody asks for it again. Where the disk is full it stays in memory.

        May run in a thread beside the others: the step is in memory until its file is there.
        """
        if (issued := self._issued.get(step)) is None:
            return
        partial = self._file(step).with_suffix(".partial")
        try:
            self._folder.mkdir(exist_ok=True)
            with partial.open("wb") as file:
                pickle.dump((issued.groups, issued.ranks), file, protocol=5)
            partial.replace(self._file(step))
        except OSError:
            with contextlib.suppress(OSError):
                partial.unlink()
            return
        self._issued.pop(step, None)

    def forget_before(self, step: int) -> None:
        for done in [s for s in self._issued if s < step]:
            del self._issued[done]
        for file in self._folder.glob("*.pickle"):
            if int(file.stem) < step:
                file.unlink()

    def close(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)

    def _get(self, step: int) -> _Issued:
        if (issued := self._issued.get(step)) is None:
            with self._file(step).open("rb") as file:
                groups, ranks = pickle.load(file)
            issued = self._issued[step] = self._shared(step, groups, ranks)
        return issued

    def _shared(self, step: int, groups: list[Group], ranks: int) -> _Issued:
        return _Issued(groups, ranks, step_shares(step, groups, self._config, ranks))

    def _file(self, step: int) -> Path:
        return self._folder / f"{step}.pickle"

    def _aged(self, group: Group, step: int) -> Group:
        """The group with its age at consumption; too old, and it carries no gradient."""
        oldest = self._versions.oldest_step(group)
        steps = 0 if oldest is None else age(step, oldest)
        too_old = steps > self._config.max_staleness and group.dropped is None
        return replace(group, step=step, age=steps, dropped=Drop.TOO_OLD if too_old else group.dropped)
