"""What a row of metrics is called in Prometheus: units in the names, labels where a number has parts, counters for
what only grows.

``python -m raysgpo.output.prometheus`` prints the table of ``docs/metrics.md``. Ray puts ``ray_`` before each name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from raysgpo.config.run_name import plain_name
from raysgpo.judging.judge import Failure
from raysgpo.output.metrics import SUCCESS, Metrics
from raysgpo.output.update_metrics import COMBINED
from raysgpo.records import Drop

Kind = Literal["gauge", "counter"]
GIB = 2**30
PREFIX = "raysgpo_"


@dataclass(frozen=True, slots=True)
class Series:
    """One line that Prometheus keeps of a run, beside the labels that say which run it is."""

    name: str
    """Without Ray's ``ray_``; a counter's ends in ``_total``."""
    labels: tuple[tuple[str, str], ...] = ()
    kind: Kind = "gauge"
    """``gauge``: the last step's number; ``counter``: the sum over the steps since the run's conductor came up."""
    unit: float = 1.0
    """What one of the row's number is in Prometheus' base unit: 2^30 for GiB."""

    @property
    def label_names(self) -> tuple[str, ...]:
        return tuple(name for name, _ in self.labels)


def _gauge(name: str, **labels: str) -> Series:
    return Series(PREFIX + name, tuple(labels.items()))


def _counter(name: str, **labels: str) -> Series:
    return Series(f"{PREFIX}{name}_total", tuple(labels.items()), "counter")


PHASES = tuple("sample judge judge_alone wait train sync eval checkpoint other".split())

POLICY = {
    "loss": "loss",
    "denominator": "denominator",
    "entropy": "entropy_nats",
    "clip_share": "clipped_ratio",
    "kl": "kl_nats",
    "mismatch_kl": "mismatch_kl_nats",
    "mismatch_abs": "mismatch_mean_nats",
    "mismatch_max": "mismatch_max_nats",
    "ratio_mean": "token_ratio",
    "padding": "padding_ratio",
    "grad_norm": "gradient_norm",
    "lr": "learning_rate",
}
"""``policy/NAME`` to its name behind ``raysgpo_policy_`` and, of one update of several, ``raysgpo_update_``."""

STEP = _gauge("step")
STEPS_PLANNED = _gauge("steps_planned")
REPLICAS_WANTED = _gauge("rollout_replicas_wanted")
LAST_RECORD = _gauge("last_record_timestamp_seconds")


def run_info(baseline: str, partial_credit: str) -> Series:
    """A gauge that is 1: who asks for other numbers joins its labels to them."""
    return _gauge("run_info", baseline=baseline, credit=partial_credit)


OF_THE_RUN: Mapping[Series, str] = {
    STEP: "optimizer steps done",
    STEPS_PLANNED: "optimizer steps of the whole run",
    REPLICAS_WANTED: "the fewest rollout replicas that the run is to have (`rollout.replicas`)",
    LAST_RECORD: "when a step or an evaluation was last recorded, seconds since the Unix epoch; before the first: when "
    "the conductor came up",
    run_info("", ""): "1: `algorithm.baseline` and `algorithm.partial_credit` as labels",
}
"""What no row says by itself, or by another number."""

SERIES: Mapping[str, Series] = {
    "accuracy/mean": _gauge("accuracy_ratio"),
    "accuracy/guided": _gauge("accuracy_guided_ratio"),
    "accuracy/unguided": _gauge("accuracy_unguided_ratio"),
    "reward/mean": _gauge("reward_mean"),
    "readings/unread_share": _gauge("readings_unread_ratio"),
    "groups/trained": _counter("groups", fate="trained"),
    **{f"groups/{drop.value}": _counter("groups", fate=drop.value) for drop in Drop},
    "groups/all_negative_share": _gauge("groups_all_negative_ratio"),
    "groups/degenerate_share": _gauge("groups_degenerate_ratio"),
    "groups/judged_share": _gauge("groups_judged_ratio"),
    "failures/truncated_share": _gauge("failures_truncated_ratio"),
    "failures/finished_share": _gauge("failures_finished_ratio"),
    "judge/allowed": _gauge("judge_allowed_groups"),
    "judge/groups": _counter("judge_groups"),
    "judge/calls": _counter("judge_calls"),
    "judge/cached": _counter("judge_cached_votes"),
    **{f"judge/{failure.value}": _counter("judge_failures", reason=failure.value) for failure in Failure},
    "judge/tokens": _counter("judge_tokens"),
    "judge/seconds": _gauge("judge_call_seconds"),
    "judge/lost": _counter("judge_lost_votes"),
    "judge/none_found": _counter("judge_none_found_rollouts"),
    "judge/none_found_share": _gauge("judge_none_found_ratio"),
    "judge/vote_agreement": _gauge("judge_vote_agreement_ratio"),
    "judge/rts_mean": _gauge("judge_rts_ratio"),
    "judge/rts_truncated": _gauge("judge_rts_truncated_ratio"),
    "judge/rts_finished": _gauge("judge_rts_finished_ratio"),
    **{
        f"advantage/{answer}_{sign}_share": _gauge("rollouts_ratio", answer=answer, advantage=sign)
        for answer in ("right", "wrong")
        for sign in ("positive", "negative")
    },
    "advantage/wrong_positive_rate": _gauge("advantage_wrong_positive_ratio"),
    "advantage/abs_mean": _gauge("advantage_abs_mean"),
    "advantage/std": _gauge("advantage_std"),
    "advantage/positive_mass": _gauge("advantage_mass", advantage="positive"),
    "advantage/negative_mass": _gauge("advantage_mass", advantage="negative"),
    "advantage/r_count": _gauge("advantage_r_count_ratio"),
    "advantage/r_loss": _gauge("policy_r_loss_ratio"),
    "advantage/std_guided": _gauge("advantage_guided_std"),
    "advantage/std_unguided": _gauge("advantage_unguided_std"),
    "guidance/length": _gauge("guidance_length_tokens"),
    "guidance/share": _gauge("guidance_rollouts_ratio"),
    "guidance/tokens": _gauge("guidance_given_tokens"),
    **{f"success/{share}": _gauge("groups_success_ratio", success=share) for share in SUCCESS},
    "curriculum/target": _gauge("curriculum_target"),
    "curriculum/difficulty": _gauge("curriculum_difficulty"),
    "entropy/sampled": _gauge("sampled_entropy_nats"),
    "tokens/sampled": _counter("sampled_tokens"),
    "tokens/completion": _gauge("completion_tokens"),
    "tokens/truncated_share": _gauge("rollouts_truncated_ratio"),
    "tokens/per_second": _gauge("sampled_tokens_per_second"),
    "train/problems_solved_ever": _gauge("problems_solved"),
    "train/workers": _gauge("trainer_workers"),
    "grader/failures": _counter("grader_failures"),
    "sampling/retries": _counter("sampling_retries"),
    "staleness/mean": _gauge("staleness_mean_steps"),
    "staleness/max": _gauge("staleness_max_steps"),
    **{f"policy/{name}": _gauge(f"policy_{ours}") for name, ours in POLICY.items()},
    "policy/skipped": _counter("policy_skipped_updates"),
    "checkpoint/seconds": _gauge("checkpoint_seconds"),
    "checkpoint/bytes": _gauge("checkpoint_bytes"),
    "store/seconds": _gauge("store_seconds"),
    "store/bytes": _gauge("store_bytes"),
    "store/failures": _counter("store_failures"),
    "store/step": _gauge("store_checkpoint_step"),
    "sync/replicas": _gauge("sync_replicas"),
    "sync/failures": _counter("sync_failures"),
    "rollout/replicas": _gauge("rollout_replicas"),
    "sync/bytes": _gauge("sync_weights_bytes"),
    "sync/sent_bytes": _counter("sync_sent_bytes"),
    "sync/epochs": _gauge("sync_broadcast_groups"),
    **{f"sync/{part}_seconds": _gauge("sync_part_seconds", part=part) for part in ("meeting", "publish", "push")},
    "eval/accuracy": _gauge("eval_accuracy_ratio"),
    "eval/prompts": _gauge("eval_prompts"),
    "eval/failed": _gauge("eval_failed_prompts"),
    "eval/weight_version": _gauge("eval_weight_version"),
    "time/step": _gauge("step_seconds"),
    "time/idle_cores": _gauge("idle_cores"),
    **{f"time/{phase}": _gauge("phase_seconds", phase=phase) for phase in PHASES},
}
"""Every number of a row whose name is whole."""

SUMS = frozenset({"groups/sampled", "groups/dropped"})
"""Left out: sums over the fates of ``raysgpo_groups_total``."""


def _of_update(found: re.Match[str]) -> Series | None:
    name, number = found["name"], found["number"]
    if name not in COMBINED:
        return None
    whole = SERIES[name]
    behind = whole.name.removeprefix(f"{PREFIX}policy_")
    return Series(f"{PREFIX}update_{behind}", (("update", number),), whole.kind)


def _of_rank(found: re.Match[str]) -> Series:
    return Series(f"{PREFIX}start_{found['where']}_bytes", (("rank", found["rank"]),), unit=GIB)


def _of_label(found: re.Match[str]) -> Series:
    return _gauge("eval_set_label_score_ratio", set=found["set"], label=found["label"])


PATTERNS = (
    (r"readings/(?P<name>.+)_(?P<what>mean|std)", lambda m: _gauge(f"reading_{m['what']}", reading=m["name"])),
    (r"eval/accuracy/(?P<label>.+)", lambda m: _gauge("eval_label_accuracy_ratio", label=m["label"])),
    (r"eval/pass_at_(?P<k>\w+)", lambda m: _gauge("eval_pass_ratio", k=m["k"])),
    (r"eval/pass_at_(?P<k>\w+)/(?P<label>.+)", lambda m: _gauge("eval_label_pass_ratio", k=m["k"], label=m["label"])),
    (r"eval/(?P<set>[^/]+)/avg", lambda m: _gauge("eval_set_score_ratio", set=m["set"])),
    (r"eval/(?P<set>[^/]+)/avg/(?P<label>.+)", _of_label),
    (r"eval/(?P<set>[^/]+)/pass_at_(?P<k>\w+)", lambda m: _gauge("eval_set_pass_ratio", set=m["set"], k=m["k"])),
    (r"eval/(?P<set>[^/]+)/maj_at_(?P<k>\w+)", lambda m: _gauge("eval_set_majority_ratio", set=m["set"], k=m["k"])),
    (r"eval/(?P<set>[^/]+)/truncated", lambda m: _gauge("eval_set_truncated_ratio", set=m["set"])),
    (r"eval/(?P<set>[^/]+)/failed", lambda m: _gauge("eval_set_failed_answers", set=m["set"])),
    (r"start/(?P<where>host|device)_gib/rank_(?P<rank>\w+)", _of_rank),
    (r"(?P<name>.+)/update_(?P<number>\w+)", _of_update),
)
"""Numbers whose names have a part that a run decides: it becomes a label."""

EXAMPLES = (
    "readings/NAME_mean", "readings/NAME_std", "eval/accuracy/LABEL", "eval/pass_at_K", "eval/pass_at_K/LABEL",
    "eval/SET/avg", "eval/SET/avg/LABEL", "eval/SET/pass_at_K", "eval/SET/maj_at_K", "eval/SET/truncated",
    "eval/SET/failed",
    "start/host_gib/rank_N", "start/device_gib/rank_N",
    *(f"{name}/update_N" for name in COMBINED),
)  # fmt: skip
"""Of the patterns, as ``docs/metrics.md`` writes them."""


def series(metric: str) -> Series | None:
    """Of a row's number; None for one that Prometheus is not told: ``step`` and the two sums."""
    if (whole := SERIES.get(metric)) is not None:
        return whole
    for pattern, made in PATTERNS:
        if (found := re.fullmatch(pattern, metric)) is not None:
            return made(found)
    return None


def help_text(name: str) -> str:
    """What Prometheus shows beside a name, in ASCII."""
    said = next((meaning for of_run, meaning in OF_THE_RUN.items() if of_run.name == name), None)
    if said is not None:
        return f"raysgpo: {said}"
    metrics = [metric for metric in (*SERIES, *EXAMPLES) if (one := series(metric)) and one.name == name]
    return f"raysgpo: {', '.join(metrics)} of docs/metrics.md"


def samples(row: Metrics) -> Iterator[tuple[Series, float | None]]:
    """What a row says: the number in base units, None where there is none."""
    for metric, value in row.items():
        if (one := series(metric)) is not None:
            yield one, None if value is None else value * one.unit


def plain_label(text: str) -> str:
    """The text, if Ray takes it as a label's value; else as ``plain_name`` has it."""
    return text if text.isascii() and text.isprintable() else plain_name(text)


def table() -> str:
    """The table of ``docs/metrics.md``."""
    lines = ["| in Prometheus | type | of |", "|---|---|---|"]
    lines += [f"| `ray_{_shown(one)}` | gauge | {meaning} |" for one, meaning in OF_THE_RUN.items()]
    parts: dict[tuple[str, Kind], list[str]] = {}
    for metric in (*SERIES, *EXAMPLES):
        one = series(metric)
        assert one is not None, metric
        parts.setdefault((_shown(one), one.kind), []).append(f"`{metric}`")
    lines += [f"| `ray_{shown}` | {kind} | {', '.join(of)} |" for (shown, kind), of in parts.items()]
    return "\n".join(lines) + "\n"


def _shown(one: Series) -> str:
    """Its name and labels, as PromQL writes them without their values."""
    return f"{one.name}{{{', '.join(one.label_names)}}}" if one.labels else one.name


if __name__ == "__main__":
    print(table(), end="")
