"""A group as one line of ``groups.jsonl``, and back.

From a line every reward and advantage can be recomputed; one written with tokens can be trained on again.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from raysgpo.records import Drop, Group, Problem, Role, Rollout, Segment, Verdict


def group_row(group: Group, tokens: bool = False) -> dict[str, Any]:
    """The public form of a group; with ``tokens`` also what the trainer needs to replay it."""
    return {
        "step": group.step,
        "position": group.position,
        "epoch": group.epoch,
        "prompt_id": group.problem.id,
        "turns": [{"role": role, "content": said} for role, said in group.problem.turns],
        "prompt": group.problem.prompt,
        "reference": group.problem.reference,
        "answer": group.problem.answer,
        "metadata": group.problem.metadata,
        "dropped": group.dropped.value if group.dropped else None,
        "error": group.error,
        "all_negative": group.all_negative,
        "may_be_judged": group.judge,
        "judged": group.judged,
        "age": group.age,
        "guidance_length": group.guidance_length,
        "counts": group.counts,
        "rollouts": [_rollout_row(rollout, tokens) for rollout in group.rollouts_G],
    }


def _rollout_row(rollout: Rollout, tokens: bool) -> dict[str, Any]:
    row: dict[str, Any] = {
        "text": rollout.text,
        "num_tokens": rollout.num_tokens,
        "finish_reason": rollout.finish_reason,
        "truncated": rollout.truncated,
        "correct": rollout.correct,
        "auxiliary": rollout.auxiliary,
        "reward_parts": {name: _finite(value) for name, value in rollout.reward_parts.items()},
        "readings": rollout.readings,
        "reasoning_steps": rollout.reasoning_steps,
        "given_steps": rollout.given_steps,
        "step_tokens": None if rollout.step_tokens is None else list(rollout.step_tokens),
        "verdict": rollout.verdict.value if rollout.verdict else None,
        "first_error": rollout.first_error,
        "votes": list(rollout.votes),
        "rts": rollout.rts,
        "credit": rollout.credit,
        "reward": _finite(rollout.reward),
        "advantage": rollout.advantage,
        "step_advantages": None if rollout.step_advantages is None else list(rollout.step_advantages),
        "in_baseline": rollout.in_baseline,
        "guidance_tokens": rollout.guidance_tokens,
        "guidance_characters": rollout.guidance_characters,
        "seed": rollout.seed,
        "attempt": rollout.attempt,
        "weight_versions": [list(span) for span in rollout.weight_versions],
    }
    if tokens:
        row["segments"] = [_segment_row(segment) for segment in rollout.segments]
    return row


def _finite(value: float) -> float | None:
    """JSON has neither NaN nor infinity."""
    return value if math.isfinite(value) else None


def _segment_row(segment: Segment) -> dict[str, Any]:
    return {
        "role": segment.role.value,
        "token_ids": segment.token_ids_T.tolist(),
        "loss_weight": segment.loss_weight_T.tolist(),
        "logprobs": _logprobs(segment),
    }


def _logprobs(segment: Segment) -> list[float] | None:
    """None where they are not known yet."""
    if np.isnan(segment.logprobs_T).any():
        return None
    return [float(np.float32(value)) for value in segment.logprobs_T]


def group_from_row(row: dict[str, Any]) -> Group:
    """The group of a line that was written with tokens: all that the stages and the trainer read.

    What a line does not carry, the intervals of the phases, is at its default.

    Raises:
        ValueError: the line was written without tokens.
    """
    turns = tuple((turn["role"], turn["content"]) for turn in row["turns"])
    problem = Problem(row["prompt_id"], row["prompt"], row["answer"], row["reference"], row["metadata"], turns)
    return Group(
        position=row["position"],
        step=row["step"],
        epoch=row["epoch"],
        problem=problem,
        rollouts_G=tuple(_rollout(rollout, row["position"]) for rollout in row["rollouts"]),
        judge=row["may_be_judged"],
        judged=row["judged"],
        dropped=Drop(row["dropped"]) if row["dropped"] else None,
        error=row["error"],
        age=row["age"],
        guidance_length=row["guidance_length"],
        counts=row["counts"],
    )


def _rollout(row: dict[str, Any], position: int) -> Rollout:
    if "segments" not in row:
        raise ValueError(f"position {position} was recorded without tokens: set records.tokens=true in the run")
    return Rollout(
        segments=tuple(_segment(segment) for segment in row["segments"]),
        text=row["text"],
        finish_reason=row["finish_reason"],
        seed=row["seed"],
        weight_versions=tuple((version, tokens) for version, tokens in row["weight_versions"]),
        attempt=row["attempt"],
        guidance_characters=row["guidance_characters"],
        correct=row["correct"],
        auxiliary=row["auxiliary"],
        reward_parts={name: math.nan if value is None else value for name, value in row["reward_parts"].items()},
        readings=row["readings"],
        reasoning_steps=row["reasoning_steps"],
        given_steps=row["given_steps"],
        step_tokens=None if row["step_tokens"] is None else tuple(row["step_tokens"]),
        verdict=Verdict(row["verdict"]) if row["verdict"] else None,
        votes=tuple(row["votes"]),
        first_error=row["first_error"],
        rts=row["rts"],
        credit=row["credit"],
        advantage=row["advantage"],
        step_advantages=None if row["step_advantages"] is None else tuple(row["step_advantages"]),
        in_baseline=row["in_baseline"],
    )


def _segment(row: dict[str, Any]) -> Segment:
    size, logprobs = len(row["token_ids"]), row["logprobs"]
    return Segment(
        role=Role(row["role"]),
        token_ids_T=np.array(row["token_ids"], dtype=np.int32),
        loss_weight_T=np.array(row["loss_weight"], dtype=np.float32),
        logprobs_T=np.array([np.nan] * size if logprobs is None else logprobs, dtype=np.float32),
    )
