from __future__ import annotations

import pytest
import torch
from transformers import Qwen3Config, Qwen3ForCausalLM

from raysgpo.policy.prompts import encode
from raysgpo.tasks.arithmetic import Chain
from raysgpo.tiny.sft import batch, batches, teach, torch_setting
from raysgpo.tiny.tokenizer import VOCABULARY_SIZE, byte_tokenizer


def test_only_the_response_and_its_end_carry_loss() -> None:
    tokenizer = byte_tokenizer(64)
    ids_BT, labels_BT = batch(tokenizer, [("1+2=?", "1+2=3\n#### 3"), ("1=?", "1")])
    for row, (prompt, response) in enumerate([("1+2=?", "1+2=3\n#### 3"), ("1=?", "1")]):
        real = ids_BT[row][ids_BT[row] != tokenizer.pad_token_id]
        assert tokenizer.decode(real) == f"<|user|>{prompt}<|end|><|assistant|>{response}<|end|>"
        trained = labels_BT[row][labels_BT[row] != -100]
        assert tokenizer.decode(trained) == f"{response}<|end|>"
        where = labels_BT[row] != -100
        assert torch.equal(ids_BT[row][where], labels_BT[row][where])


def test_training_sees_a_prompt_as_the_run_does() -> None:
    tokenizer, problem = byte_tokenizer(64), Chain((3, 4), "+").problem()
    ids_BT, labels_BT = batch(tokenizer, [(problem.prompt, "7")])
    assert ids_BT[0][labels_BT[0] == -100].tolist() == encode(tokenizer, problem).token_ids


def test_batches_take_the_pairs_in_order_and_end_with_them() -> None:
    tokenizer = byte_tokenizer(64)
    pairs = [("1", "a"), ("22", "bb"), ("333", "c")]
    taken = list(batches(tokenizer, iter(pairs), 2))
    for (ids_BT, labels_BT), expected in zip(taken, (pairs[:2], pairs[2:]), strict=True):
        assert all(torch.equal(a, b) for a, b in zip((ids_BT, labels_BT), batch(tokenizer, expected), strict=True))


@pytest.mark.slow
def test_a_taught_answer_becomes_likely() -> None:
    tokenizer = byte_tokenizer(64)
    with torch_setting(1, seed=3):
        settings = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "head_dim": 8}
        heads = {"num_attention_heads": 2, "num_key_value_heads": 2}
        model = Qwen3ForCausalLM(Qwen3Config(vocab_size=VOCABULARY_SIZE, **settings, **heads))
        pairs = iter([("2+2=?", "4")] * 160)
        said: list[str] = []
        teach(model, batches(tokenizer, pairs, 4), 40, 1e-2, said.append, "sums")
    ids_BT, labels_BT = batch(tokenizer, [("2+2=?", "4")])
    logp_TV = torch.log_softmax(model(input_ids=ids_BT).logits[0, :-1], dim=-1)
    answer_T = labels_BT[0, 1:] != -100
    assert logp_TV[answer_T].gather(-1, ids_BT[0, 1:][answer_T, None]).exp().min() > 0.3  # untaught: 1 in 261
    assert said[-1].startswith("sums: step 40/40, loss ")
