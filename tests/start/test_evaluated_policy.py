"""A model made ready for its evaluation: what it is asked, how long its engine's sequences are, what is said."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from raysgpo.config.overrides import ConfigError, resolve
from raysgpo.evaluation.catalogue import chosen_sets
from raysgpo.evaluation.questions import load_set
from raysgpo.policy.prompts import load_tokenizer
from raysgpo.start.evaluated_policy import EvaluatedPolicy, evaluated_policy
from raysgpo.start.preparation import prepare
from tests.start.small import SMALL, shape_of, untrained

CONTEXT = 100


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return untrained(tmp_path_factory.mktemp("model"), shape_of(CONTEXT))


@pytest.fixture
def sums(tmp_path: Path) -> str:
    """Two sums, and a question that is as long as the context."""
    questions = ["1+1=?", "20+20=?", "1+" * 60 + "1=?"]
    rows = [{"id": f"q{n}", "question": asked, "answer": "2"} for n, asked in enumerate(questions)]
    (tmp_path / "sums.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "sums.toml").write_text('path = "sums.jsonl"\ninstruction = ""\nmax_tokens = 40\n')
    return str(tmp_path / "sums.toml")


def made_ready(model: Path, sums: str, *words: str, **settings: object) -> tuple[EvaluatedPolicy, list[str]]:
    said: list[str] = []
    sets = [load_set(one) for one in chosen_sets([sums], {"": settings})]
    return evaluated_policy(resolve({"model": str(model)}, overrides=words), sets, said.append), said


def test_what_leaves_room_for_an_answer_is_encoded_and_the_rest_is_said(model: Path, sums: str) -> None:
    ready, said = made_ready(model, sums, limit=2)
    [one] = ready.sets
    tokenizer = load_tokenizer(str(model))
    assert [tokenizer.decode(one.token_ids[name]).count("=?") for name in ("q0", "q1")] == [1, 1]
    longest = max(map(len, one.token_ids.values()))
    assert ready.config.rollout.max_model_len == longest + 40 and said == []
    ready, said = made_ready(model, sums)
    assert ready.sets[0].token_ids.keys() == {"q0", "q1"} and len(ready.sets[0].of.problems) == 3
    assert said == [f"sums: 1 questions are longer than the model's {CONTEXT} tokens (the first: q2)"]


def test_answers_end_where_the_context_does(model: Path, sums: str) -> None:
    ready, said = made_ready(model, sums, limit=2, max_tokens=32768)
    assert ready.config.rollout.max_model_len == CONTEXT
    longest = max(map(len, ready.sets[0].token_ids.values()))
    after = f"after {CONTEXT - longest} or more of max_tokens=32768"
    assert said == [f"sums: answers end where the model's {CONTEXT} tokens do, {after}"]


def test_an_engine_on_a_gpu_computes_as_one(model: Path, sums: str) -> None:
    on_cpu, on_gpu = (made_ready(model, sums, one, limit=2)[0].config.rollout for one in ("seed=0", "rollout.gpus=1"))
    assert (on_cpu.dtype, on_gpu.dtype) == ("float32", "bfloat16")
    assert on_cpu.kv_cache_gib is not None and on_gpu.kv_cache_gib is None


def test_an_argument_that_the_template_does_not_read_is_refused_with_its_set(model: Path, sums: str) -> None:
    with pytest.raises(ConfigError, match=r"^sums\.chat_template_kwargs=.enable_thinking: False.: "):
        made_ready(model, sums, limit=2, chat_template_kwargs={"enable_thinking": False})


def test_a_run_makes_the_sets_ready_beside_its_prompts(model: Path, sums: str) -> None:
    config = resolve({}, overrides=[*SMALL, f"model={model}", f"evaluation.sets=[{sums}]"])
    ready = prepare(config, lambda line: None)
    assert [one.of.name for one in ready.sets] == ["sums"] and ready.sets[0].token_ids.keys() == {"q0", "q1"}
    longest = max(map(len, ready.sets[0].token_ids.values()))
    assert ready.config.rollout.max_model_len == max(12 + 40, longest + 40)
