"""Words to a Config: keys, presets in any order, files, and messages that name the fix."""

from __future__ import annotations

from pathlib import Path

import pytest

from raysgpo.config import AlgorithmConfig, Config, PartialCreditConfig, RolloutConfig, SamplingConfig
from raysgpo.config.overrides import ConfigError, dotted_keys, dump, load, resolve
from raysgpo.config.presets import PRESETS


def refused(*words: str) -> str:
    with pytest.raises(ConfigError) as caught:
        resolve({}, overrides=words)
    return str(caught.value)


def test_a_dotted_key_sets_one_setting_and_no_other() -> None:
    config = resolve({}, overrides=["sampling.temperature=0.7"])
    assert config.sampling == SamplingConfig(temperature=0.7)
    assert config.model_copy(update={"sampling": SamplingConfig()}) == resolve({})


def test_later_layers_and_words_win() -> None:
    config = resolve(Config(steps=3, seed=1), {"steps": 4}, overrides=["steps=5", "steps=6"])
    assert (config.steps, config.seed) == (6, 1)


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("sampling.temprature=1", "sampling.temprature: unknown key; did you mean sampling.temperature?"),
        ("group_size=1", "group_size: unknown key; did you mean sampling.group_size?"),
        (
            "temperature=1",
            "temperature: unknown key; did you mean judge.temperature or sampling.temperature "
            "or evaluation.temperature?",
        ),
        ("trainer.kl_coefficient=1", "trainer.kl_coefficient: unknown key; did you mean algorithm.kl_coefficient?"),
        ("judge.xyzzy=1", "judge.xyzzy: unknown key; known here: judge.kind, judge.model"),
        ("sampling.group_size=many", "sampling.group_size=many: input should be a valid integer"),
        ("sampling.group_size=0", "sampling.group_size=0: input should be greater than or equal to 1"),
        ("algorithm.scale=standard", "algorithm.scale=standard: input should be 'group_std', 'step_std', 'fixed'"),
        ("algorithm=[sgpo]", "algorithm=['sgpo']: no such preset; choose from grpo, sgpo"),
        ("algorithm=sgop", "algorithm=sgop: no such preset; choose from grpo, sgpo, static, corpo,"),
        ("algorithm.partial_credit=sgp", "algorithm.partial_credit=sgp: no such preset; choose from none, sgpo, sgpo_"),
        ("sampling=8", "sampling=8: sampling is a group of settings; set one of them, such as sampling.group_size="),
        ("task.terms=2,3", "task.terms=2,3: write a list, task.terms=[2,3]"),
        ("judge.replicas=[1]", "judge.replicas=[1]: write a number, or the fewest and the most, as in [1,4]"),
        ("rollout.replicas=many", "rollout.replicas=many: write a number, or the fewest and the most"),
        ("rollout.replicas=true", "rollout.replicas=True: write a number, or the fewest and the most"),
        ("rollout.replicas=[1,2.5]", "rollout.replicas=[1, 2.5]: write a number, or the fewest and the most"),
        (
            "rollout.replicas=0",
            "rollout.replicas=0: write a number, or the fewest and the most, as in [1,4]: 1 or more",
        ),
        ("judge.engine=half", "judge.engine=half: write names with values, 'judge.engine={NAME: VALUE}'"),
        ("epochs=inf", "epochs=inf: input should be a finite number"),
        ("epochs=1e300", "epochs=1e+300: input should be less than or equal to 1000000"),
        ("offline.epochs=.inf", "offline.epochs=inf: input should be a finite number"),
        ("optimizer.lr=inf", "optimizer.lr=inf: input should be a finite number"),
        ("judge.deadline=.nan", "judge.deadline=nan: input should be a finite number"),
        ('sampling.stop=[""]', "sampling.stop=['']: an empty string ends every answer before its first token"),
        ('sampling.stop=["\\ud83d"]', "sampling.stop: '[\"\\\\ud83d\"]' is not readable"),
        ("steps", "'steps': expected key=value"),
        ("=3", "'=3': expected key=value"),
        ("judge.votes=[1", "judge.votes: '[1' is not readable"),
        ("name='a", 'name: "\'a" is not readable'),
        ("name=${x", "name: '${x' is not readable"),
    ],
)
def test_a_wrong_word_is_refused_by_name_with_the_fix(word: str, message: str) -> None:
    assert refused(word).startswith(message)


def test_all_wrong_values_are_told_at_once() -> None:
    assert len(refused("seed=x", "steps=y").splitlines()) == 2


@pytest.mark.parametrize("order", [1, -1])
def test_a_preset_never_undoes_a_setting_inside_it(order: int) -> None:
    words = ["algorithm.partial_credit.beta=3", "algorithm=sgpo", "algorithm.std_ddof=0"][::order]
    assert resolve({}, overrides=words).algorithm == AlgorithmConfig(
        std_ddof=0, partial_credit=PartialCreditConfig(kind="sgpo", beta=3)
    )
    words = ["algorithm.baseline=none", "algorithm.scale=none", "algorithm=sgpo"][::order]
    algorithm = resolve({}, overrides=words).algorithm
    assert (algorithm.baseline, algorithm.scale, algorithm.partial_credit.kind) == ("none", "none", "sgpo")


def test_presets_differ_in_what_they_say_and_keep_what_they_do_not() -> None:
    start = Config(algorithm=AlgorithmConfig(std_ddof=0, kl_coefficient=0.3))
    grpo, sgpo = (resolve(start, overrides=[f"algorithm={name}"]).algorithm for name in ("grpo", "sgpo"))
    assert (grpo.partial_credit.kind, sgpo.partial_credit.kind) == ("none", "sgpo")
    assert grpo.model_copy(update={"partial_credit": sgpo.partial_credit}) == sgpo
    assert (grpo.std_ddof, grpo.kl_coefficient) == (0, 0.3)


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_puts_back_what_another_has_set(name: str) -> None:
    needed = ["algorithm.r_min_correct=0.5"] if name in ("static", "corpo") else []
    alone = resolve({}, overrides=[f"algorithm={name}", *needed]).algorithm
    for other in PRESETS:
        before = resolve({}, overrides=[f"algorithm={other}", "algorithm.r_min_correct=0.3"])
        assert resolve(before, overrides=[f"algorithm={name}", *needed]).algorithm == alone


def test_a_preset_works_in_a_file_too() -> None:
    assert resolve({"algorithm": "sgpo"}) == resolve({}, overrides=["algorithm=sgpo"])


def test_none_is_a_preset_where_there_is_one() -> None:
    assert resolve({}, overrides=["judge=null"]).judge.kind == "none"


def test_free_form_settings_take_any_key() -> None:
    engine = resolve({}, overrides=["rollout.engine.a=1", "rollout.engine.b.c=x"]).rollout.engine
    assert engine == {"a": 1, "b": {"c": "x"}}


def test_what_is_dumped_loads_as_the_same_config(tmp_path: Path) -> None:
    words = ["name='007'", "optimizer.lr=1e-5", 'sampling.stop=["\\n", "Ω: \'"]', "task.terms=[3, 4]", "steps=null"]
    config = resolve({}, overrides=[*words, "rollout.engine.x=1.5", "algorithm=sgpo"])
    assert config.name == "007" and config.sampling.stop == ("\n", "Ω: '")
    file = tmp_path / "config.yaml"
    file.write_text(dump(config), encoding="utf-8")
    assert resolve(load(file)) == config


@pytest.mark.parametrize("text", ["a: [1", "3", "[1, 2]", "name: x\n\tseed: 1", "name: ${x"])
def test_an_unreadable_file_is_named(text: str, tmp_path: Path) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=r"--config .*bad\.yaml"):
        load(file)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.yaml: no such file"):
        load(tmp_path / "none.yaml")


def test_paths_are_made_absolute_where_the_command_was_typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "policy").mkdir()
    words = ["task.kind=math", "task.path=rows.jsonl", "storage=runs", "model=policy"]
    config = resolve({}, overrides=words)
    found = (config.task.path, config.storage, config.model)
    assert found == tuple(str(tmp_path / name) for name in ("rows.jsonl", "runs", "policy"))
    assert resolve({}, overrides=["model=org/policy"]).model == "org/policy"


def test_dotted_keys_are_the_keys_that_can_be_set() -> None:
    keys = list(dotted_keys())
    assert {"seed", "sampling", "sampling.temperature", "algorithm.partial_credit.beta"} <= set(keys)
    assert len(keys) == len(set(keys))
    for key in keys:
        # Whatever is wrong with this value, the key is known.
        assert "unknown key" not in refused(f"{key}=[[]]", "steps=oops")


def test_an_empty_dictionary_leaves_nothing_of_the_recipes() -> None:
    recipe = Config(rollout=RolloutConfig(gpus=2, engine={"tensor_parallel_size": 2, "seed": 1}))
    assert resolve(recipe, overrides=["rollout.engine.seed=3"]).rollout.engine == {"tensor_parallel_size": 2, "seed": 3}
    assert resolve(recipe, overrides=["rollout.engine={}"]).rollout.engine == {}
    assert resolve(recipe, overrides=["rollout.engine={}", "rollout.engine.seed=3"]).rollout.engine == {"seed": 3}
    assert resolve(recipe, overrides=["rollout={}"]).rollout == RolloutConfig()
