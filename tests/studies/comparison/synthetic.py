"""Runs of a comparison as the real writers leave them, with a policy that is a number: its chance to be right."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

from raysgpo.config import Config
from raysgpo.config.overrides import dump
from raysgpo.output.json_lines import JsonLines, Row
from raysgpo.output.metrics import (
    Solved,
    StepTimes,
    evaluation_metrics,
    group_metrics,
    guidance_metrics,
    time_metrics,
)
from raysgpo.output.pass_at_k import mean_pass_at_k, reported_k
from raysgpo.output.run_folder import RunFolder
from raysgpo.output.update_metrics import NO_UPDATE
from raysgpo.records import Drop, Group, Role, Segment, Verdict
from raysgpo.studies.comparison.plan import Plan, PlannedRun, make_plan
from tests.conftest import build_group, build_rollout

STEPS, EVERY, PROMPTS, SAMPLES = 20, 5, 64, 4
JUDGED = 12
"""Steps of a judged run in which judging is allowed."""


def plan_in(folder: Path, *vary: str, seeds: str = "0,1,2", words: tuple[str, ...] = ()) -> Plan:
    settings = [f"storage={folder}", f"steps={STEPS}", f"evaluation.every={EVERY}", *words]
    base = Config(name="arithmetic").model_copy(update={"judge": Config().judge})
    return make_plan([base], settings, vary or ("algorithm=grpo,sgpo",), seeds, None)


def write_run(path: Path, run: PlannedRun, gain: float, steps: int = STEPS, prompts: int = PROMPTS) -> None:
    """A run whose policy is right with a chance that rises by ``gain`` until the end, from 0.1."""
    path.mkdir(parents=True)
    folder = RunFolder(path)
    folder.config.write_text(dump(run.config))
    metrics, evaluations, answers = JsonLines(folder.metrics), JsonLines(folder.evaluations), JsonLines(folder.answers)
    rng, solved, clock = random.Random(run.slug), Solved(), 0.0
    for step in range(steps + 1):
        chance = 0.1 + gain * step / STEPS
        evaluation: Row = {}
        if step % EVERY == 0:
            rows = _answers(chance, prompts, SAMPLES if step == STEPS else 0, run.seed)
            for row in rows:
                answers.write({"step": step, **row})
            evaluation = _numbers(rows)
            evaluations.write({"step": step, **evaluation})
        if step == steps:
            break
        judge = run.config.needs_judge and step < JUDGED
        guided = run.config.guidance.on
        groups = [_group(4 * step + n, step, chance, judge, guided, rng, clock) for n in range(4)]
        end = clock + (2.5 if judge else 2.0)
        times = StepTimes(clock, end, (clock, clock + 1), (end - 1, end), (end, end))
        metrics.write(
            {
                "step": step,
                **group_metrics(groups),
                **guidance_metrics(groups),
                "train/problems_solved_ever": solved.add(groups),
                **NO_UPDATE,
                "policy/entropy": 1.0 - chance,
                "policy/clip_share": 0.05,
                **time_metrics(groups, times),
            }
        )
        clock = end
    for file in (metrics, evaluations, answers):
        file.close()
    if steps == STEPS:
        (path / "finished").touch()


def write_all(plan: Plan, gains: dict[str, float]) -> None:
    """``gains``: by a part of the variant's name."""
    for run in plan.runs:
        [gain] = [gain for part, gain in gains.items() if part in run.variant.name]
        write_run(plan.run_path(run), run, gain)


def _group(
    position: int, step: int, chance: float, judge: bool, guided: bool, rng: random.Random, clock: float
) -> Group:
    """``guided``: whether its first rollout is, by 20 tokens less the step."""
    right = [rng.random() < chance for _ in range(4)]
    judged = judge and not any(right)
    rollouts = [
        build_rollout(
            tokens=10,
            correct=one,
            reward_parts={"correctness": float(one)},
            finish_reason="length" if not one and rng.random() < 0.3 else "stop",
            verdict=Verdict.ERROR if judged else None,
            votes=(1,) if judged else (),
            rts=rng.random() if judged else None,
        )
        for one in right
    ]
    if guided:
        given = Segment.given(Role.GUIDANCE, [1] * (20 - step))
        rollouts[0] = replace(rollouts[0], segments=(given, *rollouts[0].segments))
    no_signal = len(set(right)) == 1 and not judged
    return build_group(
        position,
        rollouts,
        step=step,
        judge=judge,
        judged=judged,
        dropped=Drop.NO_SIGNAL if no_signal else None,
        sample_interval=(clock, clock + 1),
        judge_interval=(clock + 1, clock + 1.5) if judged else (0.0, 0.0),
        counts={"judge/calls": 4, "judge/tokens": 400, "judge/seconds": 1.0} if judged else {},
    )


def _answers(chance: float, prompts: int, samples: int, seed: int) -> list[Row]:
    """Prompt i is answered right if its own difficulty, the same for every run but for a little by seed, allows."""
    rows = []
    for index in range(prompts):
        hard = (random.Random(f"hard {index}").random() * 0.95 + random.Random(f"{seed} {index}").random() * 0.05) % 1
        drawn = [random.Random(f"{seed} {index} {n}").random() < chance for n in range(samples)] or None
        rows.append(
            {
                "prompt_id": f"p{index}",
                "correct": hard < chance,
                "text": "#### 1",
                "num_tokens": 6,
                "truncated": False,
                "samples_correct": drawn,
            }
        )
    return rows


def _numbers(rows: list[Row]) -> Row:
    numbers: Row = evaluation_metrics([()] * len(rows), [row["correct"] for row in rows])
    if rows[0]["samples_correct"]:
        right = [sum(row["samples_correct"]) for row in rows]
        numbers |= {f"eval/pass_at_{k}": mean_pass_at_k(right, SAMPLES, k) for k in reported_k(SAMPLES)}
    return numbers
