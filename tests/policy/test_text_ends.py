"""Where each token of an answer ends in its text, under tokenizers of several kinds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, normalizers
from transformers import PreTrainedTokenizerFast

from raysgpo.policy.text_ends import text_ends
from raysgpo.tiny.tokenizer import END, byte_tokenizer

BYTES = byte_tokenizer(4096)
TURN = BYTES.convert_tokens_to_ids(END)


def words() -> PreTrainedTokenizerFast:
    """Whole words behind a blank, as SentencePiece has them: the first word of a text is written without it."""
    vocabulary = {"<unk>": 0, "\u2581so": 1, "\u2581x": 2, "=1": 3, ".": 4, "\n": 5}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Prepend("\u2581")
    tokenizer.decoder = decoders.Metaspace()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer)


def ends(tokenizer: object, before: list[int], ids: list[int], text: str) -> list[int] | None:
    found = text_ends(tokenizer, before, ids, text)
    return None if found is None else found.tolist()


def test_places_by_hand() -> None:
    assert ends(BYTES, [1, 2], [*"aΩ\n".encode(), TURN], "aΩ\n") == [1, 1, 2, 3, 3]
    assert ends(BYTES, [], [TURN, *b"ab"], "ab") == [0, 1, 2], "a special token says nothing"
    assert ends(BYTES, [], [], "") == []
    assert ends(words(), [1], [1, 2, 3, 4], " so x=1.") == [3, 5, 7, 8], "behind other words"
    assert ends(words(), [], [1, 2, 3, 4], "so x=1.") == [2, 4, 6, 7], "at the beginning"
    assert ends(words(), [1], [1, 2, 3, 4], "so x=1.") == [2, 4, 6, 7], "decoded without what stood before"


def test_a_text_may_end_before_its_tokens_do() -> None:
    assert ends(BYTES, [], list(b"ab;c"), "ab;") == [1, 2, 3, 3], "a stop string within a token"
    half = "漢".encode()[:2]
    assert ends(BYTES, [], [*b"a", *half], "a") == ends(BYTES, [], [*b"a", *half], "a\ufffd") == [1, 1, 1]


@pytest.mark.parametrize("tokenizer", [None, object()])
def test_without_such_a_decoder_nobody_tells(tokenizer: object) -> None:
    assert ends(tokenizer, [], list(b"ab"), "ab") is None


def test_a_text_of_other_tokens_is_not_placed() -> None:
    assert ends(BYTES, [], list(b"ab"), "ac") is None
    assert ends(BYTES, [], list(b"ab"), "abc") is None


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=40), st.text("abΩ漢", max_size=5))
def test_the_text_until_each_place_is_what_its_tokens_say(text: str, before: str) -> None:
    ids = list(text.encode())
    found = ends(BYTES, list(before.encode()), ids, text)
    assert found is not None and found == sorted(found) and found[-1:] == ([len(text)] if ids else [])
    for count, end in enumerate(found, start=1):
        assert bytes(ids[:count]).decode(errors="ignore") == text[:end]
