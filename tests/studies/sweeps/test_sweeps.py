"""Each sweep: its variants are rows of the paper's table, settings that can be, and the same in miniature."""

from __future__ import annotations

import re

import pytest
import yaml

from raysgpo.command.compare import parser, plan
from raysgpo.config.overrides import ConfigError, dump, resolve
from raysgpo.config.run_name import checked_name
from raysgpo.studies.comparison.plan import Plan
from raysgpo.studies.papers.tables import paper_tables
from raysgpo.studies.sweeps.named import SWEEPS
from raysgpo.studies.sweeps.sweep import small_words


def planned(*words: str) -> Plan:
    return plan(parser().parse_intermixed_args(list(words)))


@pytest.mark.parametrize("name", SWEEPS)
def test_variants_are_rows_of_the_papers_table(name: str) -> None:
    table = paper_tables()[re.match(r"(\w+_table_\d+)", name)[0].rstrip("_")]  # type: ignore[index]
    labels = {row.label for row in table.rows} | {row.method for row in table.rows}
    assert set(SWEEPS[name].variants) <= labels


@pytest.mark.parametrize("name", SWEEPS)
def test_a_sweep_is_a_comparison_and_stays_one_in_miniature(name: str) -> None:
    large = planned("--sweep", name)
    assert [variant.name for variant in large.variants] == list(SWEEPS[name].variants)
    assert large.folder.name == f"{large.variants[0].config.name}-{name}"
    assert large.seeds == tuple(map(int, SWEEPS[name].seeds.split(",")))
    small = planned("--sweep", name, "--miniature", "--seeds", "7")
    assert small.seeds == (7,) and {variant.config.steps for variant in small.variants} == {4}
    assert all(not variant.config.rollout.gpus for variant in small.variants)
    assert all(checked_name(run.slug) for run in (*large.runs, *small.runs))
    last = small.runs[-1].config
    assert resolve(yaml.safe_load(dump(last))) == last, "a run begins by what was written down"
    names = [variant.name for variant in small.variants]
    assert len(names) >= 2 and names == [name for name in SWEEPS[name].variants if name in names]


def test_lengths_keep_their_share_of_the_longest_answer() -> None:
    small = planned("--sweep", "g2rpo_a_table_10", "--miniature")
    lengths = {variant.name: variant.config.guidance.length for variant in small.variants}
    tokens = small.variants[0].config.sampling.max_tokens
    assert [lengths[f"Fixed {length}"] for length in (3072, 2048, 1024)] == [
        round(length * tokens / 4096) for length in (3072, 2048, 1024)
    ]
    assert small_words(["guidance.length=50", "judge.votes=4", "judge.model=x", "model=y"], 0.001) == (
        "guidance.length=1",
        "judge.votes=4",
    )


def test_judges_that_a_miniature_cannot_tell_apart_are_one_variant() -> None:
    small = planned("--sweep", "sgpo_table_2", "--miniature")
    assert [variant.name for variant in small.variants] == [
        *("GRPO", "SGPO+o4-MINI-0416", "SGPO+QwQ-32B w/o {beta, gamma}"),
    ]
    large = planned("--sweep", "sgpo_table_2", "judge.base_url=http://gateway/v1")
    assert [variant.config.judge.model for variant in large.variants[1:]] == [
        *("o4-mini", "deepseek-v3-0324", "qwen3-235b-a22b", "qwq-32b", "qwq-32b"),
    ]
    assert {variant.config.judge.base_url for variant in large.variants} == {"http://gateway/v1"}


def test_another_recipe_settings_and_variants_go_with_a_sweep() -> None:
    found = planned("g2rpo_a_0_6b", "--sweep", "g2rpo_a_table_9", "epochs=2", "--variant", "naive: guidance=guided")
    assert found.variants[0].config.model == "Qwen/Qwen3-0.6B-Base" and found.variants[-1].name == "naive"
    assert {variant.config.epochs for variant in found.variants} == {2}, "the user's word is over the sweep's"
    assert {variant.config.epochs for variant in planned("--sweep", "g2rpo_a_table_9").variants} == {1}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--sweep", "sgpo_table_5"), "--sweep sgpo_table_5: no such sweep; choose from sgpo_table_2, "),
        (
            ("--sweep", "sgpo_table_4", "judge.votes=2"),
            "--sweep sgpo_table_4: judge.votes is also set for all variants",
        ),
        (("arithmetic_long", "--sweep", "g2rpo_a_table_1"), "guidance.length=100 leaves nothing to sample"),
    ],
)
def test_what_cannot_be_swept_is_one_line(words: tuple[str, ...], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        planned(*words)
    assert said in str(caught.value) and "\n" not in str(caught.value)
