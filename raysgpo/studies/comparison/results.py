"""What the runs of a comparison left behind, read from their folders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from raysgpo.output.json_lines import Row, read_rows
from raysgpo.output.pass_at_k import mean_pass_at_k, pass_at_k, reported_k
from raysgpo.output.run_folder import RunFolder
from raysgpo.studies.comparison.plan import Plan
from raysgpo.studies.comparison.runs import finished
from raysgpo.studies.comparison.statistics import first_reach

Floats = NDArray[np.float64]
Numbers = dict[str, float | None]


@dataclass(frozen=True)
class RunRecords:
    """The records of one run. ``x`` is always the number of optimizer steps done."""

    variant: str
    seed: int
    name: str
    finished: bool
    steps: list[Row]
    """The lines of ``metrics.jsonl``."""
    evaluations: list[Row]
    answers: dict[int, dict[str, Row]]
    """Steps done to the held-out prompts' rows, by prompt id."""

    @property
    def x(self) -> list[int]:
        return [row["step"] + 1 for row in self.steps]

    def values(self, metric: str) -> Floats:
        """A metric at each step; NaN where it is null."""
        return np.array([_number(row.get(metric)) for row in self.steps], dtype=np.float64)

    def total(self, metric: str) -> float:
        return float(np.nansum(self.values(metric)))

    @property
    def train_seconds(self) -> Floats:
        """Wall clock of training after each step, evaluations left out."""
        return np.cumsum(self.values("time/step") - np.nan_to_num(self.values("time/eval")))

    @property
    def evaluated(self) -> dict[int, float]:
        """Steps done to held-out accuracy."""
        return {row["step"]: row["eval/accuracy"] for row in self.evaluations if row.get("eval/accuracy") is not None}

    def seconds_at(self, steps_done: int) -> float:
        """Seconds of training that ``steps_done`` steps took."""
        return float(np.interp(steps_done, [0, *self.x], [0.0, *self.train_seconds]))

    @cached_property
    def drawn(self) -> dict[str, list[bool]]:
        """Prompt id to whether each answer drawn after the last step is right; empty if none were drawn."""
        last = self.answers.get(max(self.answers, default=0), {})
        size = max((len(row["samples_correct"]) for row in last.values() if row["samples_correct"]), default=0)
        return {name: row["samples_correct"] or [False] * size for name, row in last.items()} if size else {}

    @property
    def samples(self) -> int:
        """How many answers were drawn to each held-out prompt after the last step."""
        return len(next(iter(self.drawn.values()), []))

    @property
    def solved(self) -> set[str]:
        """Held-out prompts that the last policy solves: by any of the drawn answers, or where none were drawn by
        the one of its last evaluation."""
        if self.drawn:
            return {name for name, right in self.drawn.items() if any(right)}
        last = self.answers.get(max(self.answers, default=0), {})
        return {name for name, row in last.items() if row["correct"]}

    @property
    def judging_ends(self) -> int | None:
        """Steps done when judging was over; None if it never began or lasted to the end."""
        judged = [x for x, allowed in zip(self.x, self.values("judge/allowed"), strict=True) if allowed > 0]
        return judged[-1] if judged and judged[-1] < self.x[-1] else None

    def numbers(self, target: float) -> Numbers:
        """One number each for the table of means over seeds."""
        x_E, accuracy_E = list(self.evaluated), list(self.evaluated.values())
        tokens, trained = self.total("tokens/sampled"), self.total("groups/trained")
        judged = self.values("judge/allowed") > 0
        alone = np.nan_to_num(self.values("time/judge_alone"))
        rest = self.values("time/step") - np.nan_to_num(self.values("time/eval")) - alone
        return {
            "held-out accuracy": accuracy_E[-1] if accuracy_E else None,
            **self.coverage(),
            **self.by_label(),
            "steps to target": first_reach(x_E, accuracy_E, target) if x_E else None,
            "seconds to target": first_reach([self.seconds_at(x) for x in x_E], accuracy_E, target) if x_E else None,
            **self.guidance(),
            "all-negative share, first steps": _mean(self.values("groups/all_negative_share")[:5]),
            "all-negative share, all steps": _mean(self.values("groups/all_negative_share")),
            "wrong and reinforced, share of answers": _mean(self.values("advantage/wrong_positive_share")),
            "RTS": _mean(self.values("judge/rts_mean")),
            "RTS of truncated failures": _mean(self.values("judge/rts_truncated")),
            "RTS of logical failures": _mean(self.values("judge/rts_finished")),
            "truncated failures": _mean(self.values("failures/truncated_share")),
            "logical failures": _mean(self.values("failures/finished_share")),
            "entropy of all answers, last steps": _mean(self.values("entropy/sampled")[-5:]),
            "entropy of what was trained on, last steps": _mean(self.values("policy/entropy")[-5:]),
            "clipped tokens": _mean(self.values("policy/clip_share")),
            "training problems ever solved": self.steps[-1].get("train/problems_solved_ever") if self.steps else None,
            "groups with gradient per 1,000 tokens": 1000 * trained / tokens if tokens else None,
            "sampled tokens": tokens,
            "seconds": float(self.train_seconds[-1]) if self.steps else None,
            "seconds a step": _mean(self.values("time/step") - np.nan_to_num(self.values("time/eval"))),
            "judge calls": self.total("judge/calls"),
            "judge tokens": self.total("judge/tokens"),
            "judge overhead, judged steps": _ratio(alone[judged].sum(), rest[judged].sum()) if judged.any() else None,
            "judge overhead, all steps": _ratio(alone.sum(), rest.sum()) if judged.any() else None,
        }

    def guidance(self) -> Numbers:
        """How rollouts fared with and without guidance, and how much was given; nothing of a run without any."""
        tokens = self.values("guidance/tokens")
        if np.isnan(tokens).all():
            return {}
        return {
            "accuracy of unguided samples, last steps": _mean(self.values("accuracy/unguided")[-5:]),
            "accuracy of guided samples, last steps": _mean(self.values("accuracy/guided")[-5:]),
            "guidance tokens, first steps": _mean(tokens[:5]),
            "guidance tokens, last steps": _mean(tokens[-5:]),
        }

    def by_label(self) -> Numbers:
        """The last evaluation's accuracy, and its widest pass@k, by label where the problems have several."""
        last = self.evaluations[-1] if self.evaluations else {}
        named = {"eval/accuracy/": "held-out accuracy", f"eval/pass_at_{self.samples}/": f"pass@{self.samples}"}
        found: Numbers = {}
        for prefix, shown in named.items():
            labels = [key.removeprefix(prefix) for key in last if key.startswith(prefix)]
            found |= {f"{shown}, {label}": last[prefix + label] for label in labels if len(labels) > 1}
        return found

    def coverage(self) -> Numbers:
        """pass@k of the answers drawn after the last step."""
        size = self.samples
        right_P = [sum(right) for right in self.drawn.values()]
        return {f"pass@{k}": mean_pass_at_k(right_P, size, k) for k in reported_k(size)} if size else {}


def read_results(plan: Plan) -> list[RunRecords]:
    """The records of the plan's runs that have begun, in the order of the variants."""
    runs = sorted(plan.runs, key=lambda run: [variant.name for variant in plan.variants].index(run.variant.name))
    return [
        read_run(RunFolder(plan.run_path(run)), run.variant.name, run.seed)
        for run in runs
        if plan.run_path(run).is_dir()
    ]


def correct_SEP(runs: Sequence[RunRecords], steps: Sequence[int], prompts: Sequence[str]) -> Floats:
    """Right (1) or wrong (0) by run, evaluation and prompt; a prompt without an answer is wrong."""
    return np.array(
        [[[float(bool(run.answers[step][name]["correct"])) for name in prompts] for step in steps] for run in runs]
    )


def coverage_SEP(runs: Sequence[RunRecords], ks: Sequence[int], prompts: Sequence[str]) -> Floats:
    """Each prompt's pass@k by run and k: its mean over prompts is the run's pass@k."""
    return np.array(
        [[[pass_at_k(len(run.drawn[name]), sum(run.drawn[name]), k) for name in prompts] for k in ks] for run in runs]
    )


def common_prompts(runs: Sequence[RunRecords]) -> list[str] | None:
    """The held-out prompts, in a fixed order; None if the runs were not all asked the same."""
    asked = {frozenset(rows) for run in runs for rows in run.answers.values()}
    return sorted(asked.pop()) if len(asked) == 1 else None


def read_run(folder: RunFolder, variant: str, seed: int) -> RunRecords:
    """The records of a run of a comparison, or of any other. ``variant``: what it is called where it is compared."""
    answers: dict[int, dict[str, Row]] = {}
    for row in read_rows(folder.answers):
        answers.setdefault(row["step"], {})[row["prompt_id"]] = row
    evaluations = list(read_rows(folder.evaluations))
    complete = {row["step"] for row in evaluations}  # a line of evaluations has all its answers on disk
    return RunRecords(
        variant=variant,
        seed=seed,
        name=folder.path.name,
        finished=finished(folder.path),
        steps=list(read_rows(folder.metrics)),
        evaluations=evaluations,
        answers={step: rows for step, rows in answers.items() if step in complete},
    )


def _number(value: float | None) -> float:
    return float("nan") if value is None else float(value)


def _mean(values: Floats) -> float | None:
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else None


def _ratio(part: float, whole: float) -> float | None:
    return float(part / whole) if whole > 0 else None
