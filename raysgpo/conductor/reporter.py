"""The one writer of a run's records: JSONL, Ray metrics, and lines for the console."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterable, Mapping, Sequence

from tenacity import AsyncRetrying

from raysgpo.conductor.exporter import Exporter
from raysgpo.conductor.unseen_rows import UnseenRows
from raysgpo.output.group_json import group_row
from raysgpo.output.json_lines import JsonLines, Row, cut_rows, read_rows, write_together
from raysgpo.output.metrics import Metrics
from raysgpo.output.prometheus import Series
from raysgpo.output.room import waiting_for_room
from raysgpo.output.run_folder import RunFolder
from raysgpo.output.whole_file import WriteFailed
from raysgpo.records import Group

MOST_SAID = 1000
"""Lines that are remembered, so as not to be said again."""


def finite(row: Metrics) -> Metrics:
    """A diverged step's NaN and infinities as null: JSON has neither, and the run must not end over its log."""
    return {name: value if value is None or math.isfinite(value) else None for name, value in row.items()}


class Reporter:
    """Writes each step once, whole. A resumed run first cuts the records at its checkpoint's step."""

    def __init__(
        self,
        run: RunFolder,
        step: int,
        tokens: bool,
        said: Iterable[str] = (),
        sizes: Mapping[str, int] | None = None,
        facts: Mapping[Series, float] | None = None,
        sets: bool = False,
    ) -> None:
        """``step``: optimizer steps done; ``said``: lines that the console has shown already; ``sizes``: see
        ``sizes``, as of that step; ``facts``: what Prometheus is told of the run from the start; ``sets``: whether
        sets of questions are asked too."""
        sizes = sizes or {}
        for path in (run.metrics, run.groups):
            cut_rows(path, step, sizes.get(path.name))
        for path in (run.evaluations, run.answers, *([run.set_answers] if sets else [])):
            cut_rows(path, step + 1, sizes.get(path.name))
        self.rows = UnseenRows()
        self.failure: WriteFailed | None = None
        """Why nothing more can be written, once waiting was in vain."""
        self._tokens = tokens
        self._metrics, self._groups = JsonLines(run.metrics), JsonLines(run.groups)
        self._evaluations, self._answers = JsonLines(run.evaluations), JsonLines(run.answers)
        self._set_answers = JsonLines(run.set_answers) if sets else None
        self._recording, self._recorded = asyncio.Lock(), step
        self._sizes: dict[int, dict[str, int]] = {}
        self._accuracies = {row["step"]: row.get("eval/accuracy") for row in read_rows(run.evaluations)}
        self._measure(step)
        self._exporter = Exporter(run, step, facts or {})
        self._messages: list[str] = []
        self._said, self._kinds = dict.fromkeys(said), set[str]()

    async def record(self, row: Metrics, groups: Sequence[Group]) -> bool:
        """One step: its groups, then its numbers, all or none of them. False if the step was recorded before.

        Raises:
            WriteFailed: there was no room for it, however long it waited.
        """
        row, step = finite(row), int(row["step"] or 0)
        async with self._recording:
            if step < self._recorded:
                return False
            await self._write(
                lambda: [
                    (self._groups, (group_row(group, self._tokens) for group in groups)),
                    (self._metrics, [row]),
                ]
            )
            self._recorded = step + 1
            self._measure(step + 1)
        self._show(row, step + 1)
        return True

    async def record_evaluation(self, row: Metrics, answers: Sequence[Row], set_answers: Sequence[Row] = ()) -> None:
        """One evaluation: its answers, then its numbers, all or none. ``step``: optimizer steps of the policy.

        Raises:
            WriteFailed: as ``record``.
        """
        rows, of_sets = ([{"step": row["step"], **answer} for answer in some] for some in (answers, set_answers))
        more = [] if self._set_answers is None else [(self._set_answers, of_sets)]
        async with self._recording:
            await self._write(lambda: [(self._answers, rows), *more, (self._evaluations, [row])])
        step = int(row["step"] or 0)
        self._accuracies[step] = row.get("eval/accuracy")
        self._show(row, step)

    async def _write(self, parts: Callable[[], list[tuple[JsonLines, Iterable[Row]]]]) -> None:
        """In a thread: a step with its tokens is gigabytes of text, and whoever asks meanwhile gets an answer."""
        if self.failure is not None:
            raise self.failure
        try:
            await AsyncRetrying(**waiting_for_room(self.say))(asyncio.to_thread, lambda: write_together(parts()))
        except WriteFailed as error:
            self.failure = error
            raise

    def _show(self, row: Metrics, done: int) -> None:
        """``done``: optimizer steps of the policy that the row tells of."""
        self.rows.add(row)
        self._exporter.show(row, done)

    def sizes(self, step: int) -> dict[str, int]:
        """Bytes of each file, by its name, when ``step`` optimizer steps were recorded; empty if that is forgotten."""
        return self._sizes.get(step, {})

    def accuracy(self, step: int) -> float | None:
        """Held-out accuracy of the policy of ``step`` optimizer steps; None if it was not evaluated."""
        return self._accuracies.get(step)

    def forget_before(self, step: int) -> None:
        """No resumed run goes back behind ``step`` any more."""
        self._sizes = {done: sizes for done, sizes in self._sizes.items() if done >= step}
        self._accuracies = {done: found for done, found in self._accuracies.items() if done >= step}

    def _measure(self, step: int) -> None:
        self._sizes[step] = {file.path.name: file.size for file in self._files}

    @property
    def _files(self) -> tuple[JsonLines, ...]:
        of_sets = () if self._set_answers is None else (self._set_answers,)
        return self._metrics, self._groups, self._evaluations, self._answers, *of_sets

    async def to_disk(self) -> None:
        """What was recorded outlives a loss of power.

        Raises:
            WriteFailed: it may not, and trying again would hide it: the system has forgotten what it could not write.
        """
        try:
            for file in self._files:
                await asyncio.to_thread(file.to_disk)
        except WriteFailed as error:
            self.failure = error
            raise

    def say(self, message: str, kind: str | None = None) -> None:
        """A line for the console; the same line is said once, and of a ``kind`` only the first."""
        if message in self._said or kind in self._kinds:
            return
        self._messages.append(message)
        if kind is not None:
            self._kinds.add(kind)
            return
        self._said[message] = None
        if len(self._said) > MOST_SAID:
            del self._said[next(iter(self._said))]

    def take_messages(self) -> list[str]:
        messages, self._messages = self._messages, []
        return messages

    def close(self) -> None:
        self._exporter.close()
        for file in self._files:
            file.close()
