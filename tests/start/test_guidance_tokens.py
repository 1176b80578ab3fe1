"""References to trajectories: where they stand, what of them is text, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from transformers import PreTrainedTokenizerBase

from raysgpo.config import Config
from raysgpo.config.overrides import ConfigError, resolve
from raysgpo.groups.prepared import Prompt
from raysgpo.policy.prompts import encode
from raysgpo.records import Problem
from raysgpo.start.guidance_tokens import resolved_guidance, with_trajectories
from raysgpo.tasks.arithmetic import ArithmeticTask, Chain
from raysgpo.tiny.tokenizer import CHAT_TEMPLATE, byte_tokenizer

THINKING = CHAT_TEMPLATE.replace("{{ '<|assistant|>' }}", "{{ '<|assistant|><think>\n' }}")
"""Opens the thinking itself."""
KNOWS = CHAT_TEMPLATE + "{# cuts <think> out of earlier turns #}"
"""Knows of a thinking that the model opens."""
PROBLEM = Chain((3, 4, 2, 1), "+-+").problem()
"""3+4=7 / 7-2=5 / 5+1=6 / #### 6: of 24 characters the first 12 may be given."""
CONTEXT = 200


def config(*words: str) -> Config:
    return resolve({}, overrides=["guidance=guided", "task.terms=4", "task.prompts=1", *words])


def tokenizer(template: str | None = CHAT_TEMPLATE) -> PreTrainedTokenizerBase:
    made = byte_tokenizer(CONTEXT)
    made.chat_template = template
    return made


def prompts_of(
    *problems: Problem, words: tuple[str, ...] = (), template: str | None = CHAT_TEMPLATE, context: int = CONTEXT
) -> list[Prompt]:
    settings, encoder = config(*words), tokenizer(template)
    task = ArithmeticTask(settings.task, 1)
    return with_trajectories(encoder, [encode(encoder, p) for p in problems], task, settings, context)


def decoded(prompt: Prompt, length: int, template: str | None = CHAT_TEMPLATE) -> str:
    """Prompt and guidance as the model reads them."""
    assert prompt.trajectory is not None
    hint = prompt.trajectory.hint(length, 1)
    assert hint is not None
    ids = [*prompt.token_ids[: hint.at], *hint.token_ids, *prompt.token_ids[hint.at :]]
    return str(tokenizer(template).decode(ids))


def solved(reference: str, answer: str = "6", **metadata: Any) -> Problem:
    return Problem("row-7", "3+4-2+1=?", answer, reference, metadata)


def test_guidance_stands_behind_the_start_of_the_assistants_turn() -> None:
    [prompt] = prompts_of(PROBLEM)
    assert decoded(prompt, 8) == "<|user|>3+4-2+1=?<|end|><|assistant|>3+4=7\n7-"
    assert prompt.token_ids == encode(tokenizer(), PROBLEM).token_ids, "the prompt stays as it is"
    assert prompt.trajectory is not None
    assert (prompt.trajectory.text, prompt.trajectory.opener_ids) == ("3+4=7\n7-2=5\n", ())


def test_without_a_template_it_follows_the_text() -> None:
    [prompt] = prompts_of(PROBLEM, template=None)
    assert decoded(prompt, 3) == "3+4-2+1=?3+4"


def test_where_the_template_opens_the_thinking_guidance_stands_in_it() -> None:
    [prompt] = prompts_of(PROBLEM, template=THINKING)
    assert decoded(prompt, 3, THINKING).endswith("<|assistant|><think>\n3+4")
    assert prompt.trajectory is not None and prompt.trajectory.opener == ""


def test_where_the_model_would_open_it_the_guidance_does() -> None:
    [prompt] = prompts_of(PROBLEM, template=KNOWS)
    assert decoded(prompt, 3).endswith("<|assistant|><think>\n3+4")
    hint = prompt.trajectory and prompt.trajectory.hint(3, 1)
    assert hint and hint.text == "<think>\n3+4" and len(hint.token_ids) == len("<think>\n") + 3


def test_a_thinking_that_is_closed_already_is_not_opened_again() -> None:
    closed = THINKING.replace("<think>\n", "<think>\n\n</think>\n\n")
    [prompt] = prompts_of(PROBLEM, template=closed)
    assert decoded(prompt, 3).endswith("</think>\n\n3+4")


@pytest.mark.parametrize("template", [THINKING, KNOWS])
def test_of_a_reference_that_thinks_the_thoughts_are_given_once_opened(template: str) -> None:
    thinks = solved("<think>\n3+4=7\n7-2=5\n5+1=6\n#### 6</think>\nFirst 7, then 5.\n#### 6")
    [prompt] = prompts_of(thinks, words=("guidance.max_fraction=1",), template=template)
    assert decoded(prompt, 99, template).endswith("<|assistant|><think>\n3+4=7\n7-2=5\n")


def test_the_naive_placement_is_the_end_of_the_users_turn() -> None:
    [prompt] = prompts_of(PROBLEM, words=("guidance.placement=prompt",))
    assert decoded(prompt, 7) == "<|user|>3+4-2+1=?\n3+4=7\n<|end|><|assistant|>"
    assert prompt.trajectory is not None and not prompt.trajectory.in_answer
    assert prompt.token_ids == encode(tokenizer(), PROBLEM).token_ids


def test_a_template_that_changes_the_prompt_has_no_end_to_find() -> None:
    shouting = CHAT_TEMPLATE.replace("message['content']", "message['content'] | replace('+', ' plus ')")
    with pytest.raises(ConfigError, match=r"guidance\.placement=prompt: the chat template changes the prompt"):
        prompts_of(PROBLEM, words=("guidance.placement=prompt",), template=shouting)
    assert prompts_of(PROBLEM, template=shouting)[0].trajectory is not None


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("guidance.max_fraction=0.25",), "3+4=7\n"),
        (("guidance.max_fraction=0.2",), "3+4="),
        (("sampling.max_tokens=6",), "3+4=7"),  # one token is left to sample
        (("guidance.max_fraction=1",), "3+4=7\n7-2=5\n"),  # never what states the answer
    ],
)
def test_what_may_be_given_is_bounded(words: tuple[str, ...], text: str) -> None:
    [prompt] = prompts_of(PROBLEM, words=words)
    assert prompt.trajectory is not None and prompt.trajectory.text == text


def test_guidance_in_the_prompt_leaves_room_for_the_whole_answer() -> None:
    [prompt] = prompts_of(PROBLEM, words=("guidance.placement=prompt", "sampling.max_tokens=100"), context=117)
    # 12 tokens of prompt and 100 of answer leave 5.
    assert prompt.trajectory is not None and prompt.trajectory.text == "\n3+4="


def test_characters_of_several_bytes_are_given_whole() -> None:
    [prompt] = prompts_of(solved("Ωß🙂 first\nthen\n#### 6"), words=("guidance.max_fraction=1",))
    assert [decoded(prompt, n).partition("<|assistant|>")[2] for n in (2, 3, 4, 7, 8)] == ["Ω", "Ω", "Ωß", "Ωß", "Ωß🙂"]


def test_a_data_set_without_trajectories_is_refused_with_its_rows() -> None:
    bare = [Problem(f"row-{i}", "1+1=?", "2", None if i % 2 else " ") for i in range(7)]
    with pytest.raises(ConfigError) as caught:
        prompts_of(PROBLEM, *bare)
    message = str(caught.value)
    assert message.startswith("guidance.schedule=fixed needs the true reasoning of every training problem, but 7 of 8")
    assert "(row-0, row-1, row-2, row-3, row-4, ...)" in message and "guidance=none" in message


@pytest.mark.parametrize("ids", [[51, 43], [5000], [-1], ["a"], "text", [True]])
def test_a_trajectory_in_another_tokenizers_ids_is_refused(ids: object) -> None:
    with pytest.raises(ConfigError, match=r"solution_ids of 1 of 1 rows \(row-7\) are not the ids that the tokenizer"):
        prompts_of(solved("3+4=7\n#### 6", solution_ids=ids))


def test_ids_of_this_tokenizer_are_taken() -> None:
    reference = PROBLEM.reference or ""
    [prompt] = prompts_of(solved(reference, solution_ids=list(reference.encode())))
    assert prompt.trajectory is not None and prompt.trajectory.text == "3+4=7\n7-2=5\n"


def lengths(*words: str, problems: tuple[Problem, ...] = (PROBLEM,), context: int = CONTEXT) -> tuple[Any, list[str]]:
    said: list[str] = []
    settings = config(*words)
    found = resolved_guidance(settings, prompts_of(*problems, words=words, context=context), context, said.append)
    return (found.length, found.max_length), said


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ((), (12, 12)),  # the longest prefix there is
        (("sampling.max_tokens=12",), (9, 9)),  # three quarters of the answer
        (("guidance.length=5",), (5, 5)),
        (("guidance.length=5", "guidance.schedule=adaptive"), (5, 12)),
        (("guidance.length=40",), (40, 40)),
        (("guidance.max_length=7", "guidance.schedule=adaptive"), (7, 7)),
        (("guidance.length=3", "guidance.max_length=7", "guidance.schedule=adaptive"), (3, 7)),
        (("guidance.placement=prompt",), (13, 13)),
    ],
)
def test_lengths_that_are_not_given_follow_from_the_trajectories(
    words: tuple[str, ...], expected: tuple[int, int]
) -> None:
    assert lengths(*words) == (expected, [])


def test_a_share_that_rounds_to_no_rollout_is_a_warning() -> None:
    _, said = lengths("guidance.ratio=0.05")
    assert said == ["guidance is off: guidance.ratio=0.05 of sampling.group_size=8 rounds to no rollout"]


def test_problems_without_a_step_before_the_answer_are_counted() -> None:
    _, said = lengths(problems=(PROBLEM, solved("#### 6")))
    assert said == ["1 of 2 trajectories have no step before the answer: no guidance"]
    with pytest.raises(ConfigError, match="none of the 1 trajectories has a step to give before its answer"):
        lengths(problems=(solved("#### 6"),))


def test_a_length_that_the_context_does_not_take_is_refused_with_the_numbers() -> None:
    with pytest.raises(ConfigError) as caught:
        lengths("guidance.placement=prompt", "guidance.length=50", "sampling.max_tokens=100", context=150)
    assert str(caught.value) == (
        "guidance.length=50: the model takes 150 tokens, the shortest prompt has 12 and an answer may have "
        "sampling.max_tokens=100; set guidance.length to 38 or less"
    )
