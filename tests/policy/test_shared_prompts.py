"""A prompt that is computed once for its group: the same logprobs, loss and gradient as with one for each answer."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from transformers import MambaConfig, MambaForCausalLM, Qwen2Config, Qwen2ForCausalLM

from raysgpo.policy.batch import lay_out
from raysgpo.policy.layout import Layout, Size, tokens_of
from raysgpo.policy.model import TokenScorer
from raysgpo.policy.plain_attention import attends_plainly
from raysgpo.policy.scorer_check import check_scorer
from tests.policy.conftest import SIZES, Build, Sequences, Shares, checkpoint, learned
from tests.policy.tensors import distance, gradient


@pytest.fixture(scope="session")
def sliding(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A model each of whose tokens sees the last seven: less than a prompt."""
    window = {"use_sliding_window": True, "sliding_window": 7, "max_window_layers": 1}
    return checkpoint(tmp_path_factory.mktemp("sliding"), Qwen2ForCausalLM, Qwen2Config(**SIZES, **window))


@pytest.mark.parametrize(("budget", "checkpointing"), [(4096, False), (120, False), (1, False), (120, True)])
@pytest.mark.parametrize("model", ["qwen2", "qwen3", "sliding"])
def test_loss_metrics_and_gradient_are_those_of_a_prompt_each(
    model: str,
    budget: int,
    checkpointing: bool,
    request: pytest.FixtureRequest,
    build: Build,
    groups: Sequences,
    shares: Shares,
) -> None:
    made, found = groups(3, 4, seed=1), []
    for layout in ("padded", "shared"):
        again = checkpointing and layout == "shared"
        policy = build(request.getfixturevalue(model), kl=0.1, layout=layout, gradient_checkpointing=again)
        policy.update(shares(groups(1, 4, seed=2), layout=layout)[0])  # away from the reference
        metrics = policy.accumulate(shares(made, budget=budget, layout=layout)[0])
        found.append((learned(metrics), gradient(policy)))
    assert found[1][0] == pytest.approx(found[0][0], rel=1e-5, abs=1e-7)
    assert distance(found[1][1], found[0][1]) < 1e-5


def test_it_is_the_prompts_gradient_too(qwen2: str, build: Build, groups: Sequences, shares: Shares) -> None:
    """Keys and values of the prompt carry a gradient: the embeddings of tokens that stand in no answer move."""
    [first, *rest] = groups(1, 4, seed=3)
    own = set(first.token_ids_T[: first.prompt_length])
    own -= {token for s in (first, *rest) for token in s.token_ids_T[s.prompt_length :]}
    policy = build(qwen2, layout="shared")
    policy.accumulate(shares([first, *rest], layout="shared")[0])
    slope = gradient(policy)["causal.model.embed_tokens.weight"]
    assert own and all(slope[token].abs().sum() > 0 for token in own)


def test_logprobs_are_those_of_a_prompt_each(qwen2: str, build: Build, groups: Sequences, shares: Shares) -> None:
    made = groups(3, 4, seed=4)

    def logprobs(layout: Layout) -> dict[bytes, np.ndarray]:
        policy, share = build(qwen2, layout=layout), shares(made, layout=layout)[0]
        arrays = policy.logprobs(share)
        return {
            s.token_ids_T.tobytes(): logprobs_T
            for cut, of_cut in zip(share.micro_batches, arrays, strict=True)
            for s, logprobs_T in zip(cut, of_cut, strict=True)
        }

    shared, padded = logprobs("shared"), logprobs("padded")
    assert shared.keys() == padded.keys()
    for key, logprobs_T in shared.items():
        np.testing.assert_allclose(logprobs_T, padded[key], atol=1e-5)


def test_a_bfloat16_model_shares_as_well(qwen2: str, build: Build, groups: Sequences, shares: Shares) -> None:
    made, found = groups(3, 4, seed=5), []
    for layout, dtype in (("padded", "float32"), ("shared", "bfloat16")):
        policy = build(qwen2, layout=layout, dtype=dtype)
        policy.accumulate(shares(made, layout=layout)[0])
        found.append(gradient(policy))
    assert 1e-4 < distance(found[1], found[0]) < 0.1


def test_each_token_stands_once_and_behind_the_one_that_predicts_it(groups: Sequences) -> None:
    made = groups(3, 4, seed=6)
    inputs = lay_out(made, "shared", torch.device("cpu")).inputs
    assert inputs.position_ids_RL is not None
    row, expected = inputs.token_ids_RL[0].numpy(), []
    for group in (made[:4], made[4:8], made[8:]):
        first = group[0]
        expected += [first.token_ids_T[: first.prompt_length], *(s.token_ids_T[s.prompt_length :] for s in group)]
    assert row.tolist() == np.concatenate(expected).tolist()
    before = np.concatenate([s.token_ids_T[:-1][s.scored_T[1:]] for s in made])
    assert row[inputs.predict_N.numpy()].tolist() == before.tolist()
    positions = np.concatenate([np.flatnonzero(s.scored_T) - 1 for s in made])
    assert inputs.position_ids_RL[0][inputs.predict_N].tolist() == positions.tolist()
    assert len(row) == tokens_of([Size(len(s), s.prompt_length, at // 4) for at, s in enumerate(made)], "shared")


def test_prompts_that_begin_alike_are_one(groups: Sequences) -> None:
    made = groups(1, 3, seed=7) + groups(1, 2, seed=7)
    inputs = lay_out(made, "shared", torch.device("cpu")).inputs
    assert inputs.packing is not None
    assert len(inputs.packing.segments) == 1 + len(made)
    assert len({id(segment.behind) for segment in inputs.packing.segments}) == 2, "the prompt, and nothing"


def test_who_shares_with_nobody_stands_whole(groups: Sequences) -> None:
    made = [groups(1, 1, seed=seed)[0] for seed in range(3)]
    shared, packed = (lay_out(made, layout, torch.device("cpu")).inputs for layout in ("shared", "packed"))
    assert shared.packing is not None and packed.packing is not None
    assert shared.packing.segments == packed.packing.segments
    assert torch.equal(shared.token_ids_RL, packed.token_ids_RL)


@pytest.mark.parametrize("layout", ["padded", "packed", "shared"])
def test_a_model_with_a_state_in_the_place_of_attention_is_refused(layout: Layout) -> None:
    sizes = {"vocab_size": 99, "hidden_size": 32, "num_hidden_layers": 2, "state_size": 8}
    model = MambaForCausalLM(MambaConfig(**sizes)).eval()
    assert not attends_plainly(model.config)
    if layout == "padded":
        check_scorer("m", TokenScorer(model, 1.0, 64), layout, "float32")
        return
    with pytest.raises(ValueError, match=r"row without padding .* MambaForCausalLM .* set trainer.layout=padded"):
        check_scorer("m", TokenScorer(model, 1.0, 64), layout, "float32")
