"""What may be set, and which combinations are refused."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from raysgpo import config as config_file
from raysgpo.config import doubtful_algorithm
from raysgpo.overrides import ConfigError, resolve


def undocumented(source: str) -> list[str]:
    """Sections without a docstring, and settings of a plain type without one below them."""
    sections = [node for node in ast.parse(source).body if isinstance(node, ast.ClassDef)]
    names = {section.name for section in sections}
    missing = [section.name for section in sections if ast.get_docstring(section) is None]
    for section in sections:
        for field, after in zip(section.body, [*section.body[1:], None], strict=True):
            if not isinstance(field, ast.AnnAssign) or ast.unparse(field.annotation) in names:
                continue
            if "ClassVar" in ast.unparse(field.annotation):
                continue
            if not (isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)):
                missing.append(f"{section.name}.{ast.unparse(field.target)}")
    return missing


def test_every_section_and_setting_is_documented() -> None:
    assert undocumented(Path(config_file.__file__).read_text(encoding="utf-8")) == []
    assert undocumented('class A:\n    x: int = 1\n    y: int = 2\n    """Said."""\n') == ["A", "A.x"]


@pytest.mark.parametrize(
    ("words", "fix"),
    [
        (["sampling.group_size=1"], "set sampling.group_size to 2 or more, or algorithm.baseline=none"),
        (["sampling.group_size=1", "algorithm=rloo"], "leaves nothing to compare an answer with"),
        (["sampling.group_size=1", "algorithm=corpo", "algorithm.r_min_correct=1"], "or algorithm.baseline=none"),
        (
            ["algorithm.baseline=corpo", "algorithm.scale=none"],
            "algorithm.baseline=corpo needs algorithm.r_min_correct",
        ),
        (["algorithm.baseline=static", "algorithm.r_min_correct=0"], "set algorithm.scale=none or fixed"),
        (["algorithm=static"], "such as algorithm.r_min_correct=0.5"),
        (["algorithm.r_min_correct=.nan", "algorithm=corpo"], "input should be a finite number"),
        (
            ["algorithm.keep=reward_variance", "algorithm=corpo", "algorithm.r_min_correct=0.5"],
            "or set algorithm.force_keep=true",
        ),
        (["algorithm.ratio=sequence", "algorithm.truncation=token"], "set algorithm.ratio=token"),
        (["algorithm.refill_limit=1"], "greater than or equal to 2"),
        (["sampling.top_p=0.9"], "leave sampling.top_p=1 and sampling.top_k=0"),
        (["sampling.top_k=5"], "leave sampling.top_p=1 and sampling.top_k=0"),
        (["algorithm.baseline=none"], "set algorithm.scale=none, or algorithm.baseline=mean"),
        (
            ["algorithm=sgpo", "judge=none"],
            "set judge=tiny, rule, endpoint or replicas, or algorithm.partial_credit=none",
        ),
        (["algorithm=sgpo", "task.kind=math", "task.path=x.jsonl"], "set algorithm=grpo"),
        (["judge=endpoint", "judge.model=m"], "needs judge.base_url, such as https://api.openai.com/v1"),
        (["judge=endpoint", "judge.base_url=http://h/v1"], "needs judge.model, the name of a model"),
        (["judge=replicas"], "needs judge.model, a checkpoint, or tiny"),
        (["judge.base_url=h:8000/v1"], "judge.base_url=h:8000/v1: start it with http:// or https://"),
        (["judge.base_url='http:///v1'"], "judge.base_url=http:///v1: start it with http:// or https:// and a host"),
        (["judge.base_url='http://h:80x/v1'"], "judge.base_url=http://h:80x/v1: start it with"),
        (["judge.replicas=[0,1]"], "judge.replicas=[0,1]: the fewest replicas are 1 or more"),
        (["judge.replicas=[3,2]"], "the most not below the fewest"),
        (["task.kind=math"], "needs task.path"),
        (["task.operators=+/"], "choose from + - *"),
        (["task.operators=''"], "choose from + - *"),
        (["task.terms=1"], "a chain needs 2 terms or more"),
        (["task.terms=[]"], "a chain needs 2 terms or more"),
    ],
)
def test_an_impossible_combination_names_the_key_and_the_fix(words: list[str], fix: str) -> None:
    with pytest.raises(ConfigError) as caught:
        resolve({}, overrides=words)
    assert fix in str(caught.value)
    assert words[0].partition("=")[0].rpartition(".")[2] in str(caught.value)


@pytest.mark.parametrize(
    "words",
    [
        ["algorithm=static", "algorithm.r_min_correct=0.5", "sampling.group_size=1"],
        ["algorithm=positive_only", "sampling.group_size=1"],
        ["algorithm=corpo", "algorithm.r_min_correct=-0.7", "algorithm.scale=fixed", "algorithm.fixed_scale=2"],
        ["algorithm=corpo", "algorithm.r_min_correct=1", "algorithm.keep=reward_variance", "algorithm.force_keep=true"],
        ["algorithm=sgpo_corpo"],
        ["algorithm=grpo", "algorithm.keep=reward_variance"],
    ],
)
def test_unusual_and_possible(words: list[str]) -> None:
    resolve({}, overrides=words)


@pytest.mark.parametrize(
    ("words", "doubt"),
    [
        (
            ["algorithm=corpo", "algorithm.r_min_correct=1"],
            "r_min_correct=1 is not below the largest of the correctness",
        ),
        (["algorithm=static", "algorithm.r_min_correct=2"], "no answer will ever be reinforced"),
        (
            ["algorithm=static", "algorithm.r_min_correct=0"],
            "r_min_correct=0 is not above the least of the correctness",
        ),
        (["algorithm=corpo", "algorithm.r_min_correct=-1"], "no answer will count as failed"),
        (
            ["algorithm=sgpo_corpo", "algorithm.partial_credit.scale=0.8"],
            "scale=0.8, above algorithm.r_min_correct=0.5",
        ),
        (["algorithm=corpo", "algorithm.r_min_correct=0.5"], None),
        (["algorithm=sgpo_corpo"], None),
        (["algorithm=grpo", "algorithm.r_min_correct=7"], None),
    ],
)
def test_what_is_hardly_meant_is_told_with_its_numbers(words: list[str], doubt: str | None) -> None:
    told = list(doubtful_algorithm(resolve({}, overrides=words).algorithm, 0.0, 1.0))
    assert [doubt in line for line in told] == [True] if doubt else told == []


def test_the_range_of_the_rewards_is_the_tasks() -> None:
    """Ordinal rewards in [ln 0.01, ln 0.99] with a coin flip as the least acceptable answer."""
    algorithm = resolve({}, overrides=["algorithm=corpo", "algorithm.r_min_correct=-0.6931"]).algorithm
    assert list(doubtful_algorithm(algorithm, -4.605, -0.01005)) == []
    [told] = doubtful_algorithm(algorithm, 0.0, 1.0)
    assert "0 to 1" in told


@pytest.mark.parametrize("url", ["http://me:hunter2@h/v1", "https://hunter2@h/v1", "me:hunter2@h/v1"])
def test_credentials_in_the_judges_address_are_refused_and_not_shown(url: str) -> None:
    with pytest.raises(ConfigError, match=r"judge\.base_url holds credentials") as caught:
        resolve({}, overrides=["judge=endpoint", "judge.model=m", f"judge.base_url={url}"])
    assert "hunter2" not in str(caught.value) and "judge.api_key_env" in str(caught.value)


def test_each_kind_of_judge_can_be_set_in_words() -> None:
    words = ["judge=endpoint", "judge.model=m", "judge.base_url=https://h/v1"]
    assert resolve({}, overrides=words).judge.base_url == "https://h/v1"
    assert resolve({}, overrides=["judge=tiny"]).judge.model == "tiny"
    assert resolve({}, overrides=["judge=replicas", "judge.model=Qwen/QwQ-32B"]).judge.replicas == (1, 1)
