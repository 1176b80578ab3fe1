"""A group as one line of ``groups.jsonl``, from which every reward and advantage can be recomputed."""

from __future__ import annotations

from typing import Any

import numpy as np

from raysgpo.records import Group, Rollout, Segment


def group_row(group: Group, tokens: bool = False) -> dict[str, Any]:
    """The public form of a group; with ``tokens`` also what the trainer needs to replay it."""
    return {
        "step": group.step,
        "position": group.position,
        "epoch": group.epoch,
        "prompt_id": group.problem.id,
        "prompt": group.problem.prompt,
        "reference": group.problem.reference,
        "answer": group.problem.answer,
        "metadata": group.problem.metadata,
        "dropped": group.dropped.value if group.dropped else None,
        "error": group.error,
        "all_negative": group.all_negative,
        "judged": group.judged,
        "age": group.age,
        "rollouts": [_rollout_row(rollout, tokens) for rollout in group.rollouts_G],
    }


def _rollout_row(rollout: Rollout, tokens: bool) -> dict[str, Any]:
    row: dict[str, Any] = {
        "text": rollout.text,
        "num_tokens": rollout.num_tokens,
        "finish_reason": rollout.finish_reason,
        "truncated": rollout.truncated,
        "correct": rollout.correct,
        "reward_parts": rollout.reward_parts,
        "reasoning_steps": rollout.reasoning_steps,
        "verdict": rollout.verdict.value if rollout.verdict else None,
        "first_error": rollout.first_error,
        "votes": list(rollout.votes),
        "rts": rollout.rts,
        "reward": rollout.reward,
        "advantage": rollout.advantage,
        "guidance_tokens": rollout.guidance_tokens,
        "seed": rollout.seed,
        "attempt": rollout.attempt,
        "weight_versions": [list(span) for span in rollout.weight_versions],
    }
    if tokens:
        row["segments"] = [_segment_row(segment) for segment in rollout.segments]
    return row


def _segment_row(segment: Segment) -> dict[str, Any]:
    return {
        "role": segment.role.value,
        "token_ids": segment.token_ids_T.tolist(),
        "loss_weight": segment.loss_weight_T.tolist(),
        "logprobs": [float(np.float32(value)) for value in segment.logprobs_T],
    }
