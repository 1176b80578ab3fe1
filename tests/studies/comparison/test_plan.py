"""What a comparison's words mean, and which of them are refused before anything starts."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raysgpo.config import Config
from raysgpo.config.overrides import ConfigError, dump, resolve
from raysgpo.studies.comparison.plan import Plan, make_plan
from raysgpo.studies.comparison.variants import split_values


def plan(
    *vary: str,
    words: tuple[str, ...] = (),
    seeds: str = "0,1",
    name: str | None = None,
    variants: tuple[str, ...] = (),
) -> Plan:
    return make_plan([Config(name="arithmetic")], ["storage=/st", *words], vary, seeds, name, variants)


def test_the_papers_variants() -> None:
    for vary, key, values in (
        ("algorithm=grpo,sgpo", "algorithm.partial_credit.kind", ["none", "sgpo"]),
        ("algorithm.partial_credit=sgpo,raw", "algorithm.partial_credit.kind", ["sgpo", "raw"]),
    ):
        assert plan(vary).differing == {key: values}
    assert plan("judge.votes=1,4", words=("algorithm=sgpo",)).differing == {"judge.votes": [1, 4]}


def test_several_varied_keys_make_every_combination_the_first_one_first() -> None:
    names = [one.name for one in plan("algorithm=sgpo,grpo", "optimizer.lr=1e-4,1e-5").variants]
    assert names == [
        "algorithm=sgpo optimizer.lr=1e-4",
        "algorithm=sgpo optimizer.lr=1e-5",
        "algorithm=grpo optimizer.lr=1e-4",
        "algorithm=grpo optimizer.lr=1e-5",
    ]


def test_variants_of_several_settings_follow_those_that_are_varied() -> None:
    found = plan(
        "guidance=none,g2rpo_a",
        variants=(
            "guidance=rdp 'guidance.ratio=0.5'",
            "naive, in the prompt: guidance=guided guidance.placement=prompt",
        ),
    )
    assert [(one.name, one.slug) for one in found.variants[2:]] == [
        ("guidance=rdp guidance.ratio=0.5", "guidance-rdp-guidance.ratio-0.5"),
        ("naive, in the prompt", "naive-in-the-prompt"),
    ]
    assert found.differing["guidance.schedule"] == ["none", "adaptive", "linear", "fixed"]
    assert found.differing["guidance.ratio"] == [0.25, 0.25, 0.5, 0.25]
    assert found.differing["guidance.placement"] == ["answer", "answer", "answer", "prompt"]
    assert found.folder.name == "arithmetic-guidance-guidance-ratio-guidance-placement"


def test_a_variant_that_is_only_named_has_the_settings_of_all() -> None:
    """And a colon inside of a value ends no name."""
    found = plan(words=("steps=9",), variants=("as it is:", "lr: optimizer.lr=1"))
    assert [one.name for one in found.variants] == ["as it is", "lr"]
    assert found.variants[0].config == resolve(Config(name="arithmetic"), overrides=["storage=/st", "steps=9"])
    judged = plan(
        variants=("algorithm=grpo", "algorithm=sgpo judge=endpoint judge.model=m judge.base_url=http://h:1/v1")
    )
    assert judged.variants[1].config.judge.base_url == "http://h:1/v1"


@pytest.mark.parametrize(
    ("variants", "words", "message"),
    [
        (("guidance=rdp",), [], "one variant is no comparison; give a second --variant"),
        (("",), [], "expected key=value words in one pair of quotes, a name before them if you like"),
        (("naive guidance=rdp", "steps=3"), [], "expected key=value words"),
        (("=3", "steps=3"), [], "expected key=value words"),
        (("a: 'steps=3", "steps=3"), [], "No closing quotation"),
        (("a: steps=3", "a: steps=4"), [], "two variants are called 'a'"),
        (("a: seed=3", "steps=4"), [], "give them as --seeds"),
        (("a: storage=/x", "steps=4"), [], "the comparison sets storage itself"),
        (("a: steps=3", "steps=4"), ["steps=5"], "steps is also set for all variants"),
        (("a: guidance=guidet", "steps=4"), [], "guidance=guidet: no such preset; .* did you mean guided"),
        (("a: steps=3", "b: steps=3"), [], "variants 'a' and 'b' differ in nothing"),
    ],
)
def test_wrong_variants_are_refused(variants: tuple[str, ...], words: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        plan(words=tuple(words), variants=variants)


def test_runs_differ_from_one_another_in_what_is_varied_the_seed_and_the_name_alone() -> None:
    runs = plan("algorithm=grpo,sgpo").runs
    assert [(run.variant.name, run.seed) for run in runs] == [
        ("algorithm=grpo", 0),
        ("algorithm=sgpo", 0),
        ("algorithm=grpo", 1),
        ("algorithm=sgpo", 1),
    ]
    words = [f"storage=/st algorithm={run.slug.split('-')[1]} seed={run.seed} name={run.slug}".split() for run in runs]
    assert [run.config for run in runs] == [resolve(Config(), overrides=each) for each in words]


def test_a_run_is_what_its_saved_settings_say(tmp_path: Path) -> None:
    import yaml

    for run in plan("task.terms=[4,5],[3]").runs:
        assert resolve(yaml.safe_load(dump(run.config))) == run.config


def test_folders_and_slugs_are_safe_as_parts_of_addresses_and_apart() -> None:
    one = plan("task.operators=+-,+*,-*,+", name="mine.1", words=("algorithm=grpo",))
    slugs = [variant.slug for variant in one.variants]
    assert slugs == ["task.operators", "task.operators-2", "task.operators-3", "task.operators-4"]
    assert (one.folder, plan("task.terms=[4],[5]").folder) == (
        Path("/st/comparisons/mine.1"),
        Path("/st/comparisons/arithmetic-task-terms"),
    )
    assert one.run_path(one.runs[1]) == one.folder / "runs" / "task.operators-2-seed0"


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("grpo,sgpo", ["grpo", "sgpo"]),
        ("[0,1],[1,2]", ["[0,1]", "[1,2]"]),
        ("{a: [1,2], b: 3},x", ["{a: [1,2], b: 3}", "x"]),
        ("'a,b',\"c,d\",e", ["'a,b'", '"c,d"', "e"]),
        ("['x,]',y],z", ["['x,]',y]", "z"]),
        ("don't,do", ["don't", "do"]),
        ("a", ["a"]),
        ("a,,b", ["a", "", "b"]),
    ],
)
def test_commas_inside_of_brackets_and_quotes_do_not_split(text: str, values: list[str]) -> None:
    assert split_values(text) == values


@given(st.lists(st.lists(st.integers(0, 99), min_size=1).map(lambda row: f"[{','.join(map(str, row))}]"), min_size=1))
def test_lists_joined_by_commas_come_apart_again(values: list[str]) -> None:
    assert split_values(",".join(values)) == values


@pytest.mark.parametrize(
    ("vary", "words", "message"),
    [
        ([], [], "--vary is missing"),
        (["algorithm"], [], "expected key=a,b"),
        (["algorithm=grpo"], [], "one value is no difference; give two or more, or algorithm=grpo without --vary"),
        (["algorithm=grpo,"], [], "an empty value"),
        (["task.terms=[4,[5"], [], "']' is missing"),
        (["algorithm=grpo,sgqo"], [], "algorithm=sgqo: no such preset; choose from grpo, sgpo"),
        (["algoritm=grpo,sgpo"], [], "algoritm: unknown key; did you mean algorithm?"),
        (["optimizer.lr=1e-4,fast"], [], "optimizer.lr=fast: input should be a valid number"),
        (["seed=0,1"], [], "variants seed=0 and seed=1 differ in the seed only; .* --seeds 0,1"),
        (["name=a,b"], [], "the comparison sets name itself"),
        (["algorithm=grpo,sgpo"], ["seed=1"], "a comparison's seeds are given as --seeds"),
        (["algorithm=grpo,sgpo"], ["resume=x"], "the comparison sets resume itself"),
        (["algorithm=grpo,sgpo"], ["algorithm=grpo"], "algorithm is also set for all variants"),
        (["steps=1,2", "steps=3,4"], [], "steps is varied twice"),
        (["algorithm=grpo,sgpo"], ["evaluation.every=0"], "a comparison needs held-out evaluations"),
    ],
)
def test_wrong_words_are_refused(vary: list[str], words: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        plan(*vary, words=tuple(words))


@pytest.mark.parametrize(
    ("vary", "words", "one", "other"),
    [
        (["algorithm=sgpo,sgpo"], [], "algorithm=sgpo", "algorithm=sgpo"),
        (["optimizer.lr=1e-4,0.0001"], [], "optimizer.lr=1e-4", "optimizer.lr=0.0001"),
        (["algorithm=grpo,sgpo"], ["algorithm.partial_credit=raw"], "algorithm=grpo", "algorithm=sgpo"),
        (
            ["algorithm=grpo,sgpo", "judge.votes=1,4"],
            [],
            "algorithm=grpo judge.votes=1",
            "algorithm=grpo judge.votes=4",
        ),
        (["guidance.ratio=0.25,0.5"], [], "guidance.ratio=0.25", "guidance.ratio=0.5"),
        (["algorithm.r_min_correct=0.4,0.5"], [], "algorithm.r_min_correct=0.4", "algorithm.r_min_correct=0.5"),
    ],
)
def test_variants_that_differ_in_nothing_are_named(vary: list[str], words: list[str], one: str, other: str) -> None:
    with pytest.raises(ConfigError, match=f"variants '{one}' and '{other}' differ in nothing"):
        plan(*vary, words=tuple(words))


@pytest.mark.parametrize(
    ("seeds", "message"), [("", "whole numbers"), ("0,x", "whole numbers"), ("-1", "whole numbers"), ("1,2,1", "twice")]
)
def test_seeds_are_distinct_whole_numbers(seeds: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        plan("algorithm=grpo,sgpo", seeds=seeds)


def test_a_name_that_is_no_folder_name_is_refused_with_one_that_is() -> None:
    with pytest.raises(ConfigError, match=r"--name \.\./x: .* such as x"):
        plan("algorithm=grpo,sgpo", name="../x")
