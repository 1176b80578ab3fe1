from __future__ import annotations

import ast
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raysgpo.config import TaskConfig
from raysgpo.records import Problem
from raysgpo.tasks.arithmetic import ArithmeticTask, Chain, draw_chain, final_answer, split_lines

chains = st.integers(2, 7).flatmap(
    lambda size: st.builds(
        Chain,
        st.tuples(*[st.integers(1, 99)] * size),
        st.text("+-*", min_size=size - 1, max_size=size - 1),
    )
)


def python_value(expression: str) -> int:
    """The value by Python's own grammar and precedence."""
    value = eval(compile(ast.parse(expression, mode="eval"), "chain", "eval"), {"__builtins__": {}})
    assert isinstance(value, int)
    return value


def problem_of(answer: str) -> Problem:
    return Problem(id="p", prompt="?", answer=answer)


def test_a_worked_problem() -> None:
    problem = Chain((3, 4, 9), "+-").problem()
    assert problem.prompt == "3+4-9=?"
    assert problem.reference == "3+4=7\n7-9=-2\n#### -2"
    assert problem.answer == "-2"
    assert problem.metadata == {"terms": 3, "difficulty": 3}


@settings(deadline=None)
@given(chains)
def test_the_expression_the_values_and_every_written_step_agree_with_python(chain: Chain) -> None:
    problem = chain.problem()
    assert problem.reference is not None
    *steps, answer_line = problem.reference.split("\n")
    assert len(steps) == len(chain.terms) - 1
    assert python_value(chain.expression) == int(problem.answer)
    for step in steps:
        left, right = step.split("=")
        assert python_value(left) == int(right)
    assert answer_line == f"#### {steps[-1].split('=')[1]}"


def test_a_sum_that_is_multiplied_stands_in_brackets() -> None:
    assert Chain((2, 3, 4, 5), "*+*").expression == "(2*3+4)*5"
    assert Chain((2, 3, 4), "**").expression == "2*3*4"


def test_a_slip_is_carried_on_from() -> None:
    assert Chain((3, 4, 2), "+-").solution(lambda value: value + 1) == "3+4=8\n8-2=7\n#### 7"


@settings(deadline=None)
@given(chains)
def test_the_reference_is_graded_right_and_any_other_answer_wrong(chain: Chain) -> None:
    task, problem = ArithmeticTask(TaskConfig(prompts=1, format_reward=0.25), 1), chain.problem()
    assert problem.reference is not None
    right = task.grade(problem, problem.reference)
    assert right.correct and right.parts == {"correctness": 1.0, "format": 0.25}
    wrong = task.grade(problem, f"#### {int(problem.answer) + 1}")
    assert not wrong.correct and wrong.parts == {"correctness": 0.0, "format": 0.25}


def test_without_a_format_reward_there_is_no_format_part() -> None:
    task = ArithmeticTask(TaskConfig(prompts=1), 1)
    assert task.grade(problem_of("5"), "#### 5").parts == {"correctness": 1.0}
    assert task.grade(problem_of("5"), "5").parts == {"correctness": 0.0}


@pytest.mark.parametrize("text", ["#### 5", "2+3=5\n#### 5", "2+3=5\n#### 5\n", "  #### 5 \n\n"])
def test_an_answer_line_at_the_end_is_read(text: str) -> None:
    assert final_answer(text) == "5"


@pytest.mark.parametrize(
    "text",
    [
        "", "5", "2+3=5", "####5", "#### ", "#### +5", "#### 05", "#### -0", "#### 5.0", "#### 5 6",
        "#### 5\n2+3=5", "#### 4\n#### 5", "####\n#### 5", "so #### 5", "#### \u0665", "#### five",
    ],
)  # fmt: skip
def test_what_is_not_one_plain_answer_line_at_the_end_is_no_answer(text: str) -> None:
    assert final_answer(text) is None


@settings(deadline=None)
@given(st.text())
def test_splitting_loses_nothing_and_cuts_at_newlines_only(text: str) -> None:
    steps = split_lines(text)
    assert "".join(steps) == text
    assert len(steps) == text.count("\n") + (text != "" and not text.endswith("\n"))
    assert all("\n" not in step[:-1] and step for step in steps)


def test_a_chain_of_n_terms_has_n_reasoning_steps() -> None:
    task = ArithmeticTask(TaskConfig(prompts=20, terms=(2, 5)), 1)
    for problem in task.train:
        assert len(task.split(problem.reference or "")) == problem.metadata["terms"]


def test_problems_are_distinct_and_the_sides_never_meet_whatever_the_seeds() -> None:
    tasks = [ArithmeticTask(TaskConfig(prompts=500, terms=(3, 4), seed=seed), 200) for seed in (0, 1)]
    train = {problem.prompt for task in tasks for problem in task.train}
    held_out = {problem.prompt for task in tasks for problem in task.held_out}
    assert not train & held_out
    for task in tasks:
        assert len({p.prompt for p in task.train}) == len({p.id for p in task.train}) == 500
        assert len({p.prompt for p in task.held_out}) == 200


def test_the_same_seed_gives_the_same_problems_and_another_seed_others() -> None:
    first, again, other = (ArithmeticTask(TaskConfig(prompts=50, seed=seed), 10) for seed in (3, 3, 4))
    assert (first.train, first.held_out) == (again.train, again.held_out)
    assert first.train != other.train


def test_more_prompts_keep_the_earlier_ones() -> None:
    few, many = (ArithmeticTask(TaskConfig(prompts=count), 5) for count in (10, 40))
    assert few.train == many.train[:10]


def test_the_dial_sets_terms_digits_and_operators() -> None:
    task = ArithmeticTask(TaskConfig(prompts=300, terms=(2, 6), digits=2, operators="-"), 1)
    sizes = [problem.metadata["terms"] for problem in task.train]
    assert set(sizes) == {2, 6} and 100 < sizes.count(2) < 200
    for problem in task.train:
        terms = problem.prompt.removesuffix("=?").split("-")
        assert len(terms) == problem.metadata["terms"]
        assert all(10 <= int(term) <= 99 for term in terms)


def test_no_answer_of_the_default_difficulty_can_be_guessed() -> None:
    rng = random.Random(0)
    answers = [draw_chain(rng, 4, 1, "+-").values()[-1] for _ in range(5000)]
    assert max(answers.count(value) for value in set(answers)) / len(answers) < 0.06


@pytest.mark.parametrize(("prompts", "held_out", "key"), [(500, 1, "task.prompts"), (1, 500, "evaluation.prompts")])
def test_more_problems_than_exist_are_refused_with_the_setting_to_change(prompts: int, held_out: int, key: str) -> None:
    with pytest.raises(ValueError, match=f"^{key}=500: .*only .* lower {key}, or raise task.terms"):
        ArithmeticTask(TaskConfig(prompts=prompts, terms=(2,)), held_out)
