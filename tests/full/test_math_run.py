"""Real rows through the whole path with two train workers, and what the replicas hold after the syncs.

A step's 32 prompts are more tokens than the engine takes at once, as with any real input. The policy has
a head of its own, where that of the embedded default is its embedding.

This run is made of its parts in this process, so that the replicas can be asked before they go.
"""

from __future__ import annotations

import json
import random
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import ray
import torch
from ray import serve

from raysgpo.config.overrides import resolve
from raysgpo.output.json_lines import read_rows
from raysgpo.output.prometheus import series
from raysgpo.output.run_folder import RunFolder
from raysgpo.serving.replica import ReplicaState
from raysgpo.weights.checksums import named_checksums
from tests.full.conftest import checksums_by_version, trained_here
from tests.patience import PATIENCE

pytestmark = [pytest.mark.full, pytest.mark.timeout(1800)]

STEPS = 2
QUESTIONS = [
    ("Tom has {a} apples and picks {b} more. How many has he now?", 1),
    ("A train carries {a} people, and {b} get off. How many stay?", -1),
]


@dataclass(frozen=True, slots=True)
class MathRun:
    run: RunFolder
    model: Path
    replicas: list[ReplicaState]
    exported: dict[str, list[float]]
    """What Prometheus scrapes of this machine's Ray, at the end of the run."""


def write_rows(path: Path) -> None:
    """Rows as GSM8K has them, with small numbers."""
    rows = []
    for a in range(2, 6):
        for b in range(1, 4):
            text, sign = QUESTIONS[a + b > 5]
            joined = f"{a}{'+' if sign > 0 else '-'}{b}"
            answer = a + sign * b
            question = f"{joined}=?" if a % 2 else text.format(a=a, b=b)
            rows.append(
                {"question": question, "answer": str(answer), "solution": f"{joined} = {answer}", "level": a % 2}
            )
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


SCRAPED = ("accuracy/mean", "tokens/completion", "policy/lr")


def scraped(text: str, run: RunFolder) -> dict[str, list[float]]:
    """What Prometheus' text format says of the run, by our names."""
    found = {}
    for metric in SCRAPED:
        one = series(metric)
        assert one is not None
        name, label = f"ray_{one.name}", f'run="{run.path.name}"'
        lines = [line for line in text.splitlines() if line.startswith(name + "{") and label in line]
        found[metric] = [float(line.rpartition(" ")[2]) for line in lines]
    return found


def scrape_last_step(run: RunFolder) -> dict[str, list[float]]:
    """Ray's metrics once they are those of the last step (they are sent once a second), or what they are in the end."""
    [node] = ray.nodes()
    address = f"http://{node['NodeManagerAddress']}:{node['MetricsExportPort']}/metrics"
    last = list(read_rows(run.metrics))[-1]
    end = time.monotonic() + PATIENCE
    while True:
        with urllib.request.urlopen(address, timeout=10) as answer:
            found = scraped(answer.read().decode(), run)
        if all(found[metric] == [pytest.approx(last[metric])] for metric in SCRAPED) or time.monotonic() > end:
            return found
        time.sleep(0.5)


@pytest.fixture(scope="module")
def guesser(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny policy after it has seen what a boxed number looks like: now and then it guesses right."""
    from transformers import AutoModelForCausalLM

    from raysgpo.tasks.math import INSTRUCTION
    from raysgpo.tiny.sft import batches, teach
    from raysgpo.tiny.tiny_model import save_tiny_model
    from raysgpo.tiny.tiny_policy import TinyConfig
    from raysgpo.tiny.tokenizer import byte_tokenizer

    draw = random.Random(0)

    def texts() -> Iterator[tuple[str, str]]:
        while True:
            a, b = draw.randint(2, 5), draw.randint(1, 3)
            yield draw.choice(QUESTIONS)[0].format(a=a, b=b) + INSTRUCTION, f"\\boxed{{{draw.randint(0, 5)}}}"

    config = TinyConfig(threads=1)
    model = AutoModelForCausalLM.from_pretrained(tiny)
    model.config.tie_word_embeddings = False
    model.lm_head.weight = torch.nn.Parameter(model.get_input_embeddings().weight.detach().clone())
    torch.manual_seed(0)
    pairs = batches(byte_tokenizer(config.max_length), texts(), 16)
    teach(model, pairs, 120, 3e-3, lambda line: None, "boxes")
    folder = tmp_path_factory.mktemp("guesser")
    save_tiny_model(model, config, folder)
    return folder


@pytest.fixture(scope="module")
def math_run(ray_session: None, guesser: Path, tmp_path_factory: pytest.TempPathFactory) -> MathRun:
    from raysgpo.recipes.math import math

    folder = tmp_path_factory.mktemp("math")
    write_rows(folder / "rows.jsonl")
    words = [
        f"model={guesser}",
        f"task.path={folder / 'rows.jsonl'}",
        f"storage={folder}",
        f"steps={STEPS}",
        "prompts_per_step=4",
        "sampling.group_size=8",
        "sampling.max_tokens=24",
        "optimizer.lr=1e-3",
        "optimizer.warmup_steps=0",
        "trainer.workers=2",
        "trainer.cpus=0.5",
        "rollout.kv_cache_gib=0.1",
        "evaluation.prompts=4",
        "checkpoint.every=1",
        "checkpoint.keep=9",
    ]
    config = resolve(math(), overrides=words)
    with trained_here(config) as run:
        [name] = [name for name in serve.status().applications if name.endswith("-rollout")]
        replicas = serve.get_app_handle(name).broadcast("state", True).results(timeout_s=30)
        exported = scrape_last_step(run)
    return MathRun(run, guesser, replicas, exported)


def test_rows_are_graded_with_their_format_beside(math_run: MathRun) -> None:
    groups = list(read_rows(math_run.run.groups))
    assert [group["position"] for group in groups] == list(range(4 * STEPS))
    for group in groups:
        assert group["prompt"].endswith("\nPut the final answer in \\boxed{}.")
        assert group["prompt_id"].startswith("row-") and group["metadata"].keys() == {"level"}
        assert not group["judged"]
        for rollout in group["rollouts"]:
            assert rollout["reward_parts"].keys() == {"correctness", "format"}
            parts = rollout["reward_parts"]
            assert rollout["reward"] == pytest.approx(sum(parts.values()) if rollout["correct"] else 0), (
                "algorithm.bonus"
            )
            assert rollout["correct"] == (rollout["reward_parts"]["correctness"] == 1)
    rollouts = [rollout for group in groups for rollout in group["rollouts"]]
    assert {rollout["reward_parts"]["format"] for rollout in rollouts} == {0.0, 0.1}
    assert {rollout["correct"] for rollout in rollouts} == {False, True}


def test_the_replica_holds_the_weights_that_the_two_workers_made(math_run: MathRun) -> None:
    """Bit for bit, after the last of three syncs; and they are not those it began with."""
    from transformers import AutoModelForCausalLM

    [replica] = math_run.replicas
    assert replica.version == STEPS + 1
    assert replica.checksums is not None and "lm_head.weight" in replica.checksums
    trained = checksums_by_version(math_run.run)
    assert replica.checksums == trained[STEPS + 1]
    start = named_checksums(AutoModelForCausalLM.from_pretrained(math_run.model).named_parameters())
    assert start.keys() == replica.checksums.keys()
    assert start != replica.checksums


def test_two_workers_score_what_the_replica_sampled(math_run: MathRun) -> None:
    rows = list(read_rows(math_run.run.metrics))
    trained = [row for row in rows if row["groups/trained"]]
    assert len(rows) == STEPS and trained
    assert max(row["policy/mismatch_abs"] for row in trained) < 1e-5


def test_prometheus_sees_the_numbers_of_the_last_step(math_run: MathRun) -> None:
    last = list(read_rows(math_run.run.metrics))[-1]
    assert math_run.exported == {metric: [pytest.approx(last[metric])] for metric in SCRAPED}
