"""Recompute a run from its records: ``python jobs/audit.py RUN``.

Rewards, advantages and their parts by step, which groups were dropped, the denominator and the loss of each update,
from ``groups.jsonl`` and ``config.yaml`` and compared with what the run wrote down. Nothing of raysgpo is imported: the
formulas stand here a second time, in plain NumPy, each with its source. Exit status 1 if something differs.

Shape legend: _G rollouts of a group.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

Row = dict[str, Any]
Float_G = NDArray[np.float64]
Stamps = list[float] | None
"""One advantage a step of an answer; None: its tokens have one alike."""

REWARD, LOSS = 1e-6, 1e-5
"""Largest differences that are only rounding: of a reward or an advantage, and of a loss in float32."""
VERIFIERS = ("verifier", "arithmetic_verifier")


@dataclass(slots=True)
class Finding:
    """One kind of number over the whole run."""

    what: str
    allowed: float
    compared: int = 0
    largest: float = 0.0
    where: str = ""
    skipped: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    wrong: int = 0

    def compare(self, found: float, recorded: float | None, where: str, more: float = 0.0) -> None:
        """``more``: what may lie between them beside ``allowed``."""
        self.compared += 1
        difference = math.inf if recorded is None else abs(found - recorded)
        if difference > self.allowed + more:
            self.wrong += 1
        if difference > self.largest or (difference > self.allowed + more and not self.where):
            self.largest = difference
            self.where = f"{where}: {found:.9g} from the records, {recorded} written down"


@dataclass(slots=True)
class Audit:
    rewards: Finding = field(default_factory=lambda: Finding("rewards", REWARD))
    advantages: Finding = field(default_factory=lambda: Finding("advantages", REWARD))
    steps: Finding = field(default_factory=lambda: Finding("advantages by step", REWARD))
    fates: Finding = field(default_factory=lambda: Finding("groups dropped or kept", 0.0))
    denominators: Finding = field(default_factory=lambda: Finding("denominators", REWARD))
    losses: Finding = field(default_factory=lambda: Finding("losses", LOSS))

    @property
    def findings(self) -> list[Finding]:
        by_step = [self.steps] if self.steps.compared else []
        return [self.rewards, self.advantages, *by_step, self.fates, self.denominators, self.losses]


# --- rewards (SGPO, arXiv 2505.11595, section 3.1 and eq. 2) ---


def voteless(rollout: Row, credit: Row) -> bool:
    """Whether a wrong answer of a judged group has not been judged: no vote came back, or none that counts."""
    unfound = rollout["verdict"] == "none_found" and not rollout["truncated"] and rollout["reasoning_steps"] > 0
    return rollout["verdict"] == "lost" or bool(unfound and credit["none_found"] == "no_vote")


def trajectory_score(rollout: Row, by: str) -> float:
    """RTS: the share of the policy's own steps (or tokens) before the first wrong one."""
    steps, given, error = rollout["reasoning_steps"], rollout["given_steps"], rollout["first_error"]
    before = (steps if rollout["truncated"] else steps - 1) if error is None else error
    if by == "tokens":
        tokens = rollout["step_tokens"]
        of, whole = sum(tokens[given:before]), sum(tokens[given:])
    else:
        of, whole = max(before - given, 0), steps - given
    return of / whole if whole else 0.0


def correctness(rollout: Row, judged: bool, credit: Row) -> float:
    """The reward's correctness part, or the partial credit in its place."""
    plain = float(rollout["reward_parts"]["correctness"])
    if not judged or rollout["correct"] or rollout["verdict"] is None or voteless(rollout, credit):
        return plain
    rts = trajectory_score(rollout, credit["rts"])
    if credit["kind"] == "sgpo":
        rts = 1 / (1 + math.exp(-credit["beta"] * (rts - credit["gamma"])))
    return float(credit["scale"] * min(rts, math.nextafter(1.0, 0.0)))


def bonus(rollout: Row, to: str) -> float:
    """What the other parts add: to a wrong answer nothing, unless ``to`` says all; a penalty counts for every one."""
    parts = [float(value) for name, value in rollout["reward_parts"].items() if name != "correctness"]
    return sum(parts if to == "all" or rollout["correct"] else [min(part, 0.0) for part in parts])


# --- advantages (GRPO eq. 1; CoRPO, arXiv 2511.04439) ---


def compared(values_G: Float_G, others_G: Float_G, right_G: Float_G, a: Row, step_mean: float) -> Float_G:
    """Advantages of the rollouts that take part: ``values_G`` the correctness, ``others_G`` the other parts."""
    if a["learn_from"] == "right":
        return right_G * a["positive_weight"]
    rewards_G = values_G + others_G
    count, baseline = len(rewards_G), a["baseline"]
    if baseline == "mean":
        found_G = np.zeros(count) if np.ptp(rewards_G) == 0 else rewards_G - rewards_G.mean()
    elif baseline == "leave_one_out":
        found_G = rewards_G - (rewards_G.sum() - rewards_G) / (count - 1) if count > 1 else np.zeros(count)
    elif baseline in ("static", "corpo"):
        line = a["r_min_correct"] if baseline == "static" else max(a["r_min_correct"], values_G.mean())
        further_G = others_G - others_G.mean()
        failed_G = values_G < a["r_min_correct"]
        found_G = values_G - line + np.where(failed_G, np.minimum(further_G, 0.0), further_G)
    else:
        found_G = rewards_G - (step_mean if baseline == "step_mean" else 0.0)
    if a["scale"] == "group_std":
        std = rewards_G.std(ddof=a["std_ddof"]) if count > a["std_ddof"] else 0.0
        found_G = found_G / (std + a["std_eps"]) if std > 0 else np.zeros(count)
    elif a["scale"] == "fixed":
        found_G = found_G / a["fixed_scale"]
    if a["learn_from"] == "positive":
        found_G = np.maximum(found_G, 0.0)
    return found_G * np.where(found_G > 0, a["positive_weight"], a["negative_weight"])


def rewards_of(group: Row, a: Row) -> tuple[Float_G, Float_G, NDArray[np.bool_]]:
    """Correctness and other parts of each rollout, and whether it takes part."""
    credit = a["partial_credit"]
    values_G = np.array([correctness(rollout, group["judged"], credit) for rollout in group["rollouts"]])
    others_G = np.array([bonus(rollout, a["bonus"]) for rollout in group["rollouts"]])
    out_G = [group["judged"] and not r["correct"] and voteless(r, credit) for r in group["rollouts"]]
    return values_G, others_G, ~np.array(out_G, dtype=np.bool_)


def advantages_of(group: Row, a: Row, step_mean: float) -> Float_G:
    values_G, others_G, part_G = rewards_of(group, a)
    right_G = np.array([float(bool(rollout["correct"])) for rollout in group["rollouts"]])
    found_G = np.zeros(len(values_G))
    if part_G.any():
        found_G[part_G] = compared(values_G[part_G], others_G[part_G], right_G[part_G], a, step_mean)
    return np.where(masked(group, a), 0.0, found_G)


def scaled(groups: Sequence[Row], found: Sequence[Float_G], a: Row) -> list[Float_G]:
    """Under ``step_std`` over the spread of all differences of the step (REINFORCE++, arXiv 2501.03262)."""
    if a["scale"] != "step_std":
        return list(found)
    part = [rewards_of(group, a)[2] for group in groups]
    counted = [f_G[p_G] for g, f_G, p_G in zip(groups, found, part, strict=True) if g["dropped"] in (None, "no_signal")]
    divisor = float(np.concatenate(counted).std(ddof=a["std_ddof"])) + a["std_eps"] if counted else 1.0
    return [f_G / divisor if g["dropped"] is None else f_G for g, f_G in zip(groups, found, strict=True)]


def capped(groups: Sequence[Row], found: Sequence[Float_G], most: float | None) -> list[Float_G]:
    """The negative advantages of the trained groups of a step, scaled down together where they are more than that."""
    trained = [advantages_G for group, advantages_G in zip(groups, found, strict=True) if group["dropped"] is None]
    mass = sum(float(-np.minimum(advantages_G, 0.0).sum()) for advantages_G in trained)
    if most is None or mass <= most:
        return list(found)
    return [
        np.where((advantages_G < 0) & (group["dropped"] is None), advantages_G * (most / mass), advantages_G)
        for group, advantages_G in zip(groups, found, strict=True)
    ]


def fate(group: Row, advantages_G: Float_G, a: Row) -> str | None:
    """Why the group is dropped, for a group that came as far as its baseline."""
    if a["keep"] == "reward_variance":
        values_G, others_G, part_G = rewards_of(group, a)
        rewards_G = (values_G + others_G)[part_G]
        return "equal_rewards" if len(rewards_G) == 0 or np.ptp(rewards_G) == 0 else None
    return "no_signal" if a["keep"] == "nonzero_advantage" and not advantages_G.any() else None


# --- credit to the step (docs/algorithms.md; a neighbour is VPPO, arXiv 2601.18984) ---


def stamps_of(group: Row, advantages_G: Float_G, a: Row) -> list[Stamps]:
    """The advantages of the steps of each wrong answer with a verdict, of a group that is trained on."""
    rollouts, none = group["rollouts"], masked(group, a)
    told = [
        number
        for number, rollout in enumerate(rollouts)
        if not rollout["correct"] and rollout["rts"] is not None and rollout["step_tokens"] and not none[number]
    ]
    found: list[Stamps] = [None] * len(rollouts)
    if a["credit"] == "answer" or group["dropped"] is not None or not group["judged"]:
        return found
    first = {number: first_wrong(rollouts[number]) for number in told}
    for number in told:
        one, error, steps = float(advantages_G[number]), first[number], len(rollouts[number]["step_tokens"])
        if a["credit"] == "prefix":
            found[number] = [max(one, 0.0) if step < error else min(one, 0.0) for step in range(steps)]
            continue
        expected = [0.0]
        for step in range(1, error + 1):
            left = [float(advantages_G[other]) for other in told if first[other] >= step]
            rises = a["baseline"] not in ("static", "corpo")
            expected.append(max(expected[-1], sum(left) / len(left)) if rises else 0.0)
        if error > 0:
            expected[error] = max(expected[error], one)
        parts = [expected[step + 1] - expected[step] for step in range(error)]
        found[number] = (parts + [min(one - expected[error], 0.0)] + [0.0] * steps)[:steps]
    return found


def first_wrong(rollout: Row) -> int:
    """The place of the first wrong step of the policy's own; one past the last if there is none."""
    steps = int(rollout["reasoning_steps"])
    if rollout["first_error"] is None:
        return steps if rollout["truncated"] else steps - 1
    return int(min(max(rollout["first_error"], rollout["given_steps"]), steps - 1))


# --- the loss ---


def masses(group: Row, config: Row) -> Float_G:
    """Sum of the loss weights of each rollout's tokens: 1 a sampled one, the guidance's one that was given."""
    guidance = config["guidance"]["loss_weight"]
    m_G = np.array([r["num_tokens"] + guidance * r["guidance_tokens"] for r in group["rollouts"]], dtype=np.float64)
    return np.where(masked(group, config["algorithm"]), 0.0, m_G)


def masked(group: Row, a: Row) -> NDArray[np.bool_]:
    """Answers that were cut off and bear no loss for it."""
    return np.array([bool(a["mask_truncated"] and rollout["truncated"]) for rollout in group["rollouts"]])


def denominator_of(groups: Sequence[Row], config: Row) -> float:
    """One number an update. ``groups``: those that count."""
    a = config["algorithm"]
    each = [masses(group, config) for group in groups]
    if a["aggregation"] == "token-mean":
        return float(sum(m_G.sum() for m_G in each))
    if a["aggregation"] == "sequence-mean":
        return float(sum((m_G > 0).sum() for m_G in each))
    if a["aggregation"] == "group-token-mean":
        return float(sum(m_G.sum() > 0 for m_G in each))
    return float(sum(len(m_G) for m_G in each) * config["sampling"]["max_tokens"])


def counts(group: Row, a: Row) -> bool:
    """What is dropped for want of a signal counts under ``sampled``."""
    return group["dropped"] is None or (a["denominator"] == "sampled" and group["dropped"] == "no_signal")


def updates_of(groups: Sequence[Row], found: Sequence[Float_G], config: Row) -> list[list[tuple[Row, Float_G]]]:
    """The groups that count, with their advantages, divided in their order over the updates of the step."""
    counted = [pair for pair in zip(groups, found, strict=True) if counts(pair[0], config["algorithm"])]
    parts = np.array_split(np.arange(len(counted)), config["optimizer"]["updates_per_step"])
    return [[counted[index] for index in part] for part in parts]


def loss_of(groups: Sequence[Row], advantages: Sequence[Float_G], config: Row, denominator: float) -> float:
    """Where the policy is the one that sampled, every ratio is 1: a token's loss is -A, or -A log pi."""
    a, total = config["algorithm"], 0.0
    for group, advantages_G in zip(groups, advantages, strict=True):
        if group["dropped"] is not None:
            continue
        m_G = masses(group, config)
        stamps = stamps_of(group, advantages_G, a)
        terms_G = np.array(
            [
                pull(rollout, advantage, stamps_N, mass, a["surrogate"] == "log_prob")
                for rollout, advantage, stamps_N, mass in zip(group["rollouts"], advantages_G, stamps, m_G, strict=True)
            ]
        )
        terms_G = np.where(masked(group, a), 0.0, terms_G)
        if a["aggregation"] == "sequence-mean":
            terms_G = np.divide(terms_G, m_G, out=np.zeros_like(m_G), where=m_G > 0)
        elif a["aggregation"] == "group-token-mean":
            terms_G = terms_G / (m_G.sum() or 1.0)
        total -= float(terms_G.sum())
    return total / denominator


def pull(rollout: Row, advantage: float, stamps_N: Stamps, mass: float, by_logprob: bool) -> float:
    """Sum over the tokens of an answer of advantage times loss weight, and times log pi if asked for."""
    if stamps_N is None:
        return advantage * (sum(logprobs_of(rollout)) if by_logprob else mass)
    tokens = rollout["step_tokens"]
    by_step = np.split(np.array(logprobs_of(rollout)), np.cumsum(tokens)[:-1]) if by_logprob else []
    terms = [float(part.sum()) for part in by_step] if by_logprob else tokens
    return sum(stamp * term for stamp, term in zip(stamps_N, terms, strict=True))


def logprobs_of(rollout: Row) -> list[float]:
    return [logprob for part in rollout["segments"] if part["role"] == "completion" for logprob in part["logprobs"]]


def no_loss(groups: Sequence[Row], config: Row) -> str | None:
    """Why the loss of a step does not follow from the records; None if it does."""
    a, trained = config["algorithm"], [group for group in groups if group["dropped"] is None]
    if config["mode"] == "offline" or any(group["age"] for group in trained):
        return "off-policy: the trainer's logprobs are not recorded"
    if a["kl_coefficient"] > 0:
        return "the reference's logprobs are not recorded"
    if a["surrogate"] == "log_prob":
        if config["guidance"]["loss_weight"] > 0 and config["guidance"]["schedule"] != "none":
            return "the logprobs of guidance are not recorded"
        if any("segments" not in rollout for group in trained for rollout in group["rollouts"]):
            return "recorded without tokens (records.tokens=true)"
    return None


# --- a run ---


def audit(config: Row, steps: dict[int, list[Row]], metrics: dict[int, Row]) -> Audit:
    a = config["algorithm"]
    if a["r_min_correct"] is None and config["task"]["kind"] in VERIFIERS:
        a["r_min_correct"] = math.log(0.5)
    result = Audit()
    for step, groups in sorted(steps.items()):
        audit_step(result, step, groups, metrics.get(step), config)
    return result


def audit_step(result: Audit, step: int, groups: list[Row], line: Row | None, config: Row) -> None:
    a, offline = config["algorithm"], config["mode"] == "offline"
    if offline and config["offline"]["keep"] != "all_negative":
        result.advantages.skipped["trained on right answers alone: the others are not recorded"] += 1
        return
    graded = [group for group in groups if group["dropped"] not in ("failed", "no_reward")]
    for group in graded:
        values_G, others_G, _ = rewards_of(group, a)
        for number, (rollout, reward) in enumerate(zip(group["rollouts"], values_G + others_G, strict=True)):
            result.rewards.compare(float(reward), rollout["reward"], place(step, group, number))
    whole = [group for group in graded if group["dropped"] not in ("filtered", "too_old")]
    mean = step_mean(whole, a)
    found = capped(whole, scaled(whole, [advantages_of(group, a, mean) for group in whole], a), a["max_negative_mass"])
    for group, advantages_G in zip(whole, found, strict=True):
        for number, (rollout, advantage) in enumerate(zip(group["rollouts"], advantages_G, strict=True)):
            result.advantages.compare(float(advantage), rollout["advantage"], place(step, group, number))
        for number, (rollout, stamps_N) in enumerate(
            zip(group["rollouts"], stamps_of(group, advantages_G, a), strict=True)
        ):
            compare_steps(result.steps, stamps_N, rollout["step_advantages"], place(step, group, number))
        same = fate(group, advantages_G, a) == group["dropped"]
        result.fates.compare(float(same), 1.0, f"step {step}, {group['prompt_id']} ({group['dropped'] or 'kept'})")
    if line is None:
        return
    updates = updates_of(whole, found, config)
    for number, update in enumerate(updates, start=1):
        audit_update(result, update, line, f"step {step}", f"/update_{number}" if len(updates) > 1 else "", config)


def compare_steps(finding: Finding, found: Stamps, recorded: Stamps, where: str) -> None:
    """Those of an answer that are on one side alone, or more of them, differ from nothing."""
    both, more = found or [], recorded or []
    for number in range(max(len(both), len(more))):
        known = more[number] if number < len(more) else None
        finding.compare(both[number] if number < len(both) else math.inf, known, f"{where}, step {number + 1}")


def audit_update(
    result: Audit, update: list[tuple[Row, Float_G]], line: Row, step: str, suffix: str, config: Row
) -> None:
    """``suffix``: of the names of its numbers, where the step has several updates."""
    loss, where = line.get(f"policy/loss{suffix}"), f"{step}{suffix.replace('/update_', ', update ')}"
    if loss is None:
        return
    groups, found = [group for group, _ in update], [advantages_G for _, advantages_G in update]
    denominator = denominator_of(groups, config)
    result.denominators.compare(denominator, line.get(f"policy/denominator{suffix}"), where)
    why = "later updates of a step: their ratios are not recorded" if suffix not in ("", "/update_1") else None
    why = why or no_loss(groups, config)
    if why is not None:
        result.losses.skipped[why] += 1
        return
    largest = max(float(np.abs(advantages_G).max(initial=0.0)) for advantages_G in found)
    if config["algorithm"]["credit"] == "split":
        largest *= 2  # from the best that could be expected to the worst that came of it
    # The ratio is 1 but for the two engines' rounding.
    gap = 2 * largest * float(line[f"policy/mismatch_abs{suffix}"])
    result.losses.compare(loss_of(groups, found, config, denominator), loss, where, more=gap)


def step_mean(groups: Sequence[Row], a: Row) -> float:
    """Mean reward of the rollouts of the step that take part (REINFORCE)."""
    rewards: list[float] = []
    for group in groups:
        values_G, others_G, part_G = rewards_of(group, a)
        rewards += (values_G + others_G)[part_G].tolist()
    return float(np.mean(rewards)) if rewards else 0.0


def place(step: int, group: Row, rollout: int) -> str:
    return f"step {step}, {group['prompt_id']}, answer {rollout + 1}"


def rows_of(path: Path) -> Iterator[Row]:
    """A last line that was cut off is none."""
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            try:
                yield json.loads(line)
            except ValueError:
                print(f"{path}: a line is no JSON, and is left out", file=sys.stderr)


def report(result: Audit) -> int:
    for finding in result.findings:
        verdict = "equal" if not finding.wrong else f"{finding.wrong} DIFFER"
        largest = f"largest difference {finding.largest:.1e}" if finding.compared else "nothing to compare"
        print(f"{finding.what:24}{finding.compared:>9,}  {verdict:12}{largest}")
        if finding.wrong:
            print(f"    {finding.where}")
        for why, count in finding.skipped.items():
            print(f"    {count:,} left out: {why}")
    return 1 if any(finding.wrong for finding in result.findings) else 0


def run_folder(name: str, storage: str) -> Path:
    """A path, or a name under the storage; RUN/groups.jsonl has to be there."""
    for path in (Path(name).expanduser(), Path(storage).expanduser() / "runs" / name):
        if (path / "groups.jsonl").is_file():
            return path
    raise ValueError(f"{name}: no run with a groups.jsonl, neither as a folder nor under {storage}/runs")


def main() -> int:
    parser = argparse.ArgumentParser(description="Recompute a run from its records.")
    parser.add_argument("run", metavar="RUN", help="a run folder, or its name under --storage")
    parser.add_argument("--storage", default="~/raysgpo", metavar="FOLDER", help="where runs are numbered")
    arguments = parser.parse_args()
    try:
        run = run_folder(arguments.run, arguments.storage)
        config = yaml.safe_load((run / "config.yaml").read_text(encoding="utf-8"))
        steps: dict[int, list[Row]] = defaultdict(list)
        for row in rows_of(run / "groups.jsonl"):
            steps[row["step"]].append(row)
        metrics = {row["step"]: row for row in rows_of(run / "metrics.jsonl")}
    except (OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    try:
        return report(audit(config, steps, metrics))
    except KeyError as missing:
        print(f"error: {run}: its records have no {missing}: the run was made by another version", file=sys.stderr)
        return 2
