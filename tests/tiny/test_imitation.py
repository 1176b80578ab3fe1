"""The SFT contrast: what it learns, and the loss that it reports."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from raysgpo.config import TaskConfig
from raysgpo.tasks.arithmetic import ArithmeticTask
from raysgpo.tiny import tiny_verifier
from raysgpo.tiny.imitation import ImitationConfig, held_out_loss, imitate, tensors
from raysgpo.tiny.sft import IGNORED
from raysgpo.tiny.tiny_model import build_tiny_model, save_tiny_model
from raysgpo.tiny.tiny_policy import TinyConfig

pytestmark = pytest.mark.slow

SHAPE = TinyConfig(hidden_size=32, intermediate_size=32, layers=1, heads=2, max_length=100)
TASK = TaskConfig(terms=(3,), prompts=40)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained policy."""
    folder = tmp_path_factory.mktemp("model")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        save_tiny_model(build_tiny_model(SHAPE.shape), SHAPE, folder)
    return folder


def test_only_the_answers_carry_loss_and_rows_end_where_they_end() -> None:
    ids_BT, labels_BT = tensors([([1, 2, 3, 4], 2), ([5, 6], 1)])
    assert ids_BT.tolist() == [[1, 2, 3, 4], [5, 6, 0, 0]]
    assert labels_BT.tolist() == [[IGNORED, IGNORED, 3, 4], [IGNORED, 6, IGNORED, IGNORED]]


@pytest.mark.parametrize("batch_size", [1, 2, 5])
def test_the_held_out_loss_is_the_mean_over_tokens_however_it_is_divided(model: Path, batch_size: int) -> None:
    policy = AutoModelForCausalLM.from_pretrained(model)
    examples = [([7, 8, 9], 1), ([7, 8], 1), ([1, 2, 3, 4, 5], 3)]
    total = 0.0
    for ids, prompt in examples:
        logprobs_TV = torch.log_softmax(policy(torch.tensor([ids])).logits[0], -1)
        total -= sum(logprobs_TV[t - 1, ids[t]].item() for t in range(prompt, len(ids)))
    assert held_out_loss(policy, examples, batch_size) == pytest.approx(total / 5, rel=1e-5)


def test_it_learns_the_trajectories_and_says_how_well_held_out_ones_fit(model: Path, tmp_path: Path) -> None:
    said: list[str] = []
    config = ImitationConfig(
        model=str(model), task=TASK, held_out=8, steps=24, every=10, batch_size=8, lr=1e-2, threads=1
    )
    folder = imitate(tmp_path, config, said.append)
    losses = [json.loads(line) for line in (folder / "losses.jsonl").read_text().splitlines()]
    assert [row["step"] for row in losses] == [0, 10, 20, 24]
    assert losses[-1]["loss"] < 0.75 * losses[0]["loss"] and f"{losses[-1]['loss']:.4f} after 24 steps" in said[-1]
    policy = AutoModelForCausalLM.from_pretrained(folder)
    held_out = ArithmeticTask(TASK, 8).held_out
    examples = []
    for problem in held_out:
        prompt, answer = f"\x01{problem.prompt}\x02\x03".encode(), (problem.reference or "").encode()
        ids = [{1: 258, 2: 260, 3: 259}.get(byte, byte) for byte in prompt]
        examples.append(([*ids, *answer, 260], len(ids)))
    assert held_out_loss(policy, examples, 3) == pytest.approx(losses[-1]["loss"], rel=1e-4), "the saved policy"
    assert imitate(tmp_path, config, said.append) == folder and "after 24" in said[-1], "it is made once"


def test_tiny_is_the_policy_that_a_run_of_the_task_starts_from(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tiny_verifier, "ensure_tiny_verifier", lambda cache, report: model)
    task = TaskConfig(kind="arithmetic_verifier", terms=(2,), prompts=4)
    named, tiny = (
        imitate(tmp_path, ImitationConfig(model=name, task=task, held_out=2, steps=1), lambda line: None)
        for name in (str(model), "tiny")
    )
    assert named == tiny


def test_a_model_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="model=/no/such: no such folder"):
        imitate(tmp_path, ImitationConfig(model="/no/such", task=TASK, held_out=8))


def test_rows_without_a_solution_are_refused(model: Path, tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text("".join(json.dumps({"question": f"{i}+1?", "answer": str(i + 1)}) + "\n" for i in range(4)))
    config = ImitationConfig(model=str(model), task=TaskConfig(kind="math", path=str(rows)), held_out=1)
    with pytest.raises(ValueError, match=r"3 of 3 rows have no solution to imitate \(the first: row-"):
        imitate(tmp_path, config)
