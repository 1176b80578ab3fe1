"""Everything that can be known, and can be wrong, before a cluster is touched."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path

from transformers import AutoConfig, PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import CONFIG_NAME, cached_file
from transformers.utils.logging import disable_progress_bar, set_verbosity_error

from raysgpo.config import (
    AlgorithmConfig,
    Config,
    JudgeConfig,
    TrainerConfig,
    doubtful_algorithm,
    doubtful_optimizer,
)
from raysgpo.config.model_path import POLICIES, SMOLLM2, TINY, check_judge_path, check_model_path
from raysgpo.config.overrides import ConfigError
from raysgpo.config.places import check_writable, in_store, user_path
from raysgpo.config.resolved import ResolvedConfig
from raysgpo.config.trainer import VARLEN
from raysgpo.data.plain_json import unwritable
from raysgpo.groups.prepared import Prepared
from raysgpo.output import checkpoint
from raysgpo.output.run_folder import RunFolder
from raysgpo.planning.model_shape import ModelShape
from raysgpo.planning.plan import check_fits
from raysgpo.policy.layout import choose_layout
from raysgpo.policy.loading import check_loadable
from raysgpo.policy.model_size import parameters
from raysgpo.policy.plain_attention import attends_plainly
from raysgpo.policy.prompts import (
    TODAY,
    brief_error,
    check_template_arguments,
    encode_fitting,
    load_tokenizer,
    shows_date,
)
from raysgpo.policy.snapshot import check_fit
from raysgpo.policy.special_tokens import special_ids
from raysgpo.records import Problem
from raysgpo.start.chosen_prompts import fitting, of_an_epoch
from raysgpo.start.engine_names import ENGINE, SERVER, check_arguments
from raysgpo.start.engines import resolved_judge, resolved_rollout, timed_judge
from raysgpo.start.evaluated_sets import answers_of, encoded_set, longest_sequence, run_sets
from raysgpo.start.guidance_tokens import longest_prompt, resolved_guidance, with_trajectories
from raysgpo.start.hub import ask_hub
from raysgpo.start.judge_questions import Question, known_answers, longest_answers
from raysgpo.start.machine import Machine, with_machine
from raysgpo.stores.stored_model import fetch_model
from raysgpo.tasks.loaded import load_task
from raysgpo.tasks.one_row import check_on_one_row
from raysgpo.tasks.task import Task
from raysgpo.tasks.turns import turns_before
from raysgpo.tiny.embedded import embedded_policy
from raysgpo.tiny.smollm2 import ensure_smollm2
from raysgpo.tiny.tiny_judge import ensure_tiny_judge


def prepare(
    config: Config, say: Callable[[str], None], to_judge: Sequence[tuple[Problem, str]] | None = None
) -> Prepared:
    """Find the model, read the data, encode the prompts, count the steps, size the engines.

    ``to_judge``: the answers that there will be to judge, where they are known.

    Raises:
        ConfigError: the model, the data or their sizes do not fit; the message names the setting.
    """
    quiet_libraries()
    try:
        loaded = load_task(config)
        check_on_one_row(loaded.task, config)
        before, problems = turns_before(config.task, loaded.train)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    task, report = loaded.task, loaded.report
    _check_records(task, config)
    if report.sources:
        say(report.line())
    report.drop(_ids(loaded.train) - _ids(problems), "task.examples shows it before every problem")
    check_arguments("rollout.engine", config.rollout.engine, ENGINE)
    config = config.model_copy(update={"algorithm": _with_threshold(config)})
    for doubt in _doubts(config, task):
        say(doubt)
    model = find_model(config, say)
    settings, trains = model_settings(model), config.steps != 0
    tokenizer = load_tokenizer(model)
    _check_stop(config, tokenizer)
    if shows_date(tokenizer):
        say(f"the chat template of model={config.model} shows the date; the policy is told {TODAY:%d %B %Y} throughout")
    context = context_length(config, model, tokenizer)
    architecture = _loadable(model, config.trainer) if trains else None
    if architecture is not None and config.resume is not None:
        _check_resumable(RunFolder.resumed(config), architecture)
    section = "evaluation" if config.evaluation.max_tokens is not None else "sampling"
    room = context - config.sampling.max_tokens, context - config.evaluation_tokens
    _check_room("sampling", room[0], config.sampling.max_tokens, context)
    _check_room(section, room[1], config.evaluation_tokens, context)
    check_template_arguments("task.chat_template_kwargs", tokenizer, config.task.chat_template_kwargs)
    fit = partial(encode_fitting, tokenizer, before=before, arguments=config.task.chat_template_kwargs)
    train = fitting(fit, problems, "training", room[0], config.task, report, say)
    held_out = fitting(fit, task.held_out, "held-out", room[1], config.task, report, say)
    train = of_an_epoch(config, train, report, say)
    report.train, report.held_out = len(train), len(held_out)
    if config.guidance.on:
        train = with_trajectories(tokenizer, train, task, config, context)
        config = config.model_copy(update={"guidance": resolved_guidance(config, train, context, say)})
    longest = max(
        longest_prompt(prompt, config.guidance.max_length) + tokens
        for prompts, tokens in ((train, config.sampling.max_tokens), (held_out, config.evaluation_tokens))
        for prompt in prompts
    )
    sets = tuple(encoded_set(tokenizer, one, context, say) for one in run_sets(config))
    longest = max(longest, *(longest_sequence(one, context) for one in sets), 0)
    config = with_machine(config, parameters(settings), Machine.here())
    asked = max(len(held_out) * config.evaluation.samples, answers_of(sets))
    rollout = resolved_rollout(config, settings, longest, len(train), asked)
    judge = config.judge
    if config.needs_judge:
        max_tokens = config.sampling.max_tokens
        known = None if to_judge is None else known_answers(to_judge, task)
        judge = ready_judge(config, known or longest_answers(train, tokenizer, task, max_tokens), say)
    trainer = _with_layout(config, model, say)
    if architecture is not None and trainer.attention_parity is None:
        parity = ModelShape.of(architecture).attention_parity
        trainer = trainer.model_copy(update={"attention_parity": parity})
    config = config.model_copy(update={"model": model, "rollout": rollout, "judge": judge, "trainer": trainer})
    if architecture is not None:
        check_fits(ModelShape.of(architecture), config, longest)
    total = _total_steps(config, len(train))
    return Prepared(ResolvedConfig.of(config), task, train, held_out, total, report, sets)


def quiet_libraries() -> None:
    """What they would say is ours to report."""
    disable_progress_bar()
    set_verbosity_error()  # a prompt that is too long
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # a hub that cannot be reached, once


def _ids(problems: Iterable[Problem]) -> set[str]:
    return {problem.id for problem in problems}


def _check_room(section: str, left: int, max_tokens: int, context: int) -> None:
    if left < 1:
        raise ConfigError(
            f"{section}.max_tokens={max_tokens} leaves no room for a prompt: the model takes "
            f"{context} tokens; lower {section}.max_tokens"
        )


def _check_records(task: Task, config: Config) -> None:
    """Refuse a problem that the run could not write into its records."""
    for problem in (*task.train, *task.held_out):
        row = [problem.id, problem.turns, problem.prompt, problem.answer, problem.reference, problem.metadata]
        if (why := unwritable(row)) is not None:
            raise ConfigError(
                f"task.kind={config.task.kind}: the problem {problem.id!a} cannot be written down: {why}; "
                "give its id, texts and metadata as JSON values"
            )


def _with_threshold(config: Config) -> AlgorithmConfig:
    """The algorithm with the task's own threshold where it needs one and none was given."""
    algorithm = config.algorithm
    if algorithm.r_min_correct is not None or not algorithm.compared_with.threshold:
        return algorithm
    return algorithm.model_copy(update={"r_min_correct": config.task.row.threshold})


def _doubts(config: Config, task: Task) -> Iterator[str]:
    yield from doubtful_algorithm(config.algorithm, *task.reward_range)
    yield from doubtful_optimizer(config.optimizer, config.prompts_per_step)


def find_model(config: Config, say: Callable[[str], None]) -> str:
    """The folder or hub name of the policy to start from; makes an embedded one if it is asked for."""
    check_model_path(config.model)
    if in_store(config.model):
        return str(fetch_model(config.model, user_path(config.scratch).absolute()))
    if config.model not in POLICIES:
        return _found(config.model, "model")
    return str(embedded_policy(config.model, config.task, _model_cache(config), say))


def ready_judge(config: Config, questions: Sequence[Question], say: Callable[[str], None]) -> JudgeConfig:
    """The judge's settings with every automatic value filled in; a checkpoint of its own is found, or made.

    Raises:
        ConfigError: its model cannot be used, or not for these questions.
    """
    judge = find_judge(config, say)
    if judge.kind != "replicas":
        return timed_judge(judge)
    assert judge.model is not None, "the configuration refuses judge.kind=replicas without judge.model"
    check_arguments("judge.engine", judge.engine, ENGINE, SERVER)
    try:
        settings, tokenizer = model_settings(judge.model), load_tokenizer(judge.model)
    except ConfigError as error:
        raise ConfigError(f"judge.{error}") from None
    check_template_arguments("judge.chat_template_kwargs", tokenizer, judge.chat_template_kwargs)
    return resolved_judge(judge, settings, tokenizer, questions)


def find_judge(config: Config, say: Callable[[str], None]) -> JudgeConfig:
    """The judge's settings with its checkpoint found; the tiny one is made if it is asked for."""
    judge = config.judge
    if judge.kind != "replicas":
        return judge
    assert judge.model is not None, "the configuration refuses judge.kind=replicas without judge.model"
    check_judge_path(judge.model)
    if judge.model == TINY:
        return judge.model_copy(update={"model": str(ensure_tiny_judge(_model_cache(config), report=say))})
    if judge.model == SMOLLM2:
        return judge.model_copy(update={"model": str(ensure_smollm2(_model_cache(config), say))})
    return judge.model_copy(update={"model": _found(judge.model, "judge.model")})


def _model_cache(config: Config) -> Path:
    """Raises ConfigError if no model can be made there."""
    try:
        check_writable("model_cache", config.model_cache_root)
    except ValueError as error:
        raise ConfigError(str(error)) from None
    return config.model_cache_root


def _found(model: str, setting: str) -> str:
    """Workers have other working directories: a folder by its whole path, a hub name as it is.

    Raises:
        ConfigError: the hub does not have it, or cannot be reached and there is no copy of it here.
    """
    path = user_path(model)
    if path.is_dir():
        return str(path.absolute())
    ask_hub()
    try:
        cached_file(model, CONFIG_NAME)
    except Exception as error:  # the network's and the proxy's errors are of many kinds
        raise ConfigError(
            f"{setting}={model}: neither a folder nor a model that can be fetched: {brief_error(error)}"
        ) from None
    return model


def _loadable(model: str, trainer: TrainerConfig) -> PreTrainedModel:
    """The architecture, without weights."""
    try:
        return check_loadable(model, trainer)
    except ValueError as error:
        raise ConfigError(str(error)) from error


def _check_resumable(run: RunFolder, architecture: PreTrainedModel) -> None:
    """Refuse a run whose model has become another one."""
    for step in checkpoint.steps(run.checkpoints)[:1]:
        try:
            check_fit(checkpoint.folder_of(run.checkpoints, step), architecture)
        except FileNotFoundError:
            return  # a corrupt one is passed over, or refused, where all of it is looked at
        except ValueError as error:
            raise ConfigError(f"resume={run.path}: {error}") from None


def _with_layout(config: Config, model: str, say: Callable[[str], None]) -> TrainerConfig:
    """The trainer with its kernel and layout chosen; that a prompt must be computed once an answer is said."""
    trainer, plain = config.trainer, attends_plainly(_settings(model))
    ours = plain and trainer.layout != "padded"
    chosen = {"attention": trainer.attention or (VARLEN if ours else "sdpa")}
    if trainer.layout == "shared" and not plain:
        chosen["layout"] = "padded"
    trainer = trainer.model_copy(update=chosen)
    layout = choose_layout(trainer)
    if layout == "padded" and config.trainer.layout != "padded" and not plain:
        say(
            f"model={config.model} has layers that are not plain attention: a prompt is computed once for each of its "
            "answers in training"
        )
    return trainer.model_copy(update={"layout": layout})


def _check_stop(config: Config, tokenizer: PreTrainedTokenizerBase) -> None:
    """Refuse a stop string that no answer's text can hold: special tokens are left out of it."""
    special = special_ids(tokenizer)
    for text in config.sampling.stop:
        inside = [token for token in special if token in text]
        if inside and text not in special:
            raise ConfigError(
                f"sampling.stop={list(config.sampling.stop)}: {text!r} holds the special token {inside[0]}, which an "
                f"answer's text does not show, so it would stop nothing: give {inside[0]} alone"
            )


def context_length(config: Config, model: str, tokenizer: PreTrainedTokenizerBase) -> int:
    settings = model_settings(model)
    if len(tokenizer) > settings.vocab_size:
        raise ConfigError(
            f"model={config.model}: its tokenizer has {len(tokenizer)} tokens but the model embeds only "
            f"{settings.vocab_size}; the tokenizer belongs to another model"
        )
    limit: int | None = getattr(settings, "max_position_embeddings", None)
    asked = config.rollout.max_model_len
    context = asked or limit
    if context is None:
        raise ConfigError(f"model={config.model} does not say how many tokens it takes: set rollout.max_model_len")
    if limit is not None and context > limit:
        raise ConfigError(f"rollout.max_model_len={asked}: the model takes at most {limit} tokens")
    return context


def model_settings(model: str) -> PretrainedConfig:
    """What ``config.json`` says of the language model.

    Raises:
        ConfigError: it cannot be read.
    """
    return _settings(model).get_text_config()


def _settings(model: str) -> PretrainedConfig:
    try:
        return AutoConfig.from_pretrained(model, trust_remote_code=False)
    except Exception as error:  # whatever a file of the user's makes the loader stumble over
        raise ConfigError(f"model={model}: its config.json cannot be used: {brief_error(error)}") from None


def _total_steps(config: Config, prompts: int) -> int:
    if config.steps is not None:
        return config.steps
    return math.ceil(config.epochs * prompts / config.prompts_per_step)
