"""What may be set, and which combinations are refused."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from raysgpo import config as config_file
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
        (["sampling.top_p=0.9"], "leave sampling.top_p=1 and sampling.top_k=0"),
        (["sampling.top_k=5"], "leave sampling.top_p=1 and sampling.top_k=0"),
        (["algorithm.baseline=none"], "set algorithm.scale=none, or algorithm.baseline=mean"),
        (["algorithm=sgpo", "judge=none"], "set judge=rule, or algorithm.partial_credit=none"),
        (["algorithm=sgpo", "task.kind=math", "task.path=x.jsonl"], "set algorithm=grpo"),
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
