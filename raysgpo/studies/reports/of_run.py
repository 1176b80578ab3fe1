"""The report of one run: sampled answers, where a person looks first, and its curves."""

from __future__ import annotations

from raysgpo.config.overrides import ConfigError, resolve
from raysgpo.output.run_folder import RunFolder
from raysgpo.studies.reports.document import Document, Entry, Section, Table
from raysgpo.studies.reports.of_runs import over_epochs
from raysgpo.studies.reports.sampled import sampled_groups
from raysgpo.studies.reports.trained import Trained, Training, read_trained, setting
from raysgpo.tasks.splitters import Splitter, splitter

LEGEND = (
    "A few groups of every kind from the beginning, the middle and the end of the training. Each answer stands in its "
    "steps, numbered from 1 as the judge is told; guidance is shaded. Under a verdict the steps before the first error "
    "are marked green, the first error red, and what follows it is grey. Votes are the first wrong steps that the "
    "judge named; a dash is a vote that was lost."
)
NUMBERS = {
    "accuracy of the samples": "accuracy/mean",
    "all-negative groups": "groups/all_negative_share",
    "wrong and reinforced": "advantage/wrong_positive_share",
    "cut off": "tokens/truncated_share",
    "RTS": "judge/rts_mean",
}
"""What the page says of the first and of the last steps: name to metric."""
SHOWN = ("model", "steps", "epochs", "prompts_per_step", "sampling.group_size", "algorithm.baseline", "judge.kind")
"""Settings that stand below the title."""


def run_report(folder: RunFolder, each: int) -> Document:
    """``each``: sampled groups of every kind from every third of the training.

    Raises:
        ConfigError: it has recorded no step.
    """
    run = read_trained(folder, folder.path.name)
    if not run.records.steps:
        raise ConfigError(f"{folder.path}: no step of it is recorded yet")
    split, whole = _splitter(run)
    groups = sampled_groups(folder.groups, each, split)
    sections = [
        Section("At a glance", (_glance(run),)),
        Section("Sampled answers", (LEGEND, *([whole] if whole else []), *groups)),
        Section("Over epochs", tuple(over_epochs(Training({folder.path.name: [run]})))),
    ]
    lead = ", ".join(f"{key}={value}" for key in SHOWN if (value := setting(run.settings, key)) is not None)
    return Document(folder.path.name, lead, tuple(sections))


def _splitter(run: Trained) -> tuple[Splitter | None, str]:
    """What cuts its answers; where nothing can, why."""
    try:
        split = splitter(resolve(run.settings).task)
    except ConfigError as error:
        return None, f"Answers stand whole: the settings of the run cannot be read here ({error})."
    return split, "" if split is not None else "Answers stand whole: the task says of no splitter."


def _glance(run: Trained) -> Table:
    """A tenth of the steps at either end, at least one."""
    steps = run.records.steps
    tenth = max(1, len(steps) // 10)
    rows = [
        (Entry(name), _mean(values[:tenth], name), _mean(values[-tenth:], name))
        for name, metric in NUMBERS.items()
        if len(values := [row[metric] for row in steps if row.get(metric) is not None])
    ]
    held = list(run.records.evaluated.values())
    if held:
        rows.append((Entry("held-out accuracy"), _mean(held[:1], ""), _mean(held[-1:], "")))
    some = f"{tenth} steps" if tenth > 1 else "step"
    return Table(("of the run", f"first {some}", f"last {some}"), tuple(rows))


def _mean(values: list[float], name: str) -> Entry:
    mean = sum(values) / len(values)
    return Entry(f"{mean:.2f}" if name == "RTS" else f"{100 * mean:.1f} %")
