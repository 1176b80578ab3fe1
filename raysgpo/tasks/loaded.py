"""A task with its data read: what is trained on, how often, and the report of every row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from raysgpo.config import Config
from raysgpo.data.report import DataReport, Source, reading
from raysgpo.records import Problem
from raysgpo.seeds import derive_seed
from raysgpo.tasks.kinds import build_task
from raysgpo.tasks.task import Task


@dataclass(frozen=True, slots=True)
class LoadedTask:
    task: Task
    train: tuple[Problem, ...]
    """The training problems of an epoch, as often as the weights of their sources say."""
    report: DataReport


def load_task(config: Config) -> LoadedTask:
    """Builds the task of ``config``.

    Raises:
        ValueError: bad data, naming the file and the row.
    """
    with reading() as report:
        task = build_task(config)
    train = tuple(_weighted(task.train, report, config.task.seed))
    report.divided([problem.id for problem in train], [problem.id for problem in task.held_out])
    return LoadedTask(task, train, report)


def _weighted(train: Sequence[Problem], report: DataReport, seed: int) -> Iterator[Problem]:
    """Each problem as often as its source weighs: of 2.5 twice, and half of them once more, which follow from their ids
    and the seed. The copies, ``ID*2``, come behind all others."""
    times = _times(train, report, seed)
    for time in range(1, max(times.values(), default=1) + 1):
        for problem in train:
            if times.get(problem.id, 1) >= time:
                yield problem if time == 1 else replace(problem, id=f"{problem.id}*{time}")
    report.drop((one for one, many in times.items() if many == 0), "task.path weighs it below 1")


def _times(train: Sequence[Problem], report: DataReport, seed: int) -> dict[str, int]:
    of_source: dict[int, tuple[Source, list[str]]] = {}
    for problem in train:
        if problem.id in report.places:
            source = report.places[problem.id][0]
            of_source.setdefault(id(source), (source, []))[1].append(problem.id)
    times: dict[str, int] = {}
    for source, ids in of_source.values():
        whole, part = divmod(source.weight, 1.0)
        drawn = sorted(ids, key=lambda one: derive_seed("weight", seed, one))
        more = set(drawn[: round(part * len(ids))])
        times |= {one: int(whole) + (one in more) for one in ids}
    return times
