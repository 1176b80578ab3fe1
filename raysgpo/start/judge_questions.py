"""How long the questions to a judge may become, in the judge's own tokens, before there is any answer to judge.

The longest answer of the policy is not known. In its place stands the problem's own reference, over and over, up to
``sampling.max_tokens`` tokens of the policy: text of that kind, cut into steps and put to the judge as answers will be.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from transformers import PreTrainedTokenizerBase

from raysgpo.config import JudgeConfig
from raysgpo.groups.prepared import Prompt
from raysgpo.judging.compact import compact_prompt
from raysgpo.judging.prompt import judge_messages
from raysgpo.records import Problem
from raysgpo.tasks.task import Task

LOOKED_AT = 8
"""So many of the longest problems are encoded: the longest in characters need not be so in tokens."""

Question = tuple[Problem, Sequence[str]]
"""A problem and the steps of an answer."""


def longest_answers(
    prompts: Sequence[Prompt], tokenizer: PreTrainedTokenizerBase, task: Task, max_tokens: int
) -> list[Question]:
    """Questions about answers of ``max_tokens`` tokens of the policy's ``tokenizer`` to the longest problems."""
    longest = sorted((prompt.problem for prompt in prompts), key=_characters, reverse=True)[:LOOKED_AT]
    return [(problem, _steps(task, _stand_in(tokenizer, problem, max_tokens))) for problem in longest]


def known_answers(answers: Sequence[tuple[Problem, str]], task: Task) -> list[Question]:
    """Questions about the longest of these answers."""
    longest = sorted(answers, key=lambda one: _characters(one[0]) + len(one[1]), reverse=True)[:LOOKED_AT]
    return [(problem, _steps(task, text)) for problem, text in longest]


def question_tokens(judge: JudgeConfig, tokenizer: PreTrainedTokenizerBase, questions: Iterable[Question]) -> int:
    """Tokens of the longest question under the judge's chat template."""
    return max((len(_encoded(judge, tokenizer, problem, steps)) for problem, steps in questions), default=0)


def _characters(problem: Problem) -> int:
    return len(problem.conversation) + len(problem.reference or problem.answer)


def _stand_in(tokenizer: PreTrainedTokenizerBase, problem: Problem, max_tokens: int) -> str:
    text = problem.reference or problem.prompt
    ids = tokenizer(text.rstrip() + "\n\n", add_special_tokens=False)["input_ids"] or [0]
    many = (ids * -(-max_tokens // len(ids)))[:max_tokens]
    return str(tokenizer.decode(many, clean_up_tokenization_spaces=False))


def _steps(task: Task, text: str) -> list[str]:
    try:
        return task.split(text) or [text]
    except Exception:  # a task may raise anything: a group whose answers it cannot split is dropped in the run
        return [text]


def _encoded(
    judge: JudgeConfig, tokenizer: PreTrainedTokenizerBase, problem: Problem, steps: Sequence[str]
) -> list[int]:
    if judge.prompt == "compact":
        return list(tokenizer(compact_prompt(problem, steps), add_special_tokens=False)["input_ids"])
    messages = judge_messages(problem, steps, reference=judge.reference, in_json=judge.structured)
    if tokenizer.chat_template is None:
        text = "\n\n".join(message["content"] for message in messages)
    else:
        arguments = judge.chat_template_kwargs
        text = str(tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False, **arguments))
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])
