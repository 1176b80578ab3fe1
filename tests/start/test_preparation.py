"""What can be wrong before a cluster is touched, and what is worked out there."""

from __future__ import annotations

import json
import math
import re
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pytest

from raysgpo.config import TaskConfig
from raysgpo.config.overrides import ConfigError, resolve
from raysgpo.groups.prepared import Prepared
from raysgpo.start.preparation import prepare
from raysgpo.tasks.arithmetic import ArithmeticTask
from tests.start.small import SMALL, shape_of, untrained

SHAPE = shape_of(100)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained policy whose context is 100 tokens."""
    return untrained(tmp_path_factory.mktemp("model"), SHAPE)


def prepared(model: Path | str, *words: str) -> tuple[Prepared, list[str]]:
    said: list[str] = []
    config = resolve({}, overrides=[*SMALL, f"model={model}", *words])
    return prepare(config, said.append), said


def refused(model: Path | str, *words: str) -> str:
    with pytest.raises(ConfigError) as caught:
        prepared(model, *words)
    return str(caught.value)


def test_automatic_values_are_filled_in(model: Path) -> None:
    ready, said = prepared(model)
    # A chain of 4 terms of one digit has 7 characters, "=?" 2, the turns 3 marks.
    assert ready.config.rollout.max_model_len == 12 + 40
    assert (len(ready.train), len(ready.held_out), ready.config.model, said) == (20, 5, str(model), [])
    assert {p.problem.id for p in ready.train}.isdisjoint(p.problem.id for p in ready.held_out)


def test_the_threshold_of_the_verifier_task_is_a_coin_flip_unless_it_is_given(model: Path) -> None:
    task = ["task.kind=arithmetic_verifier", "task.terms=2", "sampling.max_tokens=8", "judge=none"]
    for words, expected in (
        (["algorithm=corpo"], math.log(0.5)),
        (["algorithm=static"], math.log(0.5)),
        (["algorithm=corpo", "algorithm.r_min_correct=-1"], -1.0),
        (["algorithm=grpo"], None),
    ):
        ready, said = prepared(model, *task, *words)
        assert ready.config.algorithm.r_min_correct == expected and said == []


@pytest.mark.parametrize(
    ("words", "steps"),
    [([], 5), (["epochs=2.1"], 11), (["prompts_per_step=7"], 3), (["steps=2", "epochs=9"], 2)],
)
def test_steps_follow_from_epochs_unless_they_are_given(words: list[str], steps: int, model: Path) -> None:
    assert prepared(model, *words)[0].total_steps == steps


def test_prompts_are_as_short_as_is_asked(model: Path) -> None:
    words = ["task.terms=[2,4]", "task.max_prompt_tokens=10", "sampling.max_tokens=20"]
    ready, said = prepared(model, *words)
    assert 0 < len(ready.train) < 20 and all(len(prompt.token_ids) <= 10 for prompt in (*ready.train, *ready.held_out))
    assert said[0].startswith(
        f"{20 - len(ready.train)} training prompts are longer than task.max_prompt_tokens=10 and are left out"
    )
    assert refused(model, "task.max_prompt_tokens=3").startswith(
        "task.max_prompt_tokens=3: none of the 20 training prompts is so short: the shortest has 10 tokens"
    )


def test_prompts_that_are_too_long_are_left_out_and_counted(model: Path) -> None:
    # 10 tokens hold a chain of 3 terms and its turns, 12 would be needed for 4.
    ready, said = prepared(model, "sampling.max_tokens=90")
    terms = [{p.problem.metadata["terms"] for p in part} for part in (ready.train, ready.held_out)]
    assert terms == [{3}, {3}]
    assert said[0].startswith(f"{20 - len(ready.train)} training prompts are longer than 10 tokens and are left out")
    assert ready.total_steps == -(-len(ready.train) // 4)


def test_if_no_prompt_fits_the_run_is_refused(model: Path) -> None:
    assert "none of the 20 prompts fits" in refused(model, "sampling.max_tokens=95")


def test_max_tokens_that_leave_no_room_are_refused(model: Path) -> None:
    message = refused(model, "sampling.max_tokens=100")
    assert message.startswith("sampling.max_tokens=100 leaves no room for a prompt: the model takes 100 tokens")


def test_an_evaluation_may_be_longer_than_training(model: Path) -> None:
    ready, _ = prepared(model, "sampling.max_tokens=40", "evaluation.max_tokens=60")
    assert ready.config.rollout.max_model_len == 12 + 60
    message = refused(model, "evaluation.max_tokens=100")
    assert message.startswith("evaluation.max_tokens=100 leaves no room for a prompt: the model takes 100 tokens")


def test_a_longer_context_than_the_models_is_refused_and_a_shorter_one_holds(model: Path) -> None:
    assert "at most 100 tokens" in refused(model, "rollout.max_model_len=101")
    assert "the model takes 30 tokens" in refused(model, "rollout.max_model_len=30")


def test_a_tokenizer_of_another_model_is_refused(model: Path, tmp_path: Path) -> None:
    for file in model.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    settings = json.loads((model / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**settings, "vocab_size": 260}))
    assert "its tokenizer has 261 tokens but the model embeds only 260" in refused(tmp_path)


@pytest.mark.parametrize("name", ["/nowhere/policy", "./policy", "~/none/at/all", "policy", "a/b/c"])
def test_a_model_that_does_not_exist_is_refused_without_asking_a_hub(name: str) -> None:
    assert f"model={name}: no such folder" in refused(name)


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    assert "the folder has no config.json" in refused(tmp_path)


def test_bad_data_is_a_setting_to_change(model: Path, tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"question": "1+1?", "answer": "2"}\n{"question": "2+2?"}\n')
    math = ["task.kind=math", "judge=none"]
    assert "row 2: no answer" in refused(model, *math, f"task.path={rows}")
    assert "there is no such file" in refused(model, *math, f"task.path={tmp_path / 'none.jsonl'}")
    rows.write_text("\n")
    assert "the file holds no rows" in refused(model, *math, f"task.path={rows}")
    assert "task.prompts=200: chains of" in refused(model, "task.prompts=200", "task.terms=2", "task.operators=+")


def test_guidance_is_prepared_with_the_training_prompts_alone(model: Path) -> None:
    ready, said = prepared(model, "guidance=g2rpo_a")
    solutions = [p.problem.reference or "" for p in ready.train]
    # A chain of n terms has n - 1 lines, of which the last states the answer.
    longest = max(len(line.rpartition("\n")[0].rpartition("\n")[0]) + 1 for line in solutions)
    assert ready.config.guidance.length == ready.config.guidance.max_length == longest
    given = [p.trajectory for p in ready.train if p.trajectory is not None]
    assert len(given) >= 15 and all(p.trajectory.at == len(p.token_ids) for p in ready.train if p.trajectory)
    # In 5-2+2=? the first line shows the answer too.
    assert said == [f"{20 - len(given)} of 20 trajectories have no step before the answer: no guidance"]
    assert all(p.trajectory is None for p in ready.held_out)
    assert ready.config.rollout.max_model_len == 12 + 40, "guidance is a part of the answer"


def test_guidance_in_the_prompt_makes_it_longer(model: Path) -> None:
    ready, _ = prepared(model, "guidance=guided", "guidance.placement=prompt", "guidance.length=5")
    longest = max(len(p.token_ids) + min(len(p.trajectory.token_ids_T), 5) for p in ready.train if p.trajectory)
    assert ready.config.rollout.max_model_len == longest + 40


def test_guidance_of_rows_without_a_solution_is_refused(model: Path, tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    lines = [{"question": f"{i}+1?", "answer": str(i + 1), "id": f"q{i}"} for i in range(8)]
    rows.write_text("".join(json.dumps(line) + "\n" for line in lines))
    words = ["task.kind=math", "judge=none", f"task.path={rows}", "evaluation.prompts=2", "sampling.max_tokens=20"]
    assert prepared(model, *words)[0].config.guidance.on is False
    message = refused(model, *words, "guidance=g2rpo_a")
    assert "6 of 6 rows (q" in message and "have no solution: add the field 'solution'" in message


def test_hard_prompts_are_left_out_and_counted(model: Path) -> None:
    whole, _ = prepared(model)
    hard = sum(p.problem.metadata["terms"] == 4 for p in whole.train)
    ready, said = prepared(model, "curriculum.remove_above=3")
    assert {p.problem.metadata["terms"] for p in ready.train} == {3} and len(ready.held_out) == 5
    assert said == [f"{hard} training prompts are harder than 3.0 and are left out"]
    ready, said = prepared(model, "curriculum.replace_above=3")
    assert {p.problem.metadata["terms"] for p in ready.train} == {3} and len(ready.train) == len(whole.train)
    assert said == [
        f"{hard} training prompts are harder than 3.0 and are replaced: {hard} easier ones stand in an epoch again"
    ]
    ids = [p.problem.id for p in ready.train]
    assert len(set(ids)) == len(ids) and sum("#" in name for name in ids) == hard
    assert "curriculum.field=year" in refused(model, "curriculum=difficulty", "curriculum.field=year")


def test_a_threshold_that_no_reward_exceeds_is_told_once_with_its_numbers(model: Path) -> None:
    _, said = prepared(model, "algorithm=corpo", "algorithm.r_min_correct=1")
    assert len(said) == 1 and said[0].startswith("warning: algorithm.r_min_correct=1 is not below the largest of")
    assert prepared(model, "algorithm=corpo", "algorithm.r_min_correct=0.5")[1] == []


class OwnTask(ArithmeticTask):
    """A task of a user's own whose metadata no record can hold."""

    metadata: ClassVar[dict[str, object]] = {}

    def __init__(self, config: TaskConfig, held_out: int) -> None:
        super().__init__(config, held_out)
        self.train = [replace(problem, metadata=self.metadata) for problem in self.train]


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (math.nan, "a number that is not finite"),
        (np.float32(1), "Object of type float32 is not JSON serializable"),
        ("\ud83d", "half of a surrogate pair"),
    ],
)
def test_a_task_whose_records_could_not_be_written_is_refused(
    value: object, why: str, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(OwnTask, "metadata", {"of mine": value})
    monkeypatch.setattr("raysgpo.tasks.arithmetic.ArithmeticTask", OwnTask)
    message = refused(model)
    assert message.startswith("task.kind=arithmetic: the problem 'arithmetic ") and why in message


# --- the model's files ---


@pytest.fixture
def copy(model: Path, tmp_path: Path) -> Path:
    """The policy's files, for a test to break."""
    return shutil.copytree(model, tmp_path / "copy")


def changed(copy: Path, **settings: object) -> Path:
    """With other settings in its config.json; None takes one away."""
    config = json.loads((copy / "config.json").read_text()) | settings
    (copy / "config.json").write_text(json.dumps({name: value for name, value in config.items() if value is not None}))
    return copy


def test_a_template_that_raises_is_one_line_with_its_words(copy: Path) -> None:
    (copy / "chat_template.jinja").write_text("{{ raise_exception('a system prompt must come first') }}")
    message = refused(copy)
    assert message.startswith(f"model={copy}: its chat template refuses the prompt of arithmetic ")
    assert "a system prompt must come first" in message and "\n" not in message


def test_a_template_that_shows_the_date_is_said(copy: Path) -> None:
    template = (copy / "chat_template.jinja").read_text()
    (copy / "chat_template.jinja").write_text("{{ '<|system|>' + strftime_now('%d %b') + '<|end|>' }}" + template)
    _, said = prepared(copy)
    assert said == [f"the chat template of model={copy} shows the date; the policy is told 01 January 2026 throughout"]


@pytest.mark.parametrize("missing", ["tokenizer.json", "tokenizer.json and tokenizer_config.json"])
def test_a_folder_without_the_files_of_its_tokenizer_is_refused(missing: str, copy: Path) -> None:
    for name in missing.split(" and "):
        (copy / name).unlink()
    assert re.match(rf"model={copy}: its tokenizer (cannot be loaded|gives back another text)", refused(copy))


@pytest.mark.parametrize(
    "content", ["{", "[]", '{"model_type": "no_such_kind"}', '{"model_type": "qwen3", "vocab_size": "x"}']
)
def test_a_config_json_that_cannot_be_used_is_one_line(content: str, copy: Path) -> None:
    (copy / "config.json").write_text(content)
    message = refused(copy)
    assert message.startswith(f"model={copy}: its config.json cannot be used: ") and "\n" not in message


def test_a_head_that_the_trainer_would_get_wrong_is_refused_before_anything_starts(copy: Path) -> None:
    message = refused(changed(copy, final_logit_softcapping=30.0))
    assert message.startswith(f"model={copy}: its config sets final_logit_softcapping=30.0, which changes the logits")


def test_weights_of_another_model_are_refused_before_anything_starts(copy: Path) -> None:
    message = refused(changed(copy, intermediate_size=7))
    assert message.startswith(f"model={copy}: its weights cannot be used: model.layers.0.mlp.gate_proj.weight has the")
    message = refused(changed(copy, quantization_config={"quant_method": "awq"}))
    assert message.startswith(f"model={copy}: its weights are quantized (awq)")
    assert prepared(copy, "steps=0")[0].total_steps == 0, "to be evaluated, it need not be trainable"


def test_settings_of_generation_that_transformers_would_not_save_are_no_reason_to_refuse(copy: Path) -> None:
    (copy / "generation_config.json").write_text('{"do_sample": false, "temperature": 0.6}')
    assert prepared(copy)[1] == []


@pytest.mark.parametrize("setting", ["model", "judge.model"])
def test_a_hub_name_that_cannot_be_fetched_is_one_line(
    setting: str, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nowhere(*_: object, **__: object) -> None:
        raise OSError("owner/mistyped is not a local folder and is not listed on the hub\nIf this is private ...")

    monkeypatch.setattr("raysgpo.start.preparation.cached_file", nowhere)
    monkeypatch.setattr("raysgpo.start.preparation.ask_hub", lambda: True)
    message = (
        refused("owner/mistyped")
        if setting == "model"
        else refused(model, "algorithm=sgpo", "judge=replicas", "judge.model=owner/mistyped")
    )
    assert message == (
        f"{setting}=owner/mistyped: neither a folder nor a model that can be fetched: "
        "owner/mistyped is not a local folder and is not listed on the hub"
    )


def test_a_model_that_does_not_say_its_length_is_asked_for_it(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = SimpleNamespace(vocab_size=261)
    monkeypatch.setattr("raysgpo.start.preparation.model_settings", lambda model: settings)
    assert refused(copy).endswith("does not say how many tokens it takes: set rollout.max_model_len")
    assert prepared(copy, "rollout.max_model_len=64")[0].config.rollout.max_model_len == 52


def test_a_stop_string_that_holds_a_special_token_and_more_is_refused(model: Path) -> None:
    message = refused(model, 'sampling.stop=["x", "<|end|>\\n"]')
    assert "'<|end|>\\n' holds the special token <|end|>" in message and message.endswith("give <|end|> alone")
    assert prepared(model, 'sampling.stop=["x", "<|end|>"]')[0].config.sampling.stop == ("x", "<|end|>")


def test_a_system_turn_and_examples_stand_before_every_problem(model: Path) -> None:
    plain, _ = prepared(model)
    ready, _ = prepared(model, "task.system=Add.", "task.examples=1")
    shown = plain.train[0].problem
    assert [p.problem for p in ready.train] == [p.problem for p in plain.train[1:]]
    for prompt in (*ready.train, *ready.held_out):
        assert prompt.before == (("system", "Add."), ("user", shown.prompt), ("assistant", shown.reference))
    same = {p.problem.id: len(p.token_ids) for p in plain.held_out}
    assert all(len(p.token_ids) > same[p.problem.id] + len(shown.prompt) for p in ready.held_out)
    assert "as many as 99" not in refused(model, "task.examples=99") and "task.examples=99" in refused(
        model, "task.examples=99"
    )
