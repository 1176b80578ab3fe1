"""The comparison as one value: what ``report.json`` holds and the page and the console show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from raysgpo.output.pass_at_k import reported_k
from raysgpo.studies.comparison.plan import Plan, flattened
from raysgpo.studies.comparison.results import Numbers, RunRecords, common_prompts, correct_SEP, coverage_SEP
from raysgpo.studies.comparison.statistics import LEVEL, RESAMPLES, Interval, paired_differences, paired_reach, spread

Json = dict[str, Any]

QUARTERS = (0.25, 0.5, 0.75, 1.0)
"""Of the training: where differences are reported."""


def summarize(plan: Plan, runs: Sequence[RunRecords], target: float | None) -> Json:
    """Everything that is said of the runs that are there, ``considered`` ones.

    ``target``: an accuracy; None takes the last mean accuracy of the first variant.
    """
    chosen = target if target is not None else default_target(plan, runs)
    first, *others = plan.variants
    return {
        "variants": [variant.name for variant in plan.variants],
        "seeds": list(plan.seeds),
        "differing": plan.differing,
        "settings": flattened(first.config),
        "target": chosen,
        "target_given": target is not None,
        "runs": [_run(plan, run, chosen) for run in runs],
        "missing": [run.slug for run in plan.runs if run.slug not in {one.name for one in runs if one.finished}],
        "numbers": _numbers(plan, runs, chosen),
        "paired": {variant.name: paired(first.name, variant.name, runs, target) for variant in others},
        "gained": {variant.name: gained(variant.name, runs) for variant in plan.variants},
        "sets": {variant.name: solved_sets(first.name, variant.name, runs) for variant in others},
        "method": {"resamples": RESAMPLES, "level": LEVEL},
    }


def considered(plan: Plan, runs: Sequence[RunRecords]) -> list[RunRecords]:
    """The finished runs, once every variant has one: the end of some and the middle of others make no mean."""
    done = [run for run in runs if run.finished]
    return done if {run.variant for run in done} == {variant.name for variant in plan.variants} else list(runs)


def default_target(plan: Plan, runs: Sequence[RunRecords]) -> float:
    """The accuracy that the first variant ends with, mean over seeds; 0.5 while there is none."""
    ends = [list(run.evaluated.values())[-1] for run in runs if run.variant == plan.variants[0].name and run.evaluated]
    known = spread(ends)
    return known.mean if known else 0.5


def of_variant(name: str, runs: Sequence[RunRecords]) -> list[RunRecords]:
    return [run for run in runs if run.variant == name]


def common_steps(runs: Sequence[RunRecords]) -> list[int]:
    """Evaluations that every run has with its answers."""
    return sorted(set.intersection(*(set(run.answers) for run in runs))) if runs else []


def common_k(runs: Sequence[RunRecords]) -> list[int]:
    """The k of pass@k that every run has answers for, above 1."""
    fewest = min((run.samples for run in runs), default=0)
    return [k for k in reported_k(fewest) if k > 1] if fewest else []


def milestones(steps: Sequence[int], total: int) -> dict[int, float]:
    """The evaluations nearest to the quarters of the training, each with the share of it that is done."""
    nearest = [min(steps, key=lambda step: abs(step - share * total)) for share in QUARTERS] if steps else []
    return {step: step / total for step in dict.fromkeys(nearest) if step > 0}


def paired(first: str, second: str, runs: Sequence[RunRecords], target: float | None) -> Json:
    """Second minus first over the seeds that both have, on the same held-out prompts.

    ``target``: None is the accuracy that the first variant ends with.

    ``reason`` says why there is no interval, where there is none.
    """
    one, two = ({run.seed: run for run in of_variant(name, runs) if run.answers} for name in (first, second))
    seeds = sorted(set(one) & set(two))
    both = [*(one[seed] for seed in seeds), *(two[seed] for seed in seeds)]
    if not both:
        return {"seeds": seeds, "reason": "there is no seed that both have evaluated yet"}
    prompts, steps = common_prompts(both), common_steps(both)
    if prompts is None:
        return {"seeds": seeds, "reason": "their held-out prompts differ, so their answers cannot be paired"}
    if not steps:
        return {"seeds": seeds, "reason": "they have no evaluation at the same step"}
    sides = [[side[seed] for seed in seeds] for side in (one, two)]
    first_SEP, second_SEP = (correct_SEP(side, steps, prompts) for side in sides)
    reach = paired_reach(first_SEP, second_SEP, steps, target)
    ks = common_k(both)
    first_SKP, second_SKP = (coverage_SEP(side, ks, prompts) for side in sides)
    coverage = paired_differences(first_SKP, second_SKP) if ks else []
    marks = milestones(steps, max(max(run.x, default=1) for run in both))
    if all(run.finished and not run.steps for run in both):
        marks = {0: 1.0}  # models that are compared without being trained
    return {
        "seeds": seeds,
        "prompts": len(prompts),
        "reason": None,
        "steps": steps,
        "accuracy": [_interval(interval) for interval in paired_differences(first_SEP, second_SEP)],
        "milestones": [{"step": step, "share": share, "at": steps.index(step)} for step, share in marks.items()],
        "steps_to_target": _interval(reach) if reach else None,
        "coverage": {k: _interval(interval) for k, interval in zip(ks, coverage, strict=True)},
    }


def gained(name: str, runs: Sequence[RunRecords]) -> Json | None:
    """The last evaluation less the one before the training, of one variant, on the same held-out prompts; None if a
    run was not evaluated at both."""
    own = [run for run in of_variant(name, runs) if run.answers]
    prompts, steps = (common_prompts(own), common_steps(own)) if own else (None, [])
    if prompts is None or len(steps) < 2 or steps[0] != 0:
        return None
    start_SEP, end_SEP = (correct_SEP(own, [step], prompts) for step in (steps[0], steps[-1]))
    [interval] = paired_differences(start_SEP, end_SEP)
    return _interval(interval) | {"seeds": [run.seed for run in own], "prompts": len(prompts), "step": steps[-1]}


def solved_sets(first: str, second: str, runs: Sequence[RunRecords]) -> list[Json]:
    """By seed: the held-out prompts that one solves and the other does not (Table 5)."""
    one, two = ({run.seed: run for run in of_variant(name, runs) if run.answers} for name in (first, second))
    found = []
    for seed in sorted(set(one) & set(two)):
        if common_prompts([one[seed], two[seed]]) is None:
            continue
        a, b = one[seed].solved, two[seed].solved
        asked = set(next(iter(one[seed].answers.values())))
        found.append(
            {
                "seed": seed,
                "by_any_of": one[seed].samples or 1,
                "both": len(a & b),
                "only_first": sorted(a - b),
                "only_second": sorted(b - a),
                "neither": len(asked - a - b),
            }
        )
    return found


def _numbers(plan: Plan, runs: Sequence[RunRecords], target: float) -> Json:
    """Name to variant to mean, standard deviation and count over seeds (Table 3)."""
    each = {variant.name: [run.numbers(target) for run in of_variant(variant.name, runs)] for variant in plan.variants}
    names = dict.fromkeys(name for numbers in each.values() for one in numbers for name in one)
    return {name: {variant: _spread(numbers, name) for variant, numbers in each.items()} for name in names}


def _spread(numbers: Sequence[Numbers], name: str) -> Json | None:
    found = spread([one.get(name) for one in numbers])
    return asdict(found) if found else None


def _run(plan: Plan, run: RunRecords, target: float) -> Json:
    return {
        "name": run.name,
        "folder": str(plan.folder / "runs" / run.name),
        "variant": run.variant,
        "seed": run.seed,
        "finished": run.finished,
        "steps": len(run.steps),
        "judging_ends": run.judging_ends if run.steps else None,
        "evaluations": run.evaluated,
        "numbers": run.numbers(target),
    }


def _interval(interval: Interval) -> Json:
    return {**asdict(interval), "excludes_zero": interval.excludes_zero}
