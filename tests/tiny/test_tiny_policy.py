from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel

from raysgpo.config import TaskConfig
from raysgpo.tasks.arithmetic import ArithmeticTask
from raysgpo.tiny import tiny_policy as tiny
from raysgpo.tiny.tiny_policy import TinyConfig, ensure_tiny_policy, policy_folder, train_tiny_policy
from tests.policy.small import POLICY as SMALL

pytestmark = pytest.mark.slow


def weights(model: PreTrainedModel) -> dict[str, torch.Tensor]:
    return {name: value.detach() for name, value in model.named_parameters()}


def differing(one: PreTrainedModel, other: PreTrainedModel) -> list[str]:
    first, second = weights(one), weights(other)
    assert first.keys() == second.keys()
    return [name for name in first if not torch.equal(first[name], second[name])]


@pytest.fixture
def silent() -> Callable[[str], None]:
    return lambda line: None


def test_the_seed_decides_the_weights_and_nothing_else_does(silent: Callable[[str], None]) -> None:
    torch.manual_seed(1)
    first = train_tiny_policy(SMALL, silent)
    torch.manual_seed(2)
    again = train_tiny_policy(SMALL, silent)
    other = train_tiny_policy(SMALL.model_copy(update={"seed": 1}), silent)
    assert differing(first, again) == []
    assert "model.embed_tokens.weight" in differing(first, other)


def test_making_a_policy_leaves_torchs_random_state_and_threads_alone(silent: Callable[[str], None]) -> None:
    threads = torch.get_num_threads()
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    train_tiny_policy(SMALL.model_copy(update={"threads": threads + 1}), silent)
    assert torch.equal(torch.rand(3), expected)
    assert torch.get_num_threads() == threads


def test_the_saved_folder_gives_back_the_same_policy(tmp_path: Path, silent: Callable[[str], None]) -> None:
    folder = ensure_tiny_policy(tmp_path, report=silent, config=SMALL)
    model = AutoModelForCausalLM.from_pretrained(folder)
    assert differing(model, train_tiny_policy(SMALL, silent)) == []
    assert {value.dtype for value in weights(model).values()} == {torch.float32}
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert model.config.vocab_size == len(tokenizer)
    assert model.generation_config.eos_token_id == model.config.eos_token_id == tokenizer.eos_token_id
    assert TinyConfig(**json.loads((folder / "made_by.json").read_text())) == SMALL


def test_a_policy_is_made_once_for_its_settings(tmp_path: Path) -> None:
    lines: list[str] = []
    first = ensure_tiny_policy(tmp_path, report=lines.append, config=SMALL)
    said = len(lines)
    assert ensure_tiny_policy(tmp_path, report=lines.append, config=SMALL) == first
    assert said > 0 and len(lines) == said
    other = ensure_tiny_policy(tmp_path, report=lines.append, config=SMALL.model_copy(update={"seed": 1}))
    assert {first, other} == set((tmp_path / "models").iterdir())


def test_an_interrupted_making_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(model: PreTrainedModel, config: TinyConfig, folder: Path) -> None:
        (folder / "half.safetensors").write_text("half")
        raise KeyboardInterrupt

    monkeypatch.setattr(tiny, "save_tiny_model", interrupt)
    with pytest.raises(KeyboardInterrupt):
        ensure_tiny_policy(tmp_path, report=lambda line: None, config=SMALL)
    assert list((tmp_path / "models").iterdir()) == []


def test_when_another_process_finishes_first_its_policy_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def meanwhile(model: PreTrainedModel, config: TinyConfig, folder: Path) -> None:
        (folder / "ours").touch()
        theirs = policy_folder(tmp_path, config)
        theirs.mkdir()
        (theirs / "theirs").touch()

    monkeypatch.setattr(tiny, "save_tiny_model", meanwhile)
    target = ensure_tiny_policy(tmp_path, report=lambda line: None, config=SMALL)
    assert [file.name for file in target.iterdir()] == ["theirs"]
    assert list((tmp_path / "models").iterdir()) == [target]


def test_neither_phase_shows_a_held_out_prompt() -> None:
    held_out = {p.prompt for p in ArithmeticTask(TaskConfig(), 2000).held_out}
    rng = random.Random(0)
    shown = {
        phase(TinyConfig(), rng)[0] for phase in (tiny._clean_solution, tiny._slipping_solution) for _ in range(5000)
    }
    assert len(shown) > 5000 and not shown & held_out


def test_phase_one_is_right_and_phase_two_slips_as_often_as_asked() -> None:
    rng = random.Random(0)
    config = TinyConfig(slip_chance=0.25, slip_size=3)
    right = [tiny._clean_solution(config, rng)[1] for _ in range(300)]
    assert {error for solution in right for error in _errors(solution)} == {0}
    wrong = [tiny._slipping_solution(config, rng)[1] for _ in range(3000)]
    slips = [error for solution in wrong for error in _errors(solution)]
    assert set(slips) == {-3, -2, -1, 0, 1, 2, 3}
    assert sum(error != 0 for error in slips) / len(slips) == pytest.approx(0.25, abs=0.025)


def _errors(solution: str) -> list[int]:
    """By how much each step is wrong, given the value that it starts from."""
    steps = [line.split("=") for line in solution.split("\n")[:-1]]
    return [int(right) - eval(left) for left, right in steps]
