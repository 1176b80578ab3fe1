"""A file of groups that another run, or another program, wrote: read, and refused where it cannot be used.

A line is one of ``groups.jsonl``. What a group must say is little: the problem, and of each response its text,
whether it is right and how it ended. Tokens with their logprobs are used where they are there.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from raysgpo.data.input_rows import checked_row, input_rows
from raysgpo.output.group_json import group_from_row
from raysgpo.records import CORRECTNESS, Drop, Group


class _Segment(BaseModel):
    """Some tokens of a response."""

    model_config = ConfigDict(strict=True)

    role: Literal["prompt", "guidance", "completion"]
    token_ids: list[int]
    loss_weight: list[float]
    logprobs: list[float] | None = None

    @model_validator(mode="after")
    def _one_length(self) -> Self:
        sizes = {len(self.token_ids), len(self.loss_weight), len(self.logprobs or self.token_ids)}
        if len(sizes) > 1:
            raise ValueError("token_ids, loss_weight and logprobs differ in length")
        return self


class _Rollout(BaseModel):
    """A response."""

    model_config = ConfigDict(strict=True)

    text: str
    correct: bool
    finish_reason: Literal["stop", "length"]
    reward_parts: dict[str, float] | None = None
    readings: dict[str, float] | None = None
    reasoning_steps: int | None = Field(None, ge=0)
    given_steps: int | None = Field(None, ge=0)
    step_tokens: list[Annotated[int, Field(ge=0)]] | None = None
    verdict: Literal["error", "none_found", "lost"] | None = None
    first_error: int | None = None
    votes: list[int | None] = Field([])
    rts: float | None = Field(None, ge=0, le=1)
    segments: list[_Segment] = Field([])
    seed: int = 0
    guidance_characters: int = Field(0, ge=0)

    @model_validator(mode="after")
    def _possible(self) -> Self:
        roles = [segment.role for segment in self.segments]
        if roles and (roles[0], roles[-1]) != ("prompt", "completion"):
            raise ValueError("its segments do not begin with the prompt and end with a completion")
        if self.verdict == "error" and self.rts is None:
            raise ValueError("it has a first error and no rts")
        if self.reward_parts and CORRECTNESS not in self.reward_parts:
            raise ValueError(f"its reward_parts have no {CORRECTNESS!r}")
        if self.step_tokens is not None and not self._measured:
            raise ValueError(
                "its reasoning_steps, given_steps, step_tokens and votes are not of one way of cutting the text: "
                "remove step_tokens"
            )
        return self

    @property
    def _measured(self) -> bool:
        steps, given = self.reasoning_steps, self.given_steps
        if steps is None or given is None or given > steps or len(self.step_tokens or ()) != steps:
            return False
        return all(vote is None or 0 <= vote <= steps for vote in self.votes)


class _Turn(BaseModel):
    """What was said before the prompt."""

    model_config = ConfigDict(strict=True)

    role: Literal["system", "user", "assistant"]
    content: str


class _Row(BaseModel):
    """A line of the file."""

    model_config = ConfigDict(strict=True)

    prompt_id: str
    turns: list[_Turn] = Field([])
    prompt: str
    answer: str
    reference: str | None = None
    metadata: dict[str, Any] = Field({})
    dropped: str | None = None
    judged: bool = False
    guidance_length: float | None = None
    rollouts: list[_Rollout]

    @property
    def failed(self) -> bool:
        """A group that a run could not sample: it holds nothing."""
        return self.dropped == "failed" and not self.rollouts


def read_groups(path: str, *, rejudge: bool = False) -> list[Group]:
    """The groups of the file, graded as it says, judged as it says, and not yet compared.

    ``position`` is the row's number, from 0. Rewards are the plain ones, advantages 0. Groups whose sampling had
    failed, or that had no reward, are left out. With ``rejudge`` what a judge said of them is forgotten.

    Raises:
        ValueError: no such file, no group, not JSON, a field missing or of another type, or groups of different
            sizes; the message names file and row.
    """
    groups: list[Group] = []
    for number, where, tree in input_rows(path, path):
        if isinstance(tree, dict) and tree.get("dropped") == Drop.NO_REWARD.value:
            continue
        row = checked_row(_Row, tree, where)
        if row.failed:
            continue
        if len(row.rollouts) < 1:
            raise ValueError(f"{where}: the group has no response: remove the row")
        if groups and len(row.rollouts) != len(groups[0].rollouts_G):
            raise ValueError(
                f"{where}: {len(row.rollouts)} responses, where the group of row {groups[0].position + 1} has "
                f"{len(groups[0].rollouts_G)}: groups are compared by their size, so remove or fill up the odd ones"
            )
        groups.append(_group(row, number - 1, rejudge))
    if not groups:
        raise ValueError(f"{path}: the file holds no group: give one such as the groups.jsonl of a run")
    return groups


def _group(row: _Row, position: int, rejudge: bool) -> Group:
    judged = row.judged and not rejudge
    rollouts = [_rollout_row(rollout, judged) for rollout in row.rollouts]
    tree = row.model_dump(mode="json") | {"dropped": None, "judged": judged, "rollouts": rollouts}
    unknown: dict[str, Any] = {"epoch": 0, "age": 0, "error": None, "may_be_judged": False, "counts": {}}
    return group_from_row(tree | unknown | {"position": position, "step": 0})


def _rollout_row(rollout: _Rollout, judged: bool) -> dict[str, Any]:
    """As ``group_from_row`` reads it. The weights that sampled it are of no run that is known here."""
    tree = rollout.model_dump(mode="json")
    tree["reward_parts"] = rollout.reward_parts or {CORRECTNESS: float(rollout.correct)}
    if not judged:
        tree |= {"verdict": None, "first_error": None, "votes": [], "rts": None}
    unscored = rollout.verdict is not None and rollout.rts is None
    part = not (judged and unscored)
    return tree | {
        "weight_versions": [],
        "attempt": 0,
        "auxiliary": None,
        "credit": None,
        "advantage": 0.0,
        "step_advantages": None,
        "in_baseline": part,
    }


def row_of(path: str, group: Group) -> str:
    """Where a group of ``read_groups`` stands, in words."""
    return f"{path}, row {group.position + 1}"
