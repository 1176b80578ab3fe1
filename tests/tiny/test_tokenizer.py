from __future__ import annotations

from pathlib import Path

import jinja2
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from raysgpo.tiny.tokenizer import SPECIAL_TOKENS, VOCABULARY_SIZE, byte_tokenizer


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> PreTrainedTokenizerBase:
    """The tokenizer as others load it from its folder."""
    folder: Path = tmp_path_factory.mktemp("tokenizer")
    byte_tokenizer(64).save_pretrained(folder)
    tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(folder)
    return tokenizer


@settings(deadline=None)
@given(text=st.text(st.characters(exclude_categories=["Cs"])))
def test_token_ids_are_the_bytes_of_the_text_and_decode_to_it(saved: PreTrainedTokenizerBase, text: str) -> None:
    assume(not any(mark in text for mark in SPECIAL_TOKENS))
    ids = saved.encode(text)
    assert ids == list(text.encode())
    assert saved.decode(ids) == text


def test_a_spelled_turn_mark_becomes_the_mark_and_is_still_not_lost(saved: PreTrainedTokenizerBase) -> None:
    ids = saved.encode("a<|end|>b")
    assert ids == [*b"a", 260, *b"b"]
    assert saved.decode(ids) == "a<|end|>b"


@pytest.mark.parametrize(
    "text", ["héllo wörld", "数学は楽しい", "عربى", "👩🏽‍🔬", " a  b \t\r\n\n", "do n't , .", "\x00\x7f"]
)
def test_text_of_any_language_survives(saved: PreTrainedTokenizerBase, text: str) -> None:
    assert saved.decode(saved.encode(text), skip_special_tokens=True) == text


def test_the_vocabulary_is_the_bytes_and_the_turn_marks(saved: PreTrainedTokenizerBase) -> None:
    assert len(saved) == VOCABULARY_SIZE == 261
    assert saved.convert_tokens_to_ids(list(SPECIAL_TOKENS)) == [256, 257, 258, 259, 260]
    assert (saved.eos_token, saved.pad_token) == ("<|end|>", "<|pad|>")
    assert saved.model_max_length == 64


def test_a_chat_becomes_turns_that_end_with_the_end_of_sequence(saved: PreTrainedTokenizerBase) -> None:
    chat = [
        {"role": "system", "content": "Be brief.\n"},
        {"role": "user", "content": " 3+4=? "},
        {"role": "assistant", "content": "7"},
    ]
    text = saved.apply_chat_template(chat, tokenize=False)
    assert text == "<|system|>Be brief.\n<|end|><|user|> 3+4=? <|end|><|assistant|>7<|end|>"
    ids = saved.encode(text)
    assert ids.count(saved.eos_token_id) == 3 and ids[-1] == saved.eos_token_id


def test_the_generation_prompt_opens_the_assistants_turn(saved: PreTrainedTokenizerBase) -> None:
    encoded = saved.apply_chat_template([{"role": "user", "content": "é"}], add_generation_prompt=True)
    assert encoded["input_ids"] == [258, *"é".encode(), 260, 259]


def test_special_tokens_vanish_when_skipped(saved: PreTrainedTokenizerBase) -> None:
    assert saved.decode([*b"7", 260, 256], skip_special_tokens=True) == "7"


def test_an_unknown_role_is_an_error(saved: PreTrainedTokenizerBase) -> None:
    with pytest.raises(jinja2.TemplateError, match="unknown role tool"):
        saved.apply_chat_template([{"role": "tool", "content": "x"}], tokenize=False)
