from __future__ import annotations

import json
import random
import re
from collections import Counter
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel

from raysgpo.config import TaskConfig
from raysgpo.judging.compact import END
from raysgpo.judging.rule import first_wrong
from raysgpo.tasks.arithmetic import ArithmeticTask, Chain, final_answer, split_lines
from raysgpo.tiny import tiny_judge
from raysgpo.tiny.corruption import corrupted, drill
from raysgpo.tiny.responses import sample_responses
from raysgpo.tiny.tiny_judge import (
    TinyJudgeConfig,
    ensure_tiny_judge,
    judge_folder,
    lesson,
    real_lessons,
    train_tiny_judge,
    verdicts_so_far,
)
from raysgpo.tiny.tiny_policy import ensure_tiny_policy
from raysgpo.tiny.tokenizer import byte_tokenizer
from tests.policy.small import JUDGE as SMALL
from tests.policy.small import POLICY

pytestmark = pytest.mark.slow

CHAIN = Chain((3, 4, 2), "+-")
HELD_OUT = ArithmeticTask(TaskConfig(terms=(2, 3, 4, 5)), 1500).held_out


def weights(model: PreTrainedModel) -> torch.Tensor:
    return torch.cat([value.detach().flatten() for value in model.parameters()])


@pytest.fixture
def silent() -> Callable[[str], None]:
    return lambda line: None


def test_a_lesson_is_the_table_and_the_letter_of_the_first_wrong_step() -> None:
    table, answer = lesson(CHAIN.problem(), "3+4=7\n7-2=6\n#### 6")
    assert answer == "b"
    assert table.split("\n")[1] == "b77b--b22b==b56b;;"
    assert lesson(CHAIN.problem(), "3+4=7\n7-")[1] == "-"


def test_the_verdict_so_far_turns_where_the_first_unequal_pair_ends() -> None:
    table = lesson(CHAIN.problem(), "3+4=7\n7-9=1\n")[0]
    wrong = table.index("b29") + 2
    verdicts = verdicts_so_far(table)
    assert len(verdicts) == 6 + 6 + 7
    assert {verdict for place, verdict in verdicts if place < wrong} == {"-"}
    assert {verdict for place, verdict in verdicts if place >= wrong} == {"b"}


@pytest.mark.parametrize("seed", range(3))
def test_the_verdict_on_the_whole_table_is_the_rule_judges(seed: int) -> None:
    rng = random.Random(seed)
    taught = [(chain.problem(), corrupted(chain, rng)) for chain in [Chain((9, 8, 7, 6), "+--")] * 700]
    for problem, text in [*taught, *(drill(rng) for _ in range(700))]:
        table, answer = lesson(problem, text)
        assert verdicts_so_far(table)[-1][1] == answer


def test_every_pair_and_the_answer_carry_loss_and_nothing_else() -> None:
    table = "a33a+-a44\nb66[ | ]"
    tokenizer = byte_tokenizer(64)
    ids_BT, labels_BT = tiny_judge._lesson_batch(tokenizer, [("a11", "-"), (table, "a")])
    taught = {place: chr(label) for place, label in enumerate(labels_BT[1].tolist()) if 0 <= label < 256}
    # The label of a place is what the token before it has to say; the table begins at place 1.
    said_behind = {place - 1: label for place, label in taught.items()}
    assert said_behind == {3: "-", 6: "a", 9: "a", 13: "a", len(table) + 2: "a"}
    assert [tokenizer.decode(ids_BT[1][place]) for place in said_behind] == ["3", "-", "4", "6", "<|assistant|>"]
    assert int((labels_BT[1] == tokenizer.eos_token_id).sum()) == 1


def test_corruptions_err_in_every_line_and_beyond_and_sometimes_not_at_all() -> None:
    rng, problem = random.Random(0), CHAIN.problem()
    responses = [split_lines(corrupted(CHAIN, rng)) for _ in range(3000)]
    found = Counter(
        "none" if (first := first_wrong(problem, steps)) == len(steps) else str(first + 1) for steps in responses
    )
    assert set(found) == {"none", "1", "2", "3", "4"}
    assert min(found.values()) > 150
    cut = sum(not steps[-1].endswith("\n") and final_answer("".join(steps)) is None for steps in responses)
    assert cut > 300


def test_no_lesson_shows_a_held_out_chain(tmp_path: Path, silent: Callable[[str], None]) -> None:
    config = SMALL.model_copy(update={"drill_share": 0.0, "operators": "+-"})
    policy = ensure_tiny_policy(tmp_path, report=silent, config=POLICY)
    generated = islice(tiny_judge._responses(config, [], random.Random(0)), 4000)
    real = real_lessons(policy, config.model_copy(update={"real_responses": 300}))
    shown = {reference_of(table) for table, _ in [*generated, *real]}
    assert len(shown) > 2000
    assert not shown & {problem.reference for problem in HELD_OUT}


def reference_of(table: str) -> str:
    """Read back from the table's middle column."""
    triples = re.compile("(?:[a-z-]..)*")
    columns = (triples.match(row).group()[1::3] for row in table.split("\n"))  # type: ignore[union-attr]
    return "\n".join(column[: column.index(END)] for column in columns if END in column)


def test_the_reference_can_be_read_from_a_table() -> None:
    problem = HELD_OUT[0]
    assert reference_of(lesson(problem, "1[\n\n 2\n3\n4\n5\n6\n7")[0]) == problem.reference


def test_the_seed_and_the_lessons_decide_the_weights_and_nothing_else_does(silent: Callable[[str], None]) -> None:
    torch.manual_seed(1)
    first = weights(train_tiny_judge(SMALL, [], silent))
    torch.manual_seed(2)
    assert torch.equal(first, weights(train_tiny_judge(SMALL, [], silent)))
    assert not torch.equal(first, weights(train_tiny_judge(SMALL.model_copy(update={"seed": 1}), [], silent)))
    assert not torch.equal(first, weights(train_tiny_judge(SMALL, [("a11", "-")], silent)))


def test_the_saved_folder_gives_back_the_same_judge(tmp_path: Path, silent: Callable[[str], None]) -> None:
    folder = ensure_tiny_judge(tmp_path, silent, SMALL)
    policy = ensure_tiny_policy(tmp_path, report=pytest.fail, config=POLICY)
    model = AutoModelForCausalLM.from_pretrained(folder)
    expected = train_tiny_judge(SMALL, real_lessons(policy, SMALL), silent)
    assert torch.equal(weights(model), weights(expected))
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert model.config.vocab_size == len(tokenizer)
    assert model.generation_config.eos_token_id == tokenizer.eos_token_id
    assert not model.generation_config.do_sample
    assert TinyJudgeConfig(**json.loads((folder / "made_by.json").read_text())) == SMALL


def test_a_judge_is_made_once_for_its_settings_and_its_policy(tmp_path: Path, silent: Callable[[str], None]) -> None:
    folder = ensure_tiny_judge(tmp_path, silent, SMALL)
    assert ensure_tiny_judge(tmp_path, pytest.fail, SMALL) == folder == judge_folder(tmp_path, SMALL)
    other_policy = SMALL.model_copy(update={"policy": POLICY.model_copy(update={"seed": 1})})
    assert judge_folder(tmp_path, other_policy) != folder


def test_an_interrupted_making_leaves_no_judge_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(model: PreTrainedModel, config: TinyJudgeConfig, folder: Path) -> None:
        (folder / "half.safetensors").write_text("half")
        raise KeyboardInterrupt

    monkeypatch.setattr(tiny_judge, "save_tiny_model", interrupt)
    with pytest.raises(KeyboardInterrupt):
        ensure_tiny_judge(tmp_path, lambda line: None, SMALL.model_copy(update={"real_share": 0.0}))
    assert list((tmp_path / "models").iterdir()) == []


def test_a_response_does_not_depend_on_the_prompts_beside_it(tmp_path: Path, silent: Callable[[str], None]) -> None:
    """Shorter prompts are padded on the left; near temperature 0 sampling is greedy."""
    policy = ensure_tiny_policy(tmp_path, report=silent, config=POLICY)
    prompts = ["1+2=?", "3+4-2=?", "9-8+7-6=?"]
    together = sample_responses(policy, prompts, max_tokens=12, temperature=1e-6)
    assert together == [sample_responses(policy, [prompt], 12, 1e-6)[0] for prompt in prompts]
