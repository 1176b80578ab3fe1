"""Settings from the rewards to the loss, the combinations that are impossible, and those that are doubtful."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from raysgpo.algorithms.baselines import BASELINES, Baseline
from raysgpo.algorithms.surrogates import SURROGATES
from raysgpo.config.presets import (
    PRESETS,
    Aggregation,
    Bonus,
    CreditKind,
    CreditTo,
    Denominator,
    Estimator,
    LearnFrom,
    Length,
    Scale,
)
from raysgpo.config.section import OneOf, Section


class PartialCreditConfig(Section):
    """What a wrong answer is worth (SGPO, arXiv 2505.11595, eq. 2)."""

    presets: ClassVar = {
        "none": {"kind": "none"},
        "sgpo": {"kind": "sgpo", "beta": 10.0, "gamma": 0.5},
        "sgpo_printed": {"kind": "sgpo", "beta": 0.5, "gamma": 10.0},
        "raw": {"kind": "raw", "beta": 10.0, "gamma": 0.5},
    }

    kind: CreditKind = "none"
    """``sgpo``: the sigmoid of eq. 2; ``raw``: the RTS itself, capped below 1; ``none``: 0."""
    groups: Literal["all_negative", "all_wrong"] = "all_negative"
    """``all_negative``: only groups without a right answer [paper]; ``all_wrong``: every wrong response."""
    rts: Length = "steps"
    """What the RTS is a share of: the reasoning ``steps`` before the first wrong one of all steps [paper], or the
    policy's own ``tokens`` in them of all its tokens. Guidance counts in neither."""
    none_found: Literal["no_vote", "last_step"] = "no_vote"
    """What it means that the judge finds no error in an answer that ended wrong: nothing, it has not been judged
    (``no_vote``, its advantage is 0), or an error in the last step. An answer that was cut off has RTS 1 then."""
    beta: float = Field(10.0, gt=0, allow_inf_nan=False)
    """sgpo: intensity of eq. 2."""
    gamma: float = Field(0.5, ge=0, allow_inf_nan=False)
    """sgpo: threshold of eq. 2: the RTS that is worth one half. The paper prints the two the other way round, beta 0.5
    and gamma 10 (``partial_credit=sgpo_printed``): then every wrong answer is worth 0.007 to 0.011."""
    scale: float = Field(1.0, gt=0, le=1)
    """Multiplies a wrong answer's reward."""


class AlgorithmConfig(Section):
    """Rewards to advantages to loss. A preset is a named row of settings; docs/algorithms.md has the table."""

    presets: ClassVar = {name: preset.settings() for name, preset in PRESETS.items()}

    baseline: Annotated[str, OneOf(BASELINES, "baseline")] = "mean"
    """What a reward is compared with: the group's ``mean`` (GRPO), the mean of the others (``leave_one_out``,
    RLOO), ``r_min_correct`` (``static``), the larger of that and the mean (``corpo``), the mean of all groups of the
    step (``step_mean``, REINFORCE), or nothing (``none``)."""
    r_min_correct: float | None = Field(None, allow_inf_nan=False)
    """static, corpo: the least correctness reward of an acceptable answer. Other reward parts do not shift it.
    None takes the task's own; only the verifier tasks have one, the reward of a coin flip, ln 0.5."""
    bonus: Bonus = "right"
    """Which answers a reward part beside the correctness, such as ``task.format_reward``, may add to: ``right`` ones
    alone, or ``all``. One well formed answer in a group of wrong ones would be a signal where there is none. What a
    part takes away counts for all."""
    soft_overlong: float = Field(0.0, ge=0, le=1)
    """The last share of ``sampling.max_tokens``, over which a reward part ``overlong`` falls from 0 to -1 with the
    length of the answer (DAPO, arXiv 2503.14476, eq. 13); 0: none."""
    mask_truncated: bool = False
    """An answer that was cut off has no advantage, and its tokens no loss; its reward is compared all the same."""
    scale: Scale = "group_std"
    """What the difference is divided by: the standard deviation of the group's rewards, that of the differences of the
    whole step (``step_std``, as REINFORCE++ has it), ``fixed_scale``, or nothing."""
    std_ddof: Literal[0, 1] = 1
    """1: sample standard deviation; 0: population (the theory of SGPO section 3.2)."""
    std_eps: float = Field(1e-6, ge=0)
    """Added to the standard deviation."""
    fixed_scale: float = Field(1.0, gt=0, allow_inf_nan=False)
    """scale=fixed: the difference is divided by this number."""
    positive_weight: float = Field(1.0, ge=0, allow_inf_nan=False)
    """Multiplies advantages above 0."""
    negative_weight: float = Field(1.0, ge=0, allow_inf_nan=False)
    """Multiplies advantages below 0."""
    learn_from: LearnFrom = "all"
    """``positive``: negative advantages become 0; ``right``: a right answer has advantage 1 and any other 0."""
    max_negative_mass: float | None = Field(None, gt=0, allow_inf_nan=False)
    """Most ``advantage/negative_mass`` of a step: above it all negative advantages are scaled down together."""
    keep: Literal["nonzero_advantage", "reward_variance", "all"] = "nonzero_advantage"
    """Which groups are trained on, decided after the baseline: those with an advantage that is not 0, those
    whose rewards differ, or all."""
    force_keep: bool = False
    """Allow keep=reward_variance with a baseline that learns from equal groups, as CoRPO's paper has it."""
    refill: bool = False
    """Sample further prompts in the place of dropped groups, until a step has ``prompts_per_step`` groups."""
    refill_limit: int = Field(4, ge=2)
    """refill: a step takes at most this many times ``prompts_per_step`` prompts; past it, it is smaller."""
    partial_credit: PartialCreditConfig = PartialCreditConfig()
    credit: CreditTo = "answer"
    """Which tokens of a judged wrong answer carry its advantage: all alike (``answer``); those before its first wrong
    step only if it is positive, and the others only if it is negative (``prefix``); or each step what it changed of
    what could be expected (``split``). An answer without a verdict has ``answer``."""
    aggregation: Aggregation = "token-mean"
    """How token losses become one number; the denominator is counted once for the whole step."""
    denominator: Denominator = "trained"
    """Whose tokens the denominator counts: the groups that are ``trained`` on, or all that were ``sampled`` for the
    step but those that failed, were filtered out or are too old. Methods that drop different groups for want of a
    signal are matched under ``sampled`` alone. Such a group has no gradient, unless there is a KL penalty: with
    ``sampled`` it is trained on then."""
    surrogate: Annotated[str, OneOf(SURROGATES, "surrogate")] = "clip"
    """The loss of a token: clipped, by the ratio of the token (``clip``), of its answer (``clip_sequence``, GSPO) or
    by the product of the answer's (``clip_product``); the policy gradient weighted by the ratio (``truncate``,
    ``truncate_product``, ``cispo``); or without a ratio (``log_prob``)."""
    clip_low: float = Field(0.2, ge=0, le=1)
    """clip, cispo: the ratio is held above 1 - clip_low."""
    clip_high: float = Field(0.2, ge=0)
    """clip, cispo: the ratio is held below 1 + clip_high."""
    truncation_cap: float = Field(2.0, gt=0)
    """truncate: the largest weight."""
    kl_coefficient: float = Field(0.0, ge=0)
    """Weight of the estimate of the KL to the frozen starting policy; 0 loads no reference model."""
    kl_estimator: Estimator = "k3"
    """Which estimate is the penalty: ``k3``, ``k2``, whose gradient is that of the KL from policy to reference, or
    ``k1``, whose gradient is 0 on average while the policy samples its own answers."""

    @property
    def compared_with(self) -> Baseline:
        """The row of the baseline."""
        return BASELINES[self.baseline]

    @property
    def needs_group(self) -> bool:
        """Whether a rollout is compared with the others of its group."""
        return self.compared_with.within_group and self.learn_from != "right"

    @property
    def plain_advantages(self) -> bool:
        """Whether an advantage is the difference to the baseline over the scale, and nothing more."""
        return self.learn_from == "all" and self.positive_weight == self.negative_weight == 1

    @property
    def needs_step(self) -> bool:
        """Whether a rollout is compared with those of the whole step, so that its advantage waits for them."""
        return self.compared_with.over == "step" and self.learn_from != "right"


def impossible_algorithm(algorithm: AlgorithmConfig, group_size: int, threshold: float | None) -> str | None:
    """What cannot work among the settings of the algorithm, with the fix. ``threshold``: the task's own."""
    baseline, row = algorithm.baseline, algorithm.compared_with
    if algorithm.needs_group and group_size < 2:
        return (
            f"sampling.group_size={group_size} with algorithm.baseline={baseline} {row.alone}: "
            "set sampling.group_size to 2 or more, or algorithm.baseline=none"
        )
    if row.threshold and algorithm.r_min_correct is None and threshold is None:
        return (
            f"algorithm.baseline={baseline} needs algorithm.r_min_correct: set it to the least reward of an "
            "acceptably correct answer, such as algorithm.r_min_correct=0.5"
        )
    credit = algorithm.partial_credit
    if credit.kind != "sgpo" and credit.gamma > 1:
        return (
            f"algorithm.partial_credit.gamma={credit.gamma:g} with kind={credit.kind}: the threshold is eq. 2's, which "
            "is not used; leave it out, or set algorithm.partial_credit=sgpo_printed"
        )
    if algorithm.scale == "group_std" and row.threshold and algorithm.keep != "reward_variance":
        return (
            f"algorithm.scale=group_std with algorithm.baseline={baseline} divides the equal, failed groups that "
            "it learns from by nothing but std_eps: set algorithm.scale=none or fixed, or remove such groups by "
            "algorithm.keep=reward_variance algorithm.force_keep=true"
        )
    if algorithm.scale == "step_std" and not algorithm.plain_advantages:
        return (
            "algorithm.scale=step_std is the spread of all differences of the step, which algorithm.learn_from, "
            "positive_weight or negative_weight changes: set learn_from=all and both weights to 1, or another scale"
        )
    if algorithm.scale == "group_std" and not row.within_group:
        return (
            f"algorithm.scale=group_std with algorithm.baseline={baseline} is no known method: "
            "set algorithm.scale=none, or algorithm.baseline=mean"
        )
    if algorithm.keep == "reward_variance" and row.learns_from_equal and not algorithm.force_keep:
        return (
            f"algorithm.keep=reward_variance with algorithm.baseline={baseline} drops the groups in which every "
            "answer failed alike, and those are what it learns from: leave algorithm.keep=nonzero_advantage, "
            "or set algorithm.force_keep=true, as the recipe of CoRPO's paper does"
        )
    if algorithm.refill and algorithm.denominator == "sampled":
        return (
            "algorithm.denominator=sampled with algorithm.refill=true: what refilling replaces is no part of the step, "
            "and would be counted all the same; set algorithm.denominator=trained, or algorithm.refill=false"
        )
    if algorithm.refill and algorithm.needs_step:
        return (
            f"algorithm.refill=true with algorithm.baseline={baseline}: whether a group has a signal is known when the "
            "step is whole, too late to replace it; set algorithm.refill=false"
        )
    return impossible_credit(algorithm)


def impossible_credit(algorithm: AlgorithmConfig) -> str | None:
    """What cannot work among the settings of the credit to a step, with the fix."""
    named = f"algorithm.credit={algorithm.credit}"
    if algorithm.credit == "answer":
        return None
    if algorithm.partial_credit.kind == "none":
        return (
            f"{named} needs a judge's verdict on wrong answers, and algorithm.partial_credit=none asks for none: "
            "set algorithm.partial_credit=sgpo and a judge, or algorithm.credit=answer"
        )
    if SURROGATES[algorithm.surrogate].shared:
        return (
            f"{named} with algorithm.surrogate={algorithm.surrogate}, whose ratio hands the gradient of every token to "
            "all of its answer: set algorithm.surrogate=clip, or algorithm.credit=answer"
        )
    capped = algorithm.max_negative_mass is not None
    if (
        algorithm.credit == "split"
        and not algorithm.compared_with.threshold
        and (capped or not algorithm.plain_advantages)
    ):
        return (
            f"{named} compares the advantages of a group, which algorithm.learn_from, positive_weight, negative_weight "
            "or max_negative_mass changes: leave them at their defaults, or set algorithm.credit=prefix"
        )
    return None


def doubtful_algorithm(algorithm: AlgorithmConfig, least: float, largest: float) -> Iterator[str]:
    """What is allowed and hardly meant, as lines for the console.

    ``least`` and ``largest``: the range of the task's correctness reward.
    """
    if algorithm.kl_coefficient > 0 and algorithm.kl_estimator == "k1":
        yield (
            "warning: algorithm.kl_estimator=k1 holds nothing back: its gradient is 0 on average while the policy "
            "samples its own answers; k2 has the gradient of that KL"
        )
    threshold = algorithm.r_min_correct
    if threshold is None or not algorithm.compared_with.threshold:
        return
    named = f"algorithm.r_min_correct={threshold:g}"
    rewards = f"the correctness rewards of this task, {least:g} to {largest:g}"
    if threshold >= largest:
        yield (
            f"warning: {named} is not below the largest of {rewards}: under algorithm.baseline="
            f"{algorithm.baseline} no answer will ever be reinforced; set it lower"
        )
    elif threshold <= least:
        yield f"warning: {named} is not above the least of {rewards}: no answer will count as failed; set it higher"
    credit = algorithm.partial_credit
    if credit.kind != "none" and least < threshold < credit.scale:
        yield (
            f"warning: a wrong answer is worth up to algorithm.partial_credit.scale={credit.scale:g}, above {named}: "
            "it may be reinforced; set the scale to the threshold or lower"
        )
