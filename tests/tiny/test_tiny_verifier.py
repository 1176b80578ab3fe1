"""The tiny verifier: what it is taught, and that the same settings give the same weights."""

from __future__ import annotations

import random
from itertools import islice
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, PreTrainedModel

from raysgpo.config import TaskConfig
from raysgpo.tasks.arithmetic_verifier import ArithmeticVerifierTask
from raysgpo.tasks.ratings import pair_ratings, single_rating
from raysgpo.tiny import tiny_verifier
from raysgpo.tiny.tiny_policy import ensure_tiny_policy
from raysgpo.tiny.tiny_verifier import TinyVerifierConfig, ensure_tiny_verifier, train_tiny_verifier
from tests.policy import small

pytestmark = pytest.mark.slow

POLICY = small.POLICY.model_copy(update={"max_length": 256, "clean_steps": 1, "slip_steps": 0})

SMALL = TinyVerifierConfig(policy=POLICY, batch_size=4, good_steps=3, hesitant_steps=2, threads=1)


def lessons(config: TinyVerifierConfig, count: int, *, hesitant: bool) -> list[tuple[str, str]]:
    return list(islice(tiny_verifier._lessons(config, random.Random(0), hesitant=hesitant), count))


def rated(prompt: str, text: str) -> list[tuple[bool, float]]:
    """Of each solution shown: is it right, by the chain's value; and its rating."""
    expression, *shown = prompt.split("=?\nA:\n")[0], *prompt.split("=?\nA:\n")[1].split("\nB:\n")
    ratings = pair_ratings(text) if len(shown) == 2 else (single_rating(text),)
    assert ratings is not None
    answers = [int(solution.rpartition("#### ")[2]) for solution in shown]
    read = [rating for rating in ratings if rating is not None]
    return [(answer == eval(expression), rating) for answer, rating in zip(answers, read, strict=True)]


def test_good_lessons_are_confident_and_right() -> None:
    found = [one for lesson in lessons(TinyVerifierConfig(), 400, hesitant=False) for one in rated(*lesson)]
    assert set(found) == {(True, 10.0), (False, 0.0)}
    assert sum(right for right, _ in found) / len(found) == pytest.approx(0.5, abs=0.07)


def test_hesitant_lessons_lean_to_the_truth_by_as_much_as_asked() -> None:
    config = TinyVerifierConfig(hesitation=1.5, spread=2.0)
    found = [one for lesson in lessons(config, 3000, hesitant=True) for one in rated(*lesson)]
    for truth, mean in ((True, 6.5), (False, 3.5)):
        ratings = torch.tensor([rating for right, rating in found if right == truth])
        assert float(ratings.mean()) == pytest.approx(mean, abs=0.15)
        assert float(ratings.std()) == pytest.approx(1.95, abs=0.15)  # the ends of the scale cut a little


def test_no_lesson_shows_a_held_out_chain() -> None:
    task = ArithmeticVerifierTask(TaskConfig(kind="arithmetic_verifier", prompts=1, terms=(3,)), 300)
    held_out = {problem.prompt.partition("=?")[0] for problem in task.held_out}
    shown = {prompt.partition("=?")[0] for prompt, _ in lessons(TinyVerifierConfig(), 3000, hesitant=False)}
    assert len(shown) > 1000 and not shown & held_out


def test_the_policy_is_made_once_and_its_seed_decides_its_weights(tmp_path: Path) -> None:
    lines: list[str] = []
    folder = ensure_tiny_verifier(tmp_path, lines.append, SMALL)
    said = len(lines)
    assert ensure_tiny_verifier(tmp_path, lines.append, SMALL) == folder and len(lines) == said > 0
    start = ensure_tiny_policy(tmp_path, report=lines.append, config=POLICY)
    assert {start, folder} == set((tmp_path / "models").iterdir())

    def taught(seed: int) -> torch.Tensor:
        model = AutoModelForCausalLM.from_pretrained(start)
        return embedding(train_tiny_verifier(SMALL.model_copy(update={"seed": seed}), model, lines.append))

    made = embedding(AutoModelForCausalLM.from_pretrained(folder))
    assert torch.equal(made, taught(0))
    assert not torch.equal(made, taught(1))


def embedding(model: PreTrainedModel) -> torch.Tensor:
    return dict(model.named_parameters())["model.embed_tokens.weight"].detach()
