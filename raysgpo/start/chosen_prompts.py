"""Which problems a run trains and is evaluated on: those whose prompts fit, and that the curriculum leaves in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

from raysgpo.config import Config, TaskConfig
from raysgpo.config.overrides import ConfigError
from raysgpo.data.report import DataReport
from raysgpo.groups.curriculum import filtered
from raysgpo.groups.prepared import Prompt
from raysgpo.records import Problem


def fitting(
    fit: Callable[[Sequence[Problem], int], tuple[list[Prompt], list[str]]],
    problems: Sequence[Problem],
    which: str,
    room: int,
    task: TaskConfig,
    report: DataReport,
    say: Callable[[str], None],
) -> list[Prompt]:
    """The prompts that leave room for an answer and are as short as asked; which do not is said."""
    prompts, too_long = fit(problems, room)
    report.drop(too_long, f"its prompt is longer than {room} tokens")
    if too_long:
        first = too_long[0]
        say(f"{len(too_long)} {which} prompts are longer than {room} tokens and are left out (the first: {first})")
    return prompts if task.max_prompt_tokens is None else _short(prompts, which, task.max_prompt_tokens, report, say)


def _short(
    prompts: list[Prompt], which: str, most: int, report: DataReport, say: Callable[[str], None]
) -> list[Prompt]:
    """Those of at most ``most`` tokens.

    Raises:
        ConfigError: there is none.
    """
    short = [prompt for prompt in prompts if len(prompt.token_ids) <= most]
    if not short:
        least = min(len(prompt.token_ids) for prompt in prompts)
        raise ConfigError(
            f"task.max_prompt_tokens={most}: none of the {len(prompts)} {which} prompts is so short: the shortest has "
            f"{least} tokens; raise it"
        )
    if (longer := len(prompts) - len(short)) > 0:
        dropped = [prompt.problem.id for prompt in prompts if len(prompt.token_ids) > most]
        report.drop(dropped, f"its prompt is longer than task.max_prompt_tokens={most}")
        say(
            f"{longer} {which} prompts are longer than task.max_prompt_tokens={most} and are left out (the first: "
            f"{dropped[0]})"
        )
    return short


def of_an_epoch(config: Config, train: list[Prompt], report: DataReport, say: Callable[[str], None]) -> list[Prompt]:
    """The training prompts of an epoch; one that stands there again has another id, so another answer is sampled."""
    curriculum = config.curriculum
    try:
        indices = filtered([prompt.problem for prompt in train], curriculum, config.seed)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    times: Counter[int] = Counter()
    prompts = []
    for index in indices:
        times[index] += 1
        prompts.append(train[index] if times[index] == 1 else _again(train[index], times[index]))
    if (hard := len(train) - len(times)) > 0:
        fate = "left out" if len(prompts) < len(train) else f"replaced: {hard} easier ones stand in an epoch again"
        report.drop(
            (train[i].problem.id for i in range(len(train)) if i not in times), f"harder than {curriculum.above}"
        )
        say(f"{hard} training prompts are harder than {curriculum.above} and are {fate}")
    return prompts


def _again(prompt: Prompt, time: int) -> Prompt:
    return replace(prompt, problem=replace(prompt.problem, id=f"{prompt.problem.id}#{time}"))
