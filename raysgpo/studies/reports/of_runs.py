"""The report of trainings: SGPO's figures 3 to 5 for any runs, the map of guidance, and beside it the paper's table."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from raysgpo.studies.comparison.figures import Curve, curves
from raysgpo.studies.comparison.results import Floats, RunRecords
from raysgpo.studies.page.pictures import Picture
from raysgpo.studies.papers.tables import PaperTable
from raysgpo.studies.reports.bars import draw_bars
from raysgpo.studies.reports.beside import check_paper, laid_out
from raysgpo.studies.reports.document import Document, Section
from raysgpo.studies.reports.guidance_map import map_section
from raysgpo.studies.reports.scores import Measured, gathered
from raysgpo.studies.reports.trained import Trained, Training, setting

ACCURACY = "held-out accuracy"
MARKED = "A dotted line marks where judging ends; lines are means over runs, bands one standard deviation."
FIGURES = (
    ("Held-out accuracy", None, True, "Figure 4 of SGPO. "),
    (
        "Entropy",
        "entropy/sampled",
        False,
        "Figure 5 of SGPO: nats, minus the mean logprob of all sampled tokens. ",
    ),
    ("Accuracy of unguided samples", "accuracy/unguided", True, "In the training. "),
    ("All-negative groups", "groups/all_negative_share", True, "Groups in which every answer is wrong. "),
    ("Reasoning Trajectory Score", "judge/rts_mean", True, "Mean RTS of the judged rollouts. "),
    ("Spread of the advantages", "advantage/std", False, "Standard deviation over all rollouts. "),
    ("Guidance", "guidance/tokens", False, "Tokens given to a guided rollout. "),
)
"""Title, metric (None: held-out accuracy), whether it is a share, and what is said of it."""


def training_report(title: str, training: Training, paper: PaperTable | None) -> Document:
    """What several runs came to, by method.

    Raises:
        ConfigError: the paper's table has no row of any of them.
    """
    if paper is not None:
        check_paper(paper, list(training.methods))
    grid = map_section(training, paper)
    pictures = Section("Over epochs", tuple(over_epochs(training)))
    found = [_at_the_end(training, paper), *([grid] if grid is not None else []), pictures]
    return Document(title, _counted(training), tuple(found))


def _counted(training: Training) -> str:
    """How many runs each method has."""
    counts = {name: len(runs) for name, runs in training.methods.items()}
    if len(set(counts.values())) == 1:
        each = next(iter(counts.values()))
        return f"{len(counts)} methods, {each} run{'s' if each > 1 else ''} each."
    return f"Runs: {', '.join(f'{name} {count}' for name, count in counts.items())}."


def over_epochs(training: Training) -> list[Picture]:
    """Every curve that the records have something for, against optimizer steps where the epochs are not known."""
    by_epoch = all(run.epoch_at(0) is not None for run in training.runs if run.records.steps)
    runs = {id(run.records): run for run in training.runs}
    names, x = list(training.methods), "epochs" if by_epoch else "optimizer steps"

    def place(records: RunRecords, steps_done: float) -> float:
        epoch = runs[id(records)].epoch_at(steps_done) if by_epoch else None
        return steps_done if epoch is None else epoch

    def ends(records: RunRecords) -> float | None:
        return None if records.judging_ends is None else place(records, records.judging_ends)

    drawn = [
        curves(
            names,
            training.records,
            f"{title} over {'epochs' if by_epoch else 'steps'}",
            _curve(metric, place),
            x,
            share=share,
            points=metric is None,
            ends=ends,
            caption=caption + MARKED,
        )
        for title, metric, share, caption in FIGURES
    ]
    return [picture for picture in drawn if picture is not None]


def _curve(metric: str | None, place: Callable[[RunRecords, float], float]) -> Curve:
    def curve(records: RunRecords) -> tuple[Sequence[float], Sequence[float] | Floats]:
        if metric is None:
            found = records.evaluated if records.steps else {}
            return [place(records, step) for step in found], list(found.values())
        return [place(records, step) for step in records.x], records.values(metric)

    return curve


def _at_the_end(training: Training, paper: PaperTable | None) -> Section:
    """Figure 3: each method's accuracy at the end, mean and standard deviation over its runs."""
    shares = paper if paper is not None and paper.unit == "percent" else None
    found = {name: [_last(run) for run in runs] for name, runs in training.methods.items()}
    scores = gathered(found)
    table = laid_out(scores, shares, notes=["Percent, after the last step; ± one standard deviation over runs."])
    caption = "Figure 3 of SGPO: means after the last step, whiskers one standard deviation over runs."
    picture = draw_bars(scores, "Accuracy at the end", shares, caption)
    return Section("At the end", (table, *([picture] if picture else [])))


def _last(run: Trained) -> dict[str, Measured]:
    """Held-out accuracy, by label too, and pass@k; the prompts are called as their file."""
    records, name = run.records, held_out_name(run)
    numbers = {**({ACCURACY: list(records.evaluated.values())[-1]} if records.evaluated else {}), **records.by_label()}
    found = {key.replace(f"{ACCURACY}, ", "").replace(ACCURACY, name): value for key, value in numbers.items()}
    return {key.replace("_", " "): Measured(value) for key, value in found.items() if value is not None}


def held_out_name(run: Trained) -> str:
    """The set that a run is evaluated on: the file's name, or what a generated task has."""
    path = setting(run.settings, "task.eval_path")
    if not isinstance(path, str):
        return ACCURACY
    return path.rstrip("/").rpartition("/")[2].partition(".")[0]
