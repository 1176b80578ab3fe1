"""Recorded token ids are held against the tokenizer, and texts get ids; what does not fit names its row."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from transformers import PreTrainedTokenizerBase

from raysgpo.offline.tokens import with_tokens
from raysgpo.policy.prompts import encode
from raysgpo.records import Group, Role, Rollout, Segment
from raysgpo.tiny.tokenizer import byte_tokenizer

END = 260
Make = Callable[..., Group]


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerBase:
    return byte_tokenizer(100)


@pytest.fixture
def texts(make_group: Make, make_rollout: Callable[..., Rollout]) -> Make:
    def make(*texts: str, **changes: object) -> Group:
        return make_group(2, [make_rollout(text, segments=(), **changes) for text in texts])

    return make


@pytest.fixture
def recorded(texts: Make, tokenizer: PreTrainedTokenizerBase) -> Callable[..., Group]:
    """One response with the ids of another text, or another prompt, than it says."""

    def make(text: str, ids: list[int], prompt: list[int] | None = None) -> Group:
        group = texts(text)
        given = Segment.given(Role.PROMPT, prompt or encode(tokenizer, group.problem).token_ids)
        answer = Segment.sampled(np.array(ids, dtype=np.int32), np.full(len(ids), -1, dtype=np.float32))
        return group.with_rollouts([replace(group.rollouts_G[0], segments=(given, answer))])

    return make


def same(found: Group, expected: Group) -> bool:
    """Whether the ids are the same objects and nothing else has changed but for the places in the text."""
    places = [replace(r, text_ends_T=None) for r in found.rollouts_G]
    return all(r.text_ends_T is not None for r in found.rollouts_G) and found.with_rollouts(places) == expected


def test_a_text_becomes_the_tokens_that_would_have_been_sampled(
    texts: Make, tokenizer: PreTrainedTokenizerBase
) -> None:
    [group] = with_tokens([texts("1+1=3\n#### 3")], tokenizer, "f")
    prompt, answer = group.rollouts_G[0].segments
    assert prompt.token_ids_T.tolist() == encode(tokenizer, group.problem).token_ids
    assert answer.token_ids_T.tolist() == [*b"1+1=3\n#### 3", END], "a response that ended says so"
    assert (answer.loss_weight_T == 1).all() and np.isnan(answer.logprobs_T).all()


def test_a_response_that_was_cut_off_has_no_end(texts: Make, tokenizer: PreTrainedTokenizerBase) -> None:
    [group] = with_tokens([texts("1+1", finish_reason="length")], tokenizer, "f")
    assert group.rollouts_G[0].segments[1].token_ids_T.tolist() == list(b"1+1")


def test_guidance_at_the_start_of_a_text_was_not_sampled(texts: Make, tokenizer: PreTrainedTokenizerBase) -> None:
    [group] = with_tokens([texts("1+1=3\n#### 3", guidance_characters=4)], tokenizer, "f")
    prompt, guidance, answer = group.rollouts_G[0].segments
    assert (prompt.role, guidance.role, answer.role) == (Role.PROMPT, Role.GUIDANCE, Role.COMPLETION)
    assert guidance.token_ids_T.tolist() == list(b"1+1=") and (guidance.loss_weight_T == 0).all()
    assert answer.token_ids_T.tolist() == [*b"3\n#### 3", END]


def test_recorded_ids_stay_as_they_are(recorded: Make, tokenizer: PreTrainedTokenizerBase) -> None:
    group = recorded("Ω", [*"Ω".encode(), END])
    assert same(with_tokens([group], tokenizer, "f")[0], group)
    cut = recorded("a�", [*b"a", "Ω".encode()[0]])
    assert same(with_tokens([cut], tokenizer, "f")[0], cut), "a character whose last byte was not sampled"
    stopped = recorded("a", list(b"a;"))
    assert same(with_tokens([stopped], tokenizer, "f")[0], stopped), "the stop string is in the ids alone"


@pytest.mark.parametrize(("place", "text"), [(None, "abc"), (2, "c")])
def test_guidance_may_stand_behind_the_prompt_or_within_it(
    texts: Make, tokenizer: PreTrainedTokenizerBase, place: int | None, text: str
) -> None:
    """Within the prompt it is no part of the answer."""
    group = texts(text, guidance_characters=2 if place is None else 0)
    asked = encode(tokenizer, group.problem).token_ids
    at = len(asked) if place is None else place
    given = [Segment.given(Role.PROMPT, asked[:at]), Segment.given(Role.GUIDANCE, list(b"ab"))]
    rest = [Segment.given(Role.PROMPT, asked[at:])] if place is not None else []
    answer = Segment.sampled(np.array([*b"c", END], dtype=np.int32), np.full(2, -1, dtype=np.float32))
    guided = group.with_rollouts([replace(group.rollouts_G[0], segments=(*given, *rest, answer))])
    assert same(with_tokens([guided], tokenizer, "f")[0], guided)


def test_each_token_has_its_place_in_the_text(texts: Make, recorded: Make, tokenizer: PreTrainedTokenizerBase) -> None:
    """Behind what was given; of a character only its last byte says something, and the end of the turn nothing."""
    free, guided = texts("aΩb"), texts("aΩb", guidance_characters=1)
    cut, stopped = recorded("a�", [*b"a", "Ω".encode()[0]]), recorded("a", list(b"a;"))
    found = with_tokens([free, guided, cut, stopped], tokenizer, "f")
    ends = [group.rollouts_G[0].text_ends_T for group in found]
    assert [e.tolist() for e in ends if e is not None] == [[1, 1, 2, 3, 3], [0, 1, 2, 2], [1, 1], [1, 1]]


def test_ids_of_another_tokenizer_are_refused(recorded: Make, tokenizer: PreTrainedTokenizerBase) -> None:
    for group, message in [
        (recorded("ab", [97, 50_000]), "token id 50000, and the model's tokenizer has 261"),
        (recorded("ab", list(b"cd")), "its token ids spell another text"),
        (recorded("ab", list(b"ab"), prompt=[1, 2, 3]), "the prompt's token ids are not those"),
    ]:
        with pytest.raises(ValueError) as caught:
            with_tokens([group], tokenizer, "f")
        assert str(caught.value).startswith(f"f, row 3, response 1: {message}")
        assert "remove 'segments' from the file" in str(caught.value)


def test_a_text_that_the_tokenizer_does_not_give_back_is_refused(
    texts: Make, tokenizer: PreTrainedTokenizerBase
) -> None:
    with pytest.raises(ValueError, match=r"^f, row 3, response 2: the text does not come back"):
        with_tokens([texts("fine", "it <|end|> ends here")], tokenizer, "f")


def test_a_response_that_the_model_cannot_take_is_refused(texts: Make, tokenizer: PreTrainedTokenizerBase) -> None:
    group = texts("x" * 50)
    size = len(encode(tokenizer, group.problem).token_ids) + 51
    assert with_tokens([group], tokenizer, "f", size)
    with pytest.raises(ValueError, match=rf"row 3, response 1: {size} tokens with its prompt, and the model takes"):
        with_tokens([group], tokenizer, "f", size - 1)
    with pytest.raises(ValueError, match="an empty response that was cut off has no token"):
        with_tokens([texts("", finish_reason="length")], tokenizer, "f")
