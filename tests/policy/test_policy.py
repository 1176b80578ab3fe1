"""The policy against plain transformers, and the invariances that the whole trainer rests on."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, Gemma2Config, Gemma2ForCausalLM, PreTrainedModel

from raysgpo.policy.export import export
from raysgpo.policy.layout import Layout
from raysgpo.policy.learning_rate import learning_rate
from raysgpo.policy.policy import Policy
from raysgpo.policy.sequences import Share, TrainSequence
from tests.policy.conftest import Build, Sequences, Shares, checkpoint, known, learned, saved
from tests.policy.tensors import distance, gradient, weights
from tests.policy.test_scorer_check import SMALL


def plain_logprobs(model: PreTrainedModel, sequence: TrainSequence, temperature: float = 1.0) -> Tensor:
    """[T] with a zero in front: transformers' own logits of one sequence alone."""
    ids = torch.from_numpy(sequence.token_ids_T).long()
    logits = model(input_ids=ids[None]).logits[0, :-1] / temperature
    logprobs = torch.log_softmax(logits, -1).gather(-1, ids[1:, None])[:, 0]
    return torch.cat([torch.zeros(1), logprobs])


def plain_loss(
    model: PreTrainedModel, reference: PreTrainedModel, sequences: list[TrainSequence], beta: float, denominator: float
) -> Tensor:
    """The objective as ALGORITHMS.md states it, token by token in plain Python."""
    total = 0.0
    for s in sequences:
        logprobs = plain_logprobs(model, s)
        base = plain_logprobs(reference, s).detach()
        for t in range(1, len(s)):
            if s.loss_weight_T[t] == 0:
                continue
            old = float(s.logprobs_T[t]) if s.sampled_T[t] else logprobs[t].detach()
            ratio, advantage = torch.exp(logprobs[t] - old), float(s.advantages_T[t])
            surrogate = torch.minimum(ratio * advantage, torch.clamp(ratio, 0.8, 1.2) * advantage)
            k3 = torch.exp(base[t] - logprobs[t]) - (base[t] - logprobs[t]) - 1
            total = total + float(s.loss_weight_T[t]) * (-surrogate + beta * k3)
    return total / denominator


@pytest.mark.parametrize("layout", ["padded", "packed"])
@pytest.mark.parametrize("architecture", ["qwen2", "qwen3"])
def test_loss_and_gradient_equal_the_equation_on_plain_transformers(
    architecture: str,
    layout: Layout,
    request: pytest.FixtureRequest,
    build: Build,
    sequences: Sequences,
    shares: Shares,
    tmp_path: Path,
) -> None:
    path = request.getfixturevalue(architecture)
    policy = build(path, kl=0.3, lr=0.01, layout=layout, logprob_chunk=7)
    policy.update(shares(sequences(5, seed=0))[0])  # away from the reference, so that the KL matters
    saved(policy, tmp_path / "saved")
    export(tmp_path / "saved", tmp_path / "exported", "float32")
    start, expected = (
        AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager").eval()
        for folder in (path, tmp_path / "exported")
    )
    made = sequences(5, seed=1)
    metrics = policy.accumulate(shares(made, budget=60, layout=layout)[0])

    loss = plain_loss(expected, start, made, beta=0.3, denominator=100.0)
    loss.backward()
    assert metrics["policy/loss"] == pytest.approx(loss.item(), rel=1e-5)
    assert known(metrics, "policy/kl") > 0.01
    plain = {"causal." + name: parameter.grad for name, parameter in expected.named_parameters()}
    assert distance(gradient(policy), plain) < 1e-5


@pytest.mark.parametrize("layout", ["padded", "packed"])
def test_splitting_a_step_into_more_micro_batches_leaves_the_gradient(
    layout: Layout, qwen2: str, build: Build, sequences: Sequences, shares: Shares
) -> None:
    policy = build(qwen2, layout=layout)
    made, found = sequences(12, seed=2), []
    for budget in (4096, 90, 1):
        share = shares(made, budget=budget, layout=layout)[0]
        found.append((len(share.micro_batches), learned(policy.accumulate(share)), gradient(policy)))
    assert [count for count, _, _ in found][::2] == [1, 12]
    for _, metrics, split in found[1:]:
        assert distance(split, found[0][2]) < 1e-5
        assert metrics == pytest.approx(found[0][1], rel=1e-5)


def test_packed_and_padded_give_the_same_loss_and_gradient(
    qwen2: str, build: Build, sequences: Sequences, shares: Shares
) -> None:
    made, found = sequences(12, seed=3), []
    for layout, attention in (("padded", "sdpa"), ("packed", "sdpa"), ("packed", "varlen"), ("shared", "varlen")):
        policy = build(qwen2, layout=layout, attention=attention)
        metrics = policy.accumulate(shares(made, budget=128, layout=layout)[0])
        found.append((learned(metrics), gradient(policy)))
    for metrics, slope in found[1:]:
        assert metrics == pytest.approx(found[0][0], rel=1e-5)
        assert distance(slope, found[0][1]) < 1e-5


def test_padding_is_counted_and_only_padded_rows_have_any(qwen2: str, build: Build, shares: Shares) -> None:
    made = [_ones(length) for length in (6, 10, 9)]
    padded = build(qwen2, layout="padded").accumulate(shares(made, budget=20)[0])
    assert padded["policy/padding"] == pytest.approx(1 - 25 / (2 * 10 + 6))
    whole = build(qwen2, layout="packed").accumulate(shares(made, layout="packed")[0])
    assert whole["policy/padding"] == 0


def _ones(length: int) -> TrainSequence:
    """Whose tokens are all sampled but the first."""
    sampled_T = np.arange(length) >= 1
    ones_T = np.ones(length, dtype=np.float32)
    return TrainSequence(np.arange(length, dtype=np.int32), ones_T * sampled_T, ones_T, -5 * ones_T, sampled_T)


def test_the_kernel_for_packed_rows_refuses_what_it_does_not_do(tmp_path: Path, build: Build) -> None:
    settings = {**SMALL, "head_dim": 8, "final_logit_softcapping": None, "pad_token_id": 0}
    path = checkpoint(tmp_path, Gemma2ForCausalLM, Gemma2Config(**settings))
    with pytest.raises(
        ValueError, match=r"trainer.attention=varlen: Gemma2Attention sets .*: set trainer.attention=sdpa"
    ):
        build(path, attention="varlen", layout="packed")


def test_empty_micro_batches_change_nothing(qwen2: str, build: Build, sequences: Sequences, shares: Shares) -> None:
    policy = build(qwen2)
    share = shares(sequences(4, seed=4))[0]
    expected, plain = policy.accumulate(share), gradient(policy)
    metrics = policy.accumulate(replace(share, micro_batches=[[], *share.micro_batches, []]))
    assert metrics == expected
    assert distance(gradient(policy), plain) < 1e-7


@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_logprobs_are_those_of_the_sampling_temperature(
    temperature: float, qwen2: str, build: Build, sequences: Sequences, shares: Shares
) -> None:
    policy = build(qwen2, temperature=temperature)
    share = shares(sequences(5, seed=5), budget=70)[0]
    model = AutoModelForCausalLM.from_pretrained(qwen2).eval()
    for cut, arrays in zip(share.micro_batches, policy.logprobs(share), strict=True):
        for sequence, logprobs_T in zip(cut, arrays, strict=True):
            expected = plain_logprobs(model, sequence, temperature).detach().numpy() * sequence.scored_T
            np.testing.assert_allclose(logprobs_T, expected, atol=1e-5)


def on_policy(policy: Policy, share: Share) -> Share:
    """The same share as if the policy's own weights of now had sampled it."""
    cuts = [
        [replace(s, logprobs_T=logprobs_T) for s, logprobs_T in zip(cut, arrays, strict=True)]
        for cut, arrays in zip(share.micro_batches, policy.logprobs(share), strict=True)
    ]
    return replace(share, micro_batches=cuts)


def test_on_its_own_samples_the_ratio_is_one_and_nothing_is_clipped(
    qwen2: str, build: Build, sequences: Sequences, shares: Shares
) -> None:
    policy = build(qwen2, kl=0.1)
    metrics = policy.update(on_policy(policy, shares(sequences(6, seed=6))[0]))
    assert metrics["policy/ratio_mean"] == pytest.approx(1, abs=1e-6)
    assert known(metrics, "policy/mismatch_abs") < 1e-6
    assert known(metrics, "policy/mismatch_max") < 1e-5
    assert metrics["policy/clip_share"] == metrics["policy/kl"] == 0
    assert 0 < known(metrics, "policy/entropy") < math.log(261)


def test_metrics_are_means_over_the_sampled_tokens(
    qwen2: str, build: Build, sequences: Sequences, shares: Shares
) -> None:
    policy = build(qwen2)
    share = shares(sequences(5, seed=7), budget=64)[0]
    arrays = [a for cut in policy.logprobs(share) for a in cut]
    made = [s for cut in share.micro_batches for s in cut]
    gaps = np.concatenate(
        [(a - s.logprobs_T)[s.sampled_T] for a, s in zip(arrays, made, strict=True)], dtype=np.float64
    )
    metrics = policy.accumulate(share)
    assert metrics["policy/ratio_mean"] == pytest.approx(np.exp(gaps).mean(), rel=1e-5)
    assert metrics["policy/mismatch_kl"] == pytest.approx((np.exp(gaps) - 1 - gaps).mean(), rel=1e-5)
    assert metrics["policy/mismatch_abs"] == pytest.approx(np.abs(gaps).mean(), rel=1e-5)
    assert metrics["policy/mismatch_max"] == pytest.approx(np.abs(gaps).max(), rel=1e-5)


@pytest.mark.parametrize("advantage", [1.0, -1.0])
def test_an_update_makes_good_answers_likelier_and_bad_ones_rarer(
    advantage: float, qwen2: str, build: Build, sequences: Sequences, shares: Shares
) -> None:
    policy = build(qwen2, lr=1e-3)
    share = on_policy(policy, shares(sequences(6, seed=8))[0])
    for s in share.micro_batches[0]:
        s.advantages_T[:] = advantage
    metrics = policy.update(share)
    after = policy.logprobs(share)
    rise = sum(
        ((a - s.logprobs_T) * s.loss_weight_T).sum() for s, a in zip(share.micro_batches[0], after[0], strict=True)
    )
    assert rise * advantage > 1
    assert metrics["policy/skipped"] == 0


def test_the_first_update_is_adams_and_its_rate_follows_the_step(
    qwen2: str, build: Build, sequences: Sequences, shares: Shares
) -> None:
    settings = {"warmup_steps": 4, "schedule": "linear"}
    policy = build(qwen2, lr=4e-3, total_updates=9, optimizer=settings)
    share = shares(sequences(5, seed=9), step=2)[0]
    before = weights(policy)
    policy.accumulate(share)
    slope = gradient(policy)
    metrics = policy.update(share)
    assert metrics["policy/lr"] == learning_rate(2, 4e-3, 4, "linear", 9) == pytest.approx(3e-3)
    assert metrics["policy/grad_norm"] == pytest.approx(
        math.sqrt(sum((g.double() ** 2).sum().item() for g in slope.values())), rel=1e-5
    )
    for name, after in policy.weights():
        g = slope["causal." + name]
        clear = g.abs() > 1e-4  # so that Adam's eps does not matter
        step = (after - before[name])[clear]
        torch.testing.assert_close(step, -3e-3 * g[clear].sign(), rtol=2e-2, atol=1e-6)


def test_only_the_first_update_of_a_step_is_made_by_the_policy_that_sampled(
    qwen2: str, build: Build, sequences: Sequences, shares: Shares
) -> None:
    policy, made = build(qwen2, optimizer={"warmup_steps": 4}), sequences(6, seed=12)
    parts = [on_policy(policy, shares(some, step=n)[0]) for n, some in enumerate((made[:2], made[2:]))]
    first, second = [policy.update(part) for part in parts]
    assert first["policy/ratio_mean"] == pytest.approx(1, abs=1e-5)
    assert abs(known(second, "policy/ratio_mean") - 1) > 1e-4
    assert [update["policy/lr"] for update in (first, second)] == [2.5e-4, 5e-4]


def test_a_pass_that_does_not_fit_names_its_size_and_the_settings(
    qwen2: str, build: Build, sequences: Sequences, shares: Shares, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = build(qwen2)

    def full(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 1.00 GiB")

    monkeypatch.setattr(policy, "_terms", full)
    with pytest.raises(
        MemoryError, match=r"^rank 0 ran out of GPU memory in a pass of \d+ tokens: lower trainer.tokens"
    ):
        policy.update(shares(sequences(4, seed=4))[0])


@pytest.mark.parametrize("kl", [0.0, 0.1])
@pytest.mark.parametrize("layout", ["padded", "packed", "shared"])
def test_a_forward_pass_that_does_not_fit_is_cut_and_nothing_is_lost_or_doubled(
    layout: Layout, kl: float, qwen2: str, build: Build, groups: Sequences, shares: Shares
) -> None:
    """The second layer has room for 60 tokens; what was computed before it finds out is thrown away."""
    made = groups(2, 3, seed=4)
    whole, policy = (build(qwen2, layout=layout, kl=kl, lr=1e-2) for _ in range(2))
    for each in (whole, policy):  # away from the reference
        each.update(shares(made, budget=10_000, layout=layout)[0])

    def room(module: torch.nn.Module, given: tuple[torch.Tensor, ...]) -> None:
        if given[0].shape[:2].numel() > 60:
            raise torch.OutOfMemoryError("CUDA out of memory")

    scorers = [policy.scorer] + ([policy.reference] if policy.reference is not None else [])
    hooks = [scorer.causal.model.layers[1].mlp.register_forward_pre_hook(room) for scorer in scorers]
    [share] = shares(made, budget=10_000, layout=layout)
    found, expected = learned(policy.accumulate(share)), learned(whole.accumulate(share))
    assert policy.cut_passes > 1
    assert found == pytest.approx(expected, rel=1e-4, abs=1e-7)
    assert distance(gradient(policy), gradient(whole)) < 1e-5
    for hook in hooks:
        hook.remove()
    found, expected = learned(policy.update(share)), learned(whole.update(share))
    assert found == pytest.approx(expected, rel=1e-4, abs=1e-7), "and it goes on"


def test_one_sequence_that_does_not_fit_and_a_backward_pass_end_the_run(
    qwen2: str, build: Build, sequences: Sequences, shares: Shares
) -> None:
    policy = build(qwen2)

    def full(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    layer = policy.scorer.causal.model.layers[1].mlp
    for hook in (layer.register_forward_pre_hook(full), layer.register_full_backward_hook(full)):
        with pytest.raises(MemoryError, match="ran out of GPU memory"):
            policy.accumulate(shares(sequences(4, seed=4))[0])
        hook.remove()


def test_an_update_with_nothing_to_train_on_is_none(qwen2: str, build: Build) -> None:
    policy = build(qwen2)
    before = weights(policy)
    assert set(policy.update(Share(0, [[]], denominator=1.0, num_tokens=0)).values()) == {None}
    assert distance(weights(policy), before) == 0


def test_gradient_clipping_keeps_the_direction_and_bounds_the_norm(
    qwen2: str, build: Build, sequences: Sequences, shares: Shares
) -> None:
    policy = build(qwen2, optimizer={"max_grad_norm": 1e-3})
    policy.accumulate(shares(sequences(5, seed=10))[0])
    before = gradient(policy)
    norm = policy._clip_gradients()
    assert norm > 0.01
    assert distance(gradient(policy), {name: g * 1e-3 / norm for name, g in before.items()}) < 1e-4


def test_a_step_whose_gradient_is_not_finite_changes_nothing_and_is_counted(
    qwen2: str, build: Build, sequences: Sequences, shares: Shares
) -> None:
    policy = build(qwen2)
    made = sequences(3, seed=11)
    good = shares(made)[0]
    bad = shares([replace(made[0], advantages_T=made[0].advantages_T * np.float32("nan")), *made[1:]])[0]
    before = weights(policy)
    assert policy.update(bad)["policy/skipped"] == 1
    after = weights(policy)
    assert all(torch.equal(after[name], before[name]) for name in before)
    assert policy.update(good)["policy/skipped"] == 0
    fresh = build(qwen2)
    fresh.update(good)
    assert distance(weights(policy), weights(fresh)) == 0


def test_gradient_checkpointing_gives_the_same_gradient(
    qwen2: str, build: Build, sequences: Sequences, shares: Shares
) -> None:
    share, found = shares(sequences(6, seed=12), budget=80)[0], []
    for setting in (False, True):
        policy = build(qwen2, gradient_checkpointing=setting)
        policy.accumulate(share)
        found.append(gradient(policy))
    assert distance(found[1], found[0]) < 1e-6


def test_bfloat16_is_near_float32_and_keeps_float32_master_weights(
    qwen2: str, build: Build, sequences: Sequences, shares: Shares
) -> None:
    share, found = shares(sequences(8, seed=13))[0], []
    for dtype in ("float32", "bfloat16"):
        policy = build(qwen2, dtype=dtype)
        share = on_policy(policy, share)
        policy.accumulate(share)
        found.append(gradient(policy))
    assert 1e-4 < distance(found[1], found[0]) < 0.1
    assert all(g.dtype == torch.float32 for g in found[1].values())
    assert all(p.dtype == torch.float32 for p in policy.scorer.parameters())
    assert all(value.dtype == torch.bfloat16 for _, value in policy.weights())


@pytest.mark.parametrize("architecture", ["qwen2", "qwen3"])
def test_weights_come_whole_under_the_names_of_the_checkpoint(
    architecture: str, request: pytest.FixtureRequest, build: Build
) -> None:
    path = request.getfixturevalue(architecture)
    expected = dict(AutoModelForCausalLM.from_pretrained(path).named_parameters())
    found = dict(build(path).weights())
    assert found.keys() == expected.keys()
    assert ("lm_head.weight" in found) == (architecture == "qwen3")
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_dropout_is_off_whatever_the_checkpoint_says(
    qwen2: str, build: Build, sequences: Sequences, shares: Shares
) -> None:
    policy = build(qwen2)  # its config says attention_dropout = 0.1
    assert json.loads((Path(qwen2) / "config.json").read_text())["attention_dropout"] == 0.1
    share = shares(sequences(4, seed=14))[0]
    assert policy.accumulate(share) == policy.accumulate(share)


def test_a_model_that_is_not_there_is_named(build: Build) -> None:
    with pytest.raises(ValueError, match=r"model=no/such/model: .* folder or a hub name"):
        build("no/such/model")


def test_a_model_whose_head_we_would_get_wrong_is_refused(qwen2: str, build: Build, tmp_path: Path) -> None:
    config = json.loads((Path(qwen2) / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "final_logit_softcapping": 30.0}))
    (tmp_path / "model.safetensors").write_bytes((Path(qwen2) / "model.safetensors").read_bytes())
    with pytest.raises(ValueError, match=r"final_logit_softcapping=30.0"):
        build(str(tmp_path))
