"""What may be set, and which combinations are refused."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator

import pytest
import yaml

from raysgpo.config import Config, Section, doubtful_algorithm, doubtful_optimizer
from raysgpo.config.overrides import ConfigError, dump, resolve


def all_sections(base: type[Section] = Section) -> Iterator[type[Section]]:
    for section in base.__subclasses__():
        if section.__module__.startswith("raysgpo.config."):
            yield section
            yield from all_sections(section)


def undocumented(source: str, names: set[str]) -> list[str]:
    """Sections without a docstring, and settings of a plain type, none of ``names``, without one below them."""
    sections = [node for node in ast.parse(source).body if isinstance(node, ast.ClassDef)]
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
    sections = {section.__name__: inspect.getsource(section) for section in all_sections()}
    of_a_run = [field.annotation for field in Config.model_fields.values()]
    assert {kind.__name__ for kind in of_a_run if inspect.isclass(kind) and issubclass(kind, Section)} < set(sections)
    assert [name for source in sections.values() for name in undocumented(source, set(sections))] == []
    source = 'class A:\n    x: int = 1\n    y: int = 2\n    """Said."""\n    z: B = B()\n'
    assert undocumented(source, {"A", "B"}) == ["A", "A.x"]


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
        (
            ["task.kind=arithmetic_verifier", "guidance=g2rpo_a"],
            "task.kind=arithmetic_verifier takes neither guidance nor",
        ),
        (["task.kind=arithmetic_verifier", "algorithm=sgpo"], "set guidance=none and algorithm=grpo, static or corpo"),
        (["task.kind=verifier"], "task.kind=verifier needs task.path, rows of question, solution_a"),
        (["algorithm.r_min_correct=.nan", "algorithm=corpo"], "input should be a finite number"),
        (
            ["algorithm.keep=reward_variance", "algorithm=corpo", "algorithm.r_min_correct=0.5"],
            "or set algorithm.force_keep=true",
        ),
        (["algorithm.baseline=mea"], "choose from mean, leave_one_out, static"),
        (["algorithm.surrogate=clipp"], "did you mean clip?"),
        (["algorithm=reinforce", "algorithm.refill=true"], "set algorithm.refill=false"),
        (["algorithm=reinforce", "algorithm.keep=reward_variance"], "force_keep"),
        (["algorithm=reinforce", "algorithm.scale=group_std"], "set algorithm.scale=none"),
        (
            ["algorithm=rloo", "mode=offline", "offline.keep=all_negative"],
            "algorithm.partial_credit=none teaches nothing",
        ),
        (
            ["algorithm=reinforce", "mode=offline", "offline.keep=positive", "offline.positive_advantage=group"],
            "set algorithm.baseline=mean",
        ),
        (
            ["algorithm=dapo", "algorithm.denominator=sampled"],
            "set algorithm.denominator=trained, or algorithm.refill=f",
        ),
        (["algorithm.denominator=sampled", "mode=offline", "algorithm=sgpo"], "set algorithm.denominator=trained"),
        (["algorithm.partial_credit.gamma=10", "algorithm.partial_credit.kind=raw"], "partial_credit=sgpo_printed"),
        (
            ["optimizer.warmup_ratio=0.1", "optimizer.warmup_steps=3"],
            "set optimizer.warmup_steps=0, or leave the ratio",
        ),
        (
            ["optimizer.updates_per_step=5", "prompts_per_step=4"],
            "optimizer.updates_per_step=5 is more than the prompts_per_step=4 that they are made of: set it to 4 or",
        ),
        (["trainer.attention=varlen", "trainer.layout=padded"], "trainer.layout=shared, or trainer.attention=sdpa"),
        (["trainer.attention=sdpa", "trainer.layout=shared"], "leave it out, or set trainer.layout=padded"),
        (["trainer.workers=4", "trainer.shard_size=3"], "trainer.shard_size=3 does not divide trainer.workers=4"),
        (["rollout.delta=true"], "nothing is broadcast (rollout.transport=auto): set rollout.transport=broadcast"),
        (["rollout.transport=nccl"], "rollout.transport=nccl"),
        (["algorithm.refill_limit=1"], "greater than or equal to 2"),
        (["sampling.top_p=0.9"], "leave sampling.top_p=1 and sampling.top_k=0"),
        (["sampling.top_k=5"], "leave sampling.top_p=1 and sampling.top_k=0"),
        (["algorithm.baseline=none"], "set algorithm.scale=none, or algorithm.baseline=mean"),
        (
            ["algorithm=sgpo", "judge=none"],
            "set judge=tiny, rule, endpoint or replicas, or algorithm.partial_credit=none",
        ),
        (["algorithm.credit=prefix", "judge=none"], "set algorithm.partial_credit=sgpo and a judge, or"),
        (
            ["algorithm=sgpo", "algorithm.credit=split", "algorithm.surrogate=clip_product"],
            "set algorithm.surrogate=clip",
        ),
        (["algorithm=sgpo", "algorithm.credit=split", "algorithm.negative_weight=0.5"], "algorithm.credit=prefix"),
        (["algorithm=sgpo", "algorithm.credit=split", "algorithm.max_negative_mass=9"], "algorithm.credit=prefix"),
        (["algorithm.credit=token"], "'answer', 'prefix' or 'split'"),
        (["algorithm=sgpo", "task.kind=math", "task.path=x.jsonl"], "set algorithm=grpo"),
        (["judge=endpoint", "judge.model=m"], "needs judge.base_url, such as https://api.openai.com/v1"),
        (["judge=endpoint", "judge.base_url=http://h/v1"], "needs judge.model, the name of a model"),
        (["judge=replicas"], "needs judge.model, a checkpoint, or tiny"),
        (["judge.base_url=h:8000/v1"], "judge.base_url=h:8000/v1: start it with http:// or https://"),
        (["judge.base_url='http:///v1'"], "judge.base_url=http:///v1: start it with http:// or https:// and a host"),
        (["judge.base_url='http://h:80x/v1'"], "judge.base_url=http://h:80x/v1: start it with"),
        (["judge.replicas=[0,1]"], "judge.replicas=[0, 1]: write a number, or the fewest and the most"),
        (["rollout.replicas=[3,2]"], "1 or more, and the most not below the fewest"),
        (["rollout.upscale_delay=-1"], "greater than or equal to 0"),
        (["guidance.ratio=1.5", "guidance=guided"], "less than or equal to 1"),
        (["guidance.ratio=-0.1"], "greater than or equal to 0"),
        (["guidance.length=64", "guidance=guided"], "sampling.max_tokens=64 tokens, guidance included"),
        (["guidance.max_length=99", "guidance=g2rpo_a"], "set guidance.max_length below 64"),
        (["guidance.min_length=9", "guidance=g2rpo_a", "guidance.max_length=8"], "exceeds guidance.max_length=8"),
        (["guidance.length=9", "guidance=g2rpo_a", "guidance.max_length=8"], "exceeds guidance.max_length=8"),
        (["guidance.length=9", "guidance=g2rpo_a", "guidance.min_length=9.5"], "is below guidance.min_length=9.5"),
        (
            ["guidance.signal_of=unguided", "guidance=g2rpo_a", "guidance.ratio=1"],
            "set guidance.signal_of=all, or lower guidance.ratio",
        ),
        (["curriculum.success_window=[0.8,0.2]"], "the lower one first, as in [0.2,0.8]"),
        (["curriculum.success_window=[-0.1,1]"], "give two shares"),
        (["curriculum.remove_above=imo"], "curriculum.tiers has cn_contest"),
        (["curriculum.remove_above=3", "curriculum=tier"], "no such tier"),
        (
            ["curriculum.replace_above=imo"],
            "curriculum.replace_above=imo: no such tier; curriculum.tiers has cn_contest",
        ),
        (["curriculum.remove_above=3", "curriculum.replace_above=2"], "leave one of them out"),
        (["steps=-1"], "greater than or equal to 0"),
        (["steps=0", "evaluation.every=0"], "set evaluation.every to 1 or more"),
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
    ("words", "fix"),
    [
        (["guidance=g2rpo_a"], "set guidance=none, or take offline.groups of a guided run"),
        (["steps=0"], "steps=0 evaluates a model and trains nothing"),
        (["curriculum=success"], "curriculum.order=success: an offline run shuffles"),
        (["curriculum.success_window=[0.2,0.8]"], "set curriculum.success_window=null"),
        (["curriculum.remove_above=2", "offline.groups=f.jsonl"], "set curriculum.remove_above=null"),
        (["offline.keep=solutions", "offline.groups=f.jsonl"], "leave the file out, or set offline.keep=positive"),
        (["offline.keep=solutions", "offline.positive_advantage=group"], "set offline.positive_advantage=one"),
        (["curriculum.replace_above=2", "offline.groups=f.jsonl"], "set curriculum.replace_above=null"),
    ],
)
def test_what_has_no_meaning_offline_is_refused_there_alone(words: list[str], fix: str) -> None:
    resolve({}, overrides=["algorithm=sgpo", *words])
    with pytest.raises(ConfigError) as caught:
        resolve({"mode": "offline"}, overrides=["algorithm=sgpo", *words])
    assert fix in str(caught.value)


def test_hard_prompts_may_be_left_out_of_what_is_sampled_offline() -> None:
    settings = ["algorithm=sgpo", "curriculum.remove_above=2", "curriculum.success_window=null"]
    assert resolve({"mode": "offline"}, overrides=settings).curriculum.remove_above == 2


@pytest.mark.parametrize(
    "words",
    [
        ["algorithm=static", "algorithm.r_min_correct=0.5", "sampling.group_size=1"],
        ["algorithm=positive_only", "sampling.group_size=1"],
        ["algorithm=corpo", "algorithm.r_min_correct=-0.7", "algorithm.scale=fixed", "algorithm.fixed_scale=2"],
        ["algorithm=corpo", "algorithm.r_min_correct=1", "algorithm.keep=reward_variance", "algorithm.force_keep=true"],
        ["algorithm=sgpo_corpo"],
        ["steps=0", "algorithm=sgpo", "judge=rule"],
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


@pytest.mark.parametrize("section", ["rollout", "judge"])
def test_a_number_of_replicas_is_as_many_at_least_and_at_most(section: str) -> None:
    config = resolve({}, overrides=["rollout.replicas=2", "judge.replicas=[2,2]"])
    assert config.rollout.replicas == config.judge.replicas == (2, 2)
    words = [f"{section}.replicas=[1,4]"]
    again = resolve(yaml.safe_load(dump(resolve({}, overrides=words))))
    assert getattr(again, section).replicas == (1, 4)


def test_guidance_is_a_word_beside_every_algorithm() -> None:
    for algorithm in ("grpo", "sgpo"):
        for word, schedule in (("none", "none"), ("guided", "fixed"), ("rdp", "linear"), ("g2rpo_a", "adaptive")):
            config = resolve({}, overrides=[f"guidance={word}", f"algorithm={algorithm}"])
            assert (config.guidance.schedule, config.guidance.on) == (schedule, word != "none")
            assert config.algorithm == resolve({}, overrides=[f"algorithm={algorithm}"]).algorithm


def test_lengths_of_guidance_that_is_off_or_in_the_prompt_are_not_bounded_by_the_answer() -> None:
    assert resolve({}, overrides=["guidance.length=999"]).guidance.length == 999
    words = ["guidance=guided", "guidance.length=999", "guidance.placement=prompt"]
    assert resolve({}, overrides=words).guidance.length == 999


def test_updates_that_do_not_divide_a_step_are_said() -> None:
    assert list(doubtful_optimizer(resolve({}, overrides=["optimizer.updates_per_step=4"]).optimizer, 32)) == []
    [told] = doubtful_optimizer(resolve({}, overrides=["optimizer.updates_per_step=3"]).optimizer, 32)
    assert told == (
        "warning: optimizer.updates_per_step=3 does not divide prompts_per_step=32: the first updates of a step take "
        "11 groups, the last 10"
    )


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], None),
        (["rollout.transport=broadcast"], "gloo"),
        (["rollout.gpus=1", "trainer.gpus=1"], "nccl"),
        (["rollout.gpus=2", "trainer.gpus=1", "rollout.transport=store"], None),
        (["rollout.gpus=0.5", "trainer.gpus=0.5"], None),
        (["rollout.gpus=1", "trainer.gpus=0", "rollout.transport=broadcast"], "gloo"),
    ],
)
def test_weights_are_broadcast_between_gpus_of_their_own(words: list[str], expected: str | None) -> None:
    assert resolve({}, overrides=words).broadcast == expected


@pytest.mark.parametrize(
    ("trainer", "rollout", "engine", "expected"),
    [
        ("float32", "float32", {}, "float32"),
        ("bfloat16", "float32", {}, "bfloat16"),
        ("float32", "bfloat16", {}, "bfloat16"),
        ("float32", "float32", {"dtype": "bfloat16"}, "bfloat16"),
        ("float32", "bfloat16", {"dtype": "float32"}, "float32"),
    ],
)
def test_weights_travel_in_the_narrower_type(trainer: str, rollout: str, engine: dict[str, str], expected: str) -> None:
    config = resolve(
        {"rollout": {"engine": engine}}, overrides=[f"trainer.dtype={trainer}", f"rollout.dtype={rollout}"]
    )
    assert config.weights_dtype == expected


def test_all_of_a_validation_set_can_be_held_out_where_there_is_one() -> None:
    words = ["task.kind=math", "task.path=a.jsonl", "evaluation.prompts=all"]
    assert resolve({}, overrides=[*words, "task.eval_path=b.jsonl"]).evaluation.most_prompts > 10**12
    assert resolve({}, overrides=["evaluation.prompts=7"]).evaluation.most_prompts == 7
    for wrong in (words, ["evaluation.prompts=all", "task.eval_path=b.jsonl"]):
        with pytest.raises(ConfigError, match="holds out every row of task"):
            resolve({}, overrides=wrong)
    with pytest.raises(ConfigError, match=r"evaluation\.prompts"):
        resolve({}, overrides=["evaluation.prompts=some"])
