"""Problems to token ids: the chat template, and what does not fit."""

from __future__ import annotations

from pathlib import Path

import pytest
from transformers import PreTrainedTokenizerBase

from raysgpo.policy.prompts import encode, encode_fitting, load_tokenizer
from raysgpo.records import Problem
from raysgpo.tiny.tokenizer import byte_tokenizer


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> PreTrainedTokenizerBase:
    folder = tmp_path_factory.mktemp("tokenizer")
    byte_tokenizer(100).save_pretrained(folder)
    return load_tokenizer(str(folder))


def problem(text: str) -> Problem:
    return Problem(id=text or "empty", prompt=text, answer="0")


def test_a_problem_is_the_users_turn_up_to_where_the_answer_begins(tokenizer: PreTrainedTokenizerBase) -> None:
    ids = encode(tokenizer, problem("1+1=?")).token_ids
    assert tokenizer.decode(ids) == "<|user|>1+1=?<|end|><|assistant|>"
    assert ids[1:6] == list(b"1+1=?") and len(ids) == 8


def test_a_tokenizer_without_a_template_gets_the_text_as_it_is() -> None:
    plain = byte_tokenizer(100)
    plain.chat_template = None
    assert encode(plain, problem("Ω")).token_ids == list("Ω".encode())


def test_prompts_that_do_not_fit_are_named_and_the_others_stay_in_order(tokenizer: PreTrainedTokenizerBase) -> None:
    problems = [problem("1" * n) for n in (5, 6, 1, 9)]
    prompts, too_long = encode_fitting(tokenizer, problems, 8)
    assert [prompt.problem for prompt in prompts] == [problems[0], problems[2]]
    assert [len(prompt.token_ids) for prompt in prompts] == [8, 4]
    assert too_long == ["111111", "111111111"]


def test_if_none_fits_the_shortest_is_named_with_the_fix(tokenizer: PreTrainedTokenizerBase) -> None:
    with pytest.raises(ValueError, match=r"none of the 2 prompts fits: the shortest has 7 tokens .* takes 6 beside"):
        encode_fitting(tokenizer, [problem("12345"), problem("1234")], 6)


def test_a_folder_is_loaded_from_disk(tokenizer: PreTrainedTokenizerBase, tmp_path: Path) -> None:
    tokenizer.save_pretrained(tmp_path)
    assert encode(load_tokenizer(str(tmp_path)), problem("x")) == encode(tokenizer, problem("x"))
