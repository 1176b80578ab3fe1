"""docs/your-own.md: the code that it shows works as it says, in as few lines as it says."""

from __future__ import annotations

import asyncio
import inspect
import re
from pathlib import Path

import pytest

from raysgpo import Config, Grade, Problem
from raysgpo.config.overrides import resolve
from raysgpo.config.recipe import load_recipe
from raysgpo.tasks.grader import make_grader
from raysgpo.tasks.kinds import build_task
from raysgpo.tasks.one_row import check_on_one_row
from raysgpo.user_code.code import find

PAGE = (Path(__file__).parents[2] / "docs" / "your-own.md").read_text()
BRIEF, EXACT, SMALL, NOTEBOOK = re.findall(r"^```python\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, text in (("brief.py", BRIEF), ("exact.py", EXACT), ("small.py", SMALL), ("notebook.py", NOTEBOOK)):
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_reward_has_at_most_twenty_lines() -> None:
    assert len(BRIEF.splitlines()) <= 20 and "trains with it" in PAGE


@pytest.mark.slow
@pytest.mark.usefixtures("folder")
def test_the_reward_is_graded_beside_the_task_as_the_page_says() -> None:
    config = resolve({}, overrides=["reward=brief.py:brief", "task.prompts=4", "task.terms=3"])
    task = build_task(config)
    check_on_one_row(task, config)
    problem = Problem("p", "1+2+3=?", "6", metadata={"terms": 3})
    grader = make_grader(task, config)
    right, wrong = asyncio.run(grader.grades(problem, ["1+2=3\n3+3=6\n#### 6", "1+2=3\nwell\nwell\nwell\n#### 7"]))
    grader.close()
    assert right == Grade(True, {"correctness": 1.0, "sums": 0.2, "rambling": 0.0})
    assert (wrong.correct, wrong.parts) == (False, {"correctness": 0.0, "sums": 0.1, "rambling": -0.2})


def test_a_grade_in_the_tasks_place(folder: Path) -> None:
    exact = find(f"{folder}/exact.py:exact").value()
    assert callable(exact) and exact(Problem("p", "", "12"), "so 12 ") == Grade(True)


def test_the_recipe_and_what_the_notebook_trains_are_settings(folder: Path) -> None:
    assert load_recipe(folder / "small.py").steps == 2
    made: list[Config] = []
    source = NOTEBOOK.replace("from raysgpo import Config, train", "from raysgpo import Config")
    exec(source, {"train": made.append})
    assert resolve(made[0]).reward.function == f"{folder}/brief.py:brief"


def test_what_may_be_imported_is_what_the_stub_says() -> None:
    import raysgpo as package

    stub = Path(inspect.getfile(package)).with_name("__init__.pyi").read_text()
    names = vars(package)["__all__"]
    assert set(re.findall(r"import \w+ as (\w+)", stub)) == set(names)
    for name in names:
        assert getattr(package, name) is not None
    with pytest.raises(ImportError):
        from raysgpo import nothing  # type: ignore[attr-defined]  # noqa: F401
