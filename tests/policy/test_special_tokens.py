"""Special tokens of a tokenizer, and stop strings that are some of them."""

from __future__ import annotations

from transformers import AddedToken

from raysgpo.policy.special_tokens import divided_stop, special_ids
from raysgpo.tiny.tokenizer import END, SPECIAL_TOKENS, byte_tokenizer


def test_special_tokens_have_their_ids_and_other_added_ones_are_text() -> None:
    tokenizer = byte_tokenizer(100)
    assert special_ids(tokenizer) == {token: 256 + place for place, token in enumerate(SPECIAL_TOKENS)}
    tokenizer.add_tokens([AddedToken("<answer>"), AddedToken("<|stop|>", special=True)])
    assert special_ids(tokenizer) == special_ids(byte_tokenizer(100)) | {"<|stop|>": 262}


def test_stop_strings_that_are_special_tokens_become_ids() -> None:
    special = special_ids(byte_tokenizer(100))
    assert divided_stop(["\n\n", END, "<answer>"], special) == (["\n\n", "<answer>"], [special[END]])
    assert divided_stop((), special) == ([], [])
