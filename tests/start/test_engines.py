"""Lengths, caches and deadlines of the engines follow from the model and the prompts; what was asked for is taken."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import psutil
import pytest
from transformers import LlamaConfig, PretrainedConfig

from raysgpo.config import JudgeConfig
from raysgpo.config.deadlines import answer_deadline, start_deadline, token_deadline, update_deadline
from raysgpo.config.judge import CPU_ANSWER, GPU_ANSWER
from raysgpo.config.overrides import ConfigError, resolve
from raysgpo.groups.prepared import Prepared
from raysgpo.records import Problem
from raysgpo.start import engine_sizes, engines, free_memory
from raysgpo.start.engine_sizes import LEAST_GIB, Load, cache_gib, token_bytes, weights_gib
from raysgpo.start.engines import COMPACT_MARGIN, VERIFY_MARGIN, judge_length
from raysgpo.start.judge_questions import question_tokens
from raysgpo.start.preparation import prepare
from raysgpo.tiny.tokenizer import byte_tokenizer
from tests.start.small import SMALL, shape_of, untrained

GIB = 2**30
SMOLLM = LlamaConfig(
    hidden_size=576,
    intermediate_size=1536,
    num_hidden_layers=30,
    num_attention_heads=9,
    num_key_value_heads=3,
    head_dim=64,
    vocab_size=49152,
    max_position_embeddings=8192,
)
"""The shape of SmolLM2-135M: 46,080 bytes of keys and values a token in float32."""
SHAPE = shape_of(8192)


@pytest.fixture(autouse=True)
def memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """16 GiB are free."""
    monkeypatch.setattr(engine_sizes, "free_memory", lambda: 16 * GIB)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return untrained(tmp_path_factory.mktemp("model"), SHAPE)


def load(**changes: Any) -> Load:
    values: dict[str, Any] = {
        "section": "rollout",
        "replicas": 1,
        "sequences": 4,
        "length": 1000,
        "engine": {},
        "lever": "x",
    }
    return Load(**(values | changes))


# --- the cache ---


def test_the_cache_holds_the_sequences_that_there_are_at_once() -> None:
    assert token_bytes(SMOLLM, {}) == 2 * 30 * 3 * 64 * 4
    assert token_bytes(SMOLLM, {"dtype": "bfloat16"}) == 2 * 30 * 3 * 64 * 2
    blocks = 1 + 8 * 32  # vLLM keeps one, and 1,000 tokens take 32 of 32
    assert cache_gib(SMOLLM, load(sequences=8), None) == math.ceil(blocks * 32 * 46080 / GIB * 100) / 100
    larger = load(sequences=8, engine={"block_size": 256})
    assert cache_gib(SMOLLM, larger, None) == math.ceil((1 + 8 * 4) * 256 * 46080 / GIB * 100) / 100
    assert cache_gib(SMOLLM, load(sequences=1, length=10), None) == LEAST_GIB
    assert cache_gib(PretrainedConfig(), load(), None) == LEAST_GIB, "a shape that is not known"


def test_the_cache_has_a_share_of_the_free_memory_and_room_for_one_sequence() -> None:
    assert cache_gib(SMOLLM, load(sequences=256), None) == 2.0
    assert cache_gib(SMOLLM, load(sequences=256, replicas=4), None) == 0.5
    one = (1 + 256) * 32 * 46080 / GIB
    assert cache_gib(SMOLLM, load(sequences=256, length=8192, replicas=16), None) == math.ceil(one * 100) / 100
    with pytest.raises(ConfigError, match=r"rollout: the longest sequence has 8192 tokens.*0\.35 GiB.* 0\.16 GiB free"):
        cache_gib(SMOLLM, load(length=8192, replicas=100), None)


def test_a_cache_that_was_asked_for_is_taken_unless_no_sequence_could_end_in_it() -> None:
    assert cache_gib(SMOLLM, load(), 0.05) == 0.05
    with pytest.raises(ConfigError) as caught:
        cache_gib(SMOLLM, load(length=8192), 0.1)
    assert str(caught.value) == (
        "rollout.kv_cache_gib=0.1: one sequence of 8192 tokens takes 0.35 GiB of the key-value cache; set "
        "rollout.kv_cache_gib=0.36 or more, or leave it out"
    )
    window = LlamaConfig(**(SMOLLM.to_dict() | {"sliding_window": 512}))
    assert cache_gib(window, load(length=8192), 0.1) == 0.1, "such layers need less"


def test_free_memory_is_the_machines_or_the_containers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(free_memory, "CONTAINER", tmp_path)
    machine = psutil.virtual_memory().available
    assert free_memory.free_memory() == pytest.approx(machine, rel=0.2), "no files"
    (tmp_path / "memory.current").write_text("5000\n")
    (tmp_path / "memory.stat").write_text("anon 2000\ninactive_file 1000\n")
    (tmp_path / "memory.max").write_text("max\n")
    assert free_memory.free_memory() == pytest.approx(machine, rel=0.2)
    (tmp_path / "memory.max").write_text("9000\n")
    assert free_memory.free_memory() == 9000 - 5000 + 1000


# --- deadlines ---


def test_deadlines_grow_with_the_answer_and_the_model() -> None:
    assert [answer_deadline(tokens, True) for tokens in (48, 600, 1000)] == [300, 300, 500]
    assert [answer_deadline(tokens, False) for tokens in (48, 3000, 8192)] == [300, 300, pytest.approx(819.2)]
    assert [start_deadline(gib) for gib in (0, 12, 60)] == [300, 300, 1020]
    assert [token_deadline(gib, 40_000, False) for gib in (0.01, 15, 60)] == [120, 240, 600]
    assert [token_deadline(gib, 2048, True) for gib in (0.01, 0.5, 15)] == [121, 151, 1042]
    assert [update_deadline(gib) for gib in (0, 7.5, 61)] == [60, 60, 274]
    assert weights_gib(SMOLLM, 4) == pytest.approx(0.5 + 0.11, abs=0.15), "135 million numbers, and a tied head twice"


def test_a_judges_deadlines_follow_from_its_answer() -> None:
    def seconds(**settings: Any) -> tuple[float, float]:
        judge = JudgeConfig.model_validate(settings)
        return judge.call_seconds, judge.vote_seconds

    assert seconds() == (300, 600)
    assert seconds(kind="endpoint", max_tokens=10_000) == (1000, 2000)
    assert seconds(kind="replicas", max_tokens=1000) == (500, 1000)
    assert seconds(kind="replicas", max_tokens=1000, gpus=1) == (300, 600)
    assert seconds(call_deadline=5) == (5, 600)
    assert seconds(call_deadline=900, deadline=1) == (900, 1)


# --- the length of a judge ---

PROBLEM = Problem("p", "How much is 3+4?", "7", "3+4=7\n#### 7")
STEPS = ["3+4=8\n", "#### 8"]


def length(limit: int | None = 8192, **settings: Any) -> int:
    judge = JudgeConfig.model_validate({"kind": "replicas", "model": "m", "structured": False, **settings})
    shape = LlamaConfig(max_position_embeddings=limit) if limit else PretrainedConfig()
    return judge_length(judge, shape, byte_tokenizer(10_000), [(PROBLEM, STEPS)])


def test_a_judge_has_room_for_the_longest_question_and_its_answer() -> None:
    judge = JudgeConfig(structured=False)
    question = question_tokens(judge, byte_tokenizer(10_000), [(PROBLEM, STEPS)])
    assert 2000 < question < 4000, "a byte is a token here, and the instruction is long"
    asked = math.ceil(question * VERIFY_MARGIN)
    assert length(max_tokens=50) == asked + 50
    assert length() == asked + CPU_ANSWER
    assert length(gpus=1, limit=None) == asked + GPU_ANSWER
    assert length(gpus=1) == 8192, "as much as the model takes"
    assert length(max_model_len=100) == 100, "what was asked for"
    longer = [(PROBLEM, [*STEPS, "x" * 500])]
    assert question_tokens(judge, byte_tokenizer(10_000), longer) > question + 500


def test_a_table_is_short_and_may_become_three_times_as_long() -> None:
    judge = JudgeConfig(prompt="compact")
    table = question_tokens(judge, byte_tokenizer(10_000), [(PROBLEM, STEPS)])
    assert table < 60
    assert length(prompt="compact", limit=4096) == math.ceil(table * COMPACT_MARGIN) + 1


def test_a_judge_that_is_too_short_is_one_line_before_anything_starts() -> None:
    with pytest.raises(ConfigError) as caught:
        length(limit=2000)
    said = str(caught.value)
    assert said.startswith("judge.model=m takes 2000 tokens, and the longest question to it (problem, reference and ")
    assert said.endswith("or set judge.max_model_len=2000 and lose the votes on longer ones") and "\n" not in said
    assert length(limit=2000, max_model_len=2000) == 2000
    with pytest.raises(ConfigError, match=r"judge\.max_model_len=2001: judge\.model=m takes at most 2000 tokens"):
        length(limit=2000, max_model_len=2001)


# --- all of it ---


def prepared(model: Path, *words: str) -> Prepared:
    return prepare(resolve({}, overrides=[*SMALL, f"model={model}", *words]), print)


def test_a_run_has_numbers_for_what_was_left_open(model: Path) -> None:
    ready = prepared(model, "algorithm=sgpo", "judge=replicas", f"judge.model={model}")
    rollout, judge = ready.config.rollout, ready.config.judge
    assert (rollout.max_model_len, rollout.kv_cache_gib) == (52, LEAST_GIB)
    assert (rollout.start_deadline, rollout.token_deadline, rollout.update_deadline) == (300, 120, 60)
    assert judge.max_model_len is not None and 2048 < judge.max_model_len < 8192
    assert (judge.kv_cache_gib, judge.start_deadline) == (LEAST_GIB, 300)
    assert (judge.call_deadline, judge.deadline) == (1024, 2048), "of the 2,048 tokens that it keeps room for"


def test_caches_of_the_most_replicas_fit_and_one_of_the_fewest_has_its_share(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loads: list[Load] = []

    def chosen(settings: PretrainedConfig, load: Load, asked: float | None) -> float:
        loads.append(load)
        return 1.0

    monkeypatch.setattr(engines, "cache_gib", chosen)
    for bounds in ("[1,4]", "1", "4"):
        prepared(model, f"rollout.replicas={bounds}")
    changing, one, four = loads
    assert changing.sequences == one.sequences > four.sequences
    assert changing.replicas == four.replicas == 4


def test_longer_answers_make_longer_questions(model: Path) -> None:
    words = ["algorithm=sgpo", "judge=replicas", f"judge.model={model}", "judge.max_tokens=10"]
    short, long = (
        prepared(model, *words, f"sampling.max_tokens={tokens}").config.judge.max_model_len for tokens in (40, 400)
    )
    assert short is not None and long is not None and long - short >= 360 * VERIFY_MARGIN


def test_answers_that_are_known_take_the_place_of_the_stand_in(model: Path) -> None:
    words = [*SMALL, f"model={model}", "algorithm=sgpo", "judge=replicas", f"judge.model={model}", "judge.max_tokens=9"]
    config = resolve({}, overrides=words)
    stand_in = prepare(config, print).config.judge.max_model_len
    known = prepare(config, print, [(PROBLEM, "3+4=7\n" * 60)]).config.judge.max_model_len
    assert stand_in is not None and known is not None and known > stand_in + 300


def test_what_was_asked_for_is_taken(model: Path) -> None:
    asked = {"kv_cache_gib": 0.3, "start_deadline": 7.0, "max_model_len": 3000}
    words = [f"judge.{name}={value}" for name, value in asked.items()] + ["judge.call_deadline=3", "judge.deadline=4"]
    words += [
        "rollout.kv_cache_gib=0.2",
        "rollout.start_deadline=5",
        "rollout.token_deadline=6",
        "rollout.update_deadline=4",
    ]
    config = prepared(model, "algorithm=sgpo", "judge=replicas", f"judge.model={model}", *words).config
    assert {name: getattr(config.judge, name) for name in asked} == asked
    assert (config.judge.call_deadline, config.judge.deadline) == (3, 4)
    rollout = config.rollout
    assert (rollout.kv_cache_gib, rollout.start_deadline, rollout.token_deadline) == (0.2, 5, 6)
    assert rollout.update_deadline == 4


def test_an_engine_on_gpus_has_no_such_cache(model: Path) -> None:
    config = prepared(model, "rollout.gpus=1", "sampling.max_tokens=4000").config
    assert config.rollout.kv_cache_gib is None


@pytest.mark.parametrize("section", ["rollout", "judge"])
def test_an_argument_that_vllm_does_not_know_is_refused_with_the_nearest(section: str, model: Path) -> None:
    words = ["algorithm=sgpo", "judge=replicas", f"judge.model={model}"]
    with pytest.raises(ConfigError) as caught:
        prepared(model, *words, f"{section}.engine={{gpu_memory_utilisation: 0.5}}")
    assert str(caught.value) == (
        f"{section}.engine.gpu_memory_utilisation=0.5: vLLM's engine has no such argument; did you mean "
        "gpu_memory_utilization?"
    )
    with pytest.raises(ConfigError, match=r"engine=\{dtype:half\}: write a space behind the colon, \{dtype: half\}"):
        prepared(model, *words, f"{section}.engine={{dtype:half}}")
    prepared(model, *words, f"{section}.engine={{max_num_seqs: 8}}")
    if section == "judge":
        prepared(model, *words, "judge.engine={chat_template: x}")


def test_the_shape_and_the_files_of_a_judge_are_called_the_judges(model: Path, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ConfigError, match=rf"^judge\.model={tmp_path}: its config\.json cannot be used: "):
        prepared(model, "algorithm=sgpo", "judge=replicas", f"judge.model={tmp_path}")
