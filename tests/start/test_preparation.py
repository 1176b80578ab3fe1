"""What can be wrong before a cluster is touched, and what is worked out there."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch

from raysgpo.config.overrides import ConfigError, resolve
from raysgpo.groups.prepared import Prepared
from raysgpo.start.preparation import prepare
from raysgpo.tiny.tiny_model import build_tiny_model, save_tiny_model
from raysgpo.tiny.tiny_policy import TinyConfig

SHAPE = TinyConfig(hidden_size=8, intermediate_size=8, layers=1, heads=1, max_length=100)
SMALL = ["task.prompts=20", "evaluation.prompts=5", "task.terms=[3,4]", "sampling.max_tokens=40", "prompts_per_step=4"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained policy whose context is 100 tokens."""
    folder = tmp_path_factory.mktemp("model")
    with torch.random.fork_rng():
        save_tiny_model(build_tiny_model(SHAPE.shape), SHAPE, folder)
    return folder


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
    assert "curriculum.field=year" in refused(model, "curriculum=difficulty", "curriculum.field=year")


def test_a_threshold_that_no_reward_exceeds_is_told_once_with_its_numbers(model: Path) -> None:
    _, said = prepared(model, "algorithm=corpo", "algorithm.r_min_correct=1")
    assert len(said) == 1 and said[0].startswith("warning: algorithm.r_min_correct=1 is not below the largest of")
    assert prepared(model, "algorithm=corpo", "algorithm.r_min_correct=0.5")[1] == []
