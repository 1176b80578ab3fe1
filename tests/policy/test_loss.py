"""The objective, by hand-worked values and identities."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from raysgpo.algorithms.surrogates import SURROGATES, Bounds
from raysgpo.policy.batch import Batch, ScorerInput
from raysgpo.policy.loss import ESTIMATORS, Objective, Terms, k3, over_sequences, policy_loss

PLAIN = Objective(clip_low=0.2, clip_high=0.3)
BOUNDS = Bounds(clip_low=0.2, clip_high=0.3)
NOWHERE = torch.zeros(0)


def tensor(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def slope(logprobs: Tensor) -> list[float]:
    """d loss / d logp of each token."""
    assert logprobs.grad is not None, "no gradient reached the log probabilities"
    return [float(value) for value in logprobs.grad]


def clipped_surrogate(log_ratio: Tensor, advantages: Tensor) -> tuple[Tensor, Tensor]:
    loss, clipped = SURROGATES["clip"].loss(log_ratio, log_ratio, advantages, BOUNDS)
    return loss, clipped


def terms(
    logprobs: Tensor,
    sampler: Tensor,
    advantages: Tensor,
    weight: Tensor | None = None,
    *,
    sampled: list[bool] | None = None,
    reference: Tensor | None = None,
    objective: Objective = PLAIN,
    denominator: float = 1.0,
    sequence: list[int] | None = None,
) -> Terms:
    count = len(logprobs)
    batch = Batch(
        inputs=ScorerInput(NOWHERE, None, NOWHERE, NOWHERE),
        sampler_logprobs_N=sampler,
        sampled_N=torch.ones(count, dtype=torch.bool) if sampled is None else torch.tensor(sampled),
        advantages_N=advantages,
        loss_weight_N=torch.ones(count) if weight is None else weight,
        sequence_N=torch.zeros(count, dtype=torch.int64) if sequence is None else torch.tensor(sequence),
        tokens=count,
    )
    return policy_loss(logprobs, torch.arange(1.0, count + 1), reference, batch, objective, denominator)


@pytest.mark.parametrize(
    ("ratio", "advantage", "loss", "clipped"),
    [
        (1.0, 2.0, -2.0, False),
        (1.2, 2.0, -2.4, False),
        (1.5, 2.0, -2.6, True),  # w > 1 + high: held at 1.3
        (0.5, 2.0, -1.0, False),  # a good token that became rarer is never clipped
        (0.5, -2.0, 1.6, True),  # w < 1 - low: held at 0.8
        (1.5, -2.0, 3.0, False),  # a bad token that became likelier is never clipped
        (3.0, 0.0, 0.0, False),
    ],
)
def test_the_clipped_surrogate_by_hand(ratio: float, advantage: float, loss: float, clipped: bool) -> None:
    value, was_clipped = clipped_surrogate(tensor(math.log(ratio)), tensor(advantage))
    assert value.item() == pytest.approx(loss)
    assert was_clipped.item() is clipped


def test_a_clipped_token_has_no_gradient_and_a_free_one_has_minus_ratio_times_advantage() -> None:
    log_ratio = tensor(math.log(1.5), math.log(1.5), math.log(0.5), math.log(0.9)).requires_grad_()
    value, clipped = clipped_surrogate(log_ratio, tensor(2.0, -2.0, -1.0, 1.0))
    value.sum().backward()
    assert slope(log_ratio) == pytest.approx([0.0, 3.0, 0.0, -0.9])
    assert clipped.tolist() == [True, False, True, False]


@given(st.lists(st.tuples(st.floats(0.01, 1), st.floats(0.01, 1)), min_size=2, max_size=8))
def test_k3_has_the_true_kl_as_its_mean(pairs: list[tuple[float, float]]) -> None:
    p, q = (tensor(*column) / sum(column) for column in zip(*pairs, strict=True))
    assert (p * k3(q.log() - p.log())).sum().item() == pytest.approx((p * (p / q).log()).sum().item(), abs=1e-12)


@given(st.one_of(st.just(0.0), st.floats(-30, 30)))
def test_k3_is_never_negative_and_zero_only_where_the_policies_agree(difference: float) -> None:
    found = k3(tensor(difference)).item()
    assert found >= 0
    assert (found > 0) == (difference != 0) or abs(difference) < 1e-6, "a square that rounds away"


def test_k3_by_hand() -> None:
    assert k3(tensor(math.log(2))).item() == pytest.approx(1 - math.log(2))


@pytest.mark.parametrize(("name", "expected"), [("k1", -0.5), ("k2", 0.125), ("k3", math.exp(0.5) - 1.5)])
def test_the_estimators_by_hand(name: str, expected: float) -> None:
    """d = log q - log p = 0.5."""
    assert ESTIMATORS[name](torch.tensor([0.5], dtype=torch.float64)).item() == pytest.approx(expected)


def test_as_a_penalty_k2_is_the_kl_of_policy_to_reference_and_k1_is_nothing() -> None:
    """The exact mean under the policy of each estimate's gradient, over four tokens."""
    theta = torch.tensor([0.3, -1.0, 0.7, 0.1], dtype=torch.float64, requires_grad=True)
    reference = torch.tensor([-0.2, 0.4, 0.0, 0.9], dtype=torch.float64).log_softmax(0)

    def gradient(value: Tensor) -> Tensor:
        return torch.autograd.grad(value, theta)[0]

    logp = theta.log_softmax(0)
    true = gradient((logp.exp() * (logp - reference)).sum())
    found = {}
    for name, estimate in ESTIMATORS.items():
        logp = theta.log_softmax(0)
        found[name] = gradient((logp.exp().detach() * estimate(reference - logp)).sum())
    torch.testing.assert_close(found["k2"], true)
    torch.testing.assert_close(found["k1"], torch.zeros_like(true), atol=1e-12, rtol=0)
    assert not torch.allclose(found["k3"], true, rtol=0.1), "its gradient is that of the other KL"
    assert (found["k3"] * true).sum() > 0


def test_the_penalty_pulls_the_policy_towards_the_reference() -> None:
    objective = Objective(clip_low=0.2, clip_high=0.3, kl_coefficient=0.5)
    logprobs = tensor(math.log(0.2), math.log(0.8)).requires_grad_()
    found = terms(
        logprobs,
        logprobs.detach(),
        tensor(0.0, 0.0),
        reference=tensor(math.log(0.4), math.log(0.4)),
        objective=objective,
    )
    # q / p = 2 and 1/2: k3 = 2 - 1 - ln 2 and 1/2 - 1 + ln 2, together 1/2.
    assert found.loss.item() == pytest.approx(0.25)
    assert found.sums["kl"].item() == pytest.approx(0.5)
    found.loss.backward()
    # d k3 / d logp = 1 - q / p: descending makes the too rare token likelier and the too likely one rarer.
    assert slope(logprobs) == pytest.approx([0.5 * -1.0, 0.5 * 0.5])


def test_weights_multiply_and_the_given_denominator_divides() -> None:
    logprobs = tensor(-1.0, -1.0, -1.0)
    found = terms(logprobs, logprobs, tensor(3.0, 5.0, 7.0), weight=tensor(1.0, 0.5, 0.0), denominator=4.0)
    assert found.loss.item() == pytest.approx(-(3.0 + 2.5) / 4)


@given(st.integers(1, 9))
def test_parts_of_a_step_add_up_to_the_step(cut: int) -> None:
    draw = torch.Generator().manual_seed(cut)
    columns = [torch.randn(10, generator=draw, dtype=torch.float64) for _ in range(3)]
    whole = terms(*columns, denominator=10.0)
    parts = [terms(*(c[part] for c in columns), denominator=10.0) for part in (slice(cut), slice(cut, None))]
    assert sum(part.loss for part in parts).item() == pytest.approx(whole.loss.item())
    for name in ("kl", "mismatch_kl", "mismatch_abs", "ratio_mean", "clip_share"):
        assert sum(part.sums[name] for part in parts).item() == pytest.approx(whole.sums[name].item())
    assert max(part.mismatch_max for part in parts) == whole.mismatch_max


def test_guidance_has_ratio_one_with_a_living_gradient_and_stays_out_of_the_metrics() -> None:
    logprobs = tensor(-3.0, -1.0).requires_grad_()
    found = terms(logprobs, tensor(0.0, -1.5), tensor(2.0, 2.0), weight=tensor(0.5, 1.0), sampled=[False, True])
    found.loss.backward()
    # Guidance: -w_g A ratio = -0.5 * 2 * 1. Sampled: the ratio e^0.5 is over 1.3, so clipped.
    assert slope(logprobs) == pytest.approx([-1.0, 0.0])
    assert found.loss.item() == pytest.approx(-1.0 - 2.6)
    assert found.sums["entropy"].item() == 2.0
    assert found.sums["clip_share"].item() == 1
    assert found.sums["ratio_mean"].item() == pytest.approx(math.exp(0.5))
    assert found.sums["mismatch_abs"].item() == pytest.approx(0.5)
    assert found.sums["mismatch_kl"].item() == pytest.approx(math.exp(0.5) - 1.5)
    assert found.mismatch_max.item() == pytest.approx(0.5)


def test_on_policy_the_gradient_is_that_of_reinforce() -> None:
    logprobs = tensor(-0.5, -2.0).requires_grad_()
    found = terms(logprobs, logprobs.detach(), tensor(1.5, -0.5), denominator=2.0)
    found.loss.backward()
    assert slope(logprobs) == pytest.approx([-0.75, 0.25])
    assert found.sums["mismatch_kl"].item() == found.sums["clip_share"].item() == 0


def test_a_wild_ratio_cannot_make_the_loss_infinite() -> None:
    logprobs = tensor(-0.1, -0.1, -900.0).requires_grad_()
    found = terms(logprobs, tensor(-900.0, -900.0, -0.1), tensor(0.0, 1.0, -1.0))
    found.loss.backward()
    assert math.isfinite(found.loss.item())
    assert torch.isfinite(logprobs.grad).all()
    assert all(math.isfinite(total.item()) for total in found.sums.values())


def test_the_sizes_of_the_positive_and_the_negative_loss_by_hand() -> None:
    logprobs = tensor(-1.0, -1.0, -1.0, -1.0).requires_grad_()
    found = terms(logprobs, logprobs.detach(), tensor(3.0, -5.0, -1.0, 0.0), weight=tensor(1.0, 0.5, 1.0, 1.0))
    assert (found.positive.item(), found.negative.item()) == (3.0, 3.5)
    assert not found.positive.requires_grad


def test_a_sequences_ratio_is_the_geometric_mean_of_its_sampled_tokens_ratios() -> None:
    values = tensor(0.1, 0.3, 7.0, -1.0)
    sampled, numbers = torch.tensor([True, True, False, True]), torch.tensor([0, 0, 0, 1])
    assert over_sequences(values, sampled, numbers, mean=True).tolist() == pytest.approx([0.2, 0.2, 7.0, -1.0])
    assert over_sequences(values, sampled, numbers, mean=False).tolist() == pytest.approx([0.4, 0.4, 7.0, -1.0])


@pytest.mark.parametrize("advantage", [1.5, -0.5])
def test_the_sequence_level_surrogate_and_its_gradient_by_hand(advantage: float) -> None:
    # Ratios e^0.1 and e^-0.2 make e^-0.05 together: inside of the clip, as the mean of the sequence's loss.
    logprobs = tensor(-0.9, -1.2, -3.0).requires_grad_()
    sampler = tensor(-1.0, -1.0, -1.0)
    objective = Objective(clip_low=0.2, clip_high=0.3, surrogate="clip_sequence")
    weight = tensor(0.5, 0.5, 1.0)
    found = terms(
        logprobs, sampler, torch.full((3,), advantage), weight, objective=objective, sequence=[0, 0, 1], denominator=2.0
    )
    other = math.exp(-2.0)  # the second sequence's ratio; clipped where it is a bad one
    second = min(other * advantage, 0.8 * advantage)
    assert found.loss.item() == pytest.approx(-(math.exp(-0.05) * advantage + second) / 2)
    found.loss.backward()
    each = -math.exp(-0.05) * advantage / 2 / 2
    free = -other * advantage / 2 if advantage > 0 else 0.0
    assert slope(logprobs) == pytest.approx([each, each, free])
    assert found.sums["clip_share"].item() == (1 if advantage < 0 else 0)


@given(st.integers(0, 20))
def test_with_one_token_a_sequence_all_levels_are_the_same(seed: int) -> None:
    draw = torch.Generator().manual_seed(seed)
    columns = [torch.randn(6, generator=draw, dtype=torch.float64) for _ in range(3)]
    for level, *others in (("clip", "clip_sequence", "clip_product"), ("truncate", "truncate_product")):
        one, *more = (
            terms(*columns, objective=Objective(surrogate=name), sequence=list(range(6))).loss.item()
            for name in (level, *others)
        )
        assert more == [pytest.approx(one)] * len(others)


@pytest.mark.parametrize(
    ("name", "weights", "cut"),
    [("truncate", [1.5, 1.5, 0.5], 1), ("truncate_product", [1.2, 1.2, 1.2], 0), ("cispo", [1.3, 1.3, 0.8], 3)],
)
def test_a_weight_on_the_policy_gradient_by_hand(name: str, weights: list[float], cut: int) -> None:
    """Ratios 4, 1.5 and 0.2, whose product is 1.2; the cap is 1.5, the bounds are 0.8 and 1.3."""
    ratios = tensor(4.0, 1.5, 0.5 if name == "truncate" else 0.2)
    logprobs = tensor(-1.0, -1.0, -1.0).requires_grad_()
    objective = Objective(clip_low=0.2, clip_high=0.3, surrogate=name, truncation_cap=1.5)
    found = terms(logprobs, logprobs.detach() - ratios.log(), tensor(2.0, -1.0, 1.0), objective=objective)
    found.loss.backward()
    expected = [-w * a for w, a in zip(weights, (2.0, -1.0, 1.0), strict=True)]
    assert slope(logprobs) == pytest.approx(expected)
    assert found.loss.item() == pytest.approx(sum(expected))
    assert found.sums["clip_share"].item() == cut


def test_the_product_of_an_answers_ratios_is_clipped_by_hand() -> None:
    """Ratios 1.1 and 1.1 make 1.21, inside of [0.8, 1.3]; each of 1.2 and 1.2 is inside, and 1.44 is not."""
    objective = Objective(clip_low=0.2, clip_high=0.3, surrogate="clip_product")
    logprobs = tensor(-1.0, -1.0, -1.0, -1.0).requires_grad_()
    ratios = tensor(1.1, 1.1, 1.2, 1.2)
    found = terms(
        logprobs,
        logprobs.detach() - ratios.log(),
        tensor(2.0, 2.0, 1.0, 1.0),
        objective=objective,
        sequence=[0, 0, 1, 1],
    )
    found.loss.backward()
    assert found.loss.item() == pytest.approx(-(2 * 1.21 * 2.0 + 2 * 1.3))
    # Each token's ratio carries a gradient to every token of its answer.
    assert slope(logprobs) == pytest.approx([-2 * 1.21 * 2.0, -2 * 1.21 * 2.0, 0.0, 0.0])
    assert found.sums["clip_share"].item() == 2


def test_without_a_ratio_the_loss_is_minus_advantage_times_log_probability() -> None:
    logprobs = tensor(-0.5, -2.0).requires_grad_()
    found = terms(logprobs, tensor(-9.0, -0.1), tensor(1.5, -0.5), objective=Objective(surrogate="log_prob"))
    found.loss.backward()
    assert found.loss.item() == pytest.approx(1.5 * 0.5 - 0.5 * 2.0)
    assert slope(logprobs) == pytest.approx([-1.5, 0.5])
    assert found.sums["clip_share"].item() == 0


@pytest.mark.parametrize("name", SURROGATES)
def test_every_surrogate_raises_what_is_good_and_lowers_what_is_bad(name: str) -> None:
    """On-policy, where no bound holds anything: descending follows the advantage's sign, token by token."""
    logprobs = tensor(-0.5, -2.0, -1.0, -3.0).requires_grad_()
    objective = Objective(surrogate=name)
    terms(
        logprobs, logprobs.detach(), tensor(1.5, 1.5, -0.5, -0.5), objective=objective, sequence=[0, 0, 1, 1]
    ).loss.backward()
    assert [math.copysign(1, value) for value in slope(logprobs)] == [-1, -1, 1, 1]


@pytest.mark.parametrize("name", [name for name in SURROGATES if name != "clip_product"])
def test_on_policy_every_surrogate_has_the_gradient_of_reinforce(name: str) -> None:
    """But for the product of T ratios: there every token counts T times."""
    logprobs = tensor(-0.5, -2.0, -1.0).requires_grad_()
    objective = Objective(surrogate=name)
    terms(logprobs, logprobs.detach(), tensor(1.5, 1.5, -0.5), objective=objective, sequence=[0, 0, 1]).loss.backward()
    assert slope(logprobs) == pytest.approx([-1.5, -1.5, 0.5])


@pytest.mark.parametrize("name", SURROGATES)
def test_a_token_moves_by_its_own_advantage_unless_the_surrogate_shares_the_gradient_over_the_answer(name: str) -> None:
    """On-policy, one answer of a right step (0) and a wrong one (-1); what shares is refused with credit to a step."""
    logprobs = tensor(-0.5, -2.0, -1.0).requires_grad_()
    objective = Objective(surrogate=name)
    terms(logprobs, logprobs.detach(), tensor(0.0, 0.0, -1.0), objective=objective).loss.backward()
    assert (slope(logprobs) == pytest.approx([0, 0, 1])) is not SURROGATES[name].shared
