"""Which settings a resumed run may change."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from raysgpo.command.configure import configure
from raysgpo.command.words import Words
from raysgpo.config import AlgorithmConfig, Config, PartialCreditConfig, SamplingConfig
from raysgpo.config.overrides import ConfigError, dump, resolve
from raysgpo.config.recipe import Recipes
from raysgpo.output.run_folder import RunFolder
from raysgpo.start.resume import FIXED, auto_resumed, resume_config, resume_words

SGPO = AlgorithmConfig(partial_credit=PartialCreditConfig(kind="sgpo"))
CHANGES = {
    "seed": "seed=1",
    "model": "model=org/other",
    "prompts_per_step": "prompts_per_step=16",
    "task": "task.prompts=7",
    "curriculum": "curriculum=difficulty",
    "sampling.group_size": "sampling.group_size=16",
    "evaluation.prompts": "evaluation.prompts=3",
    "mode": "mode=offline",
    "offline.groups": "offline.groups=/other.jsonl",
    "offline.passes": "offline.passes=2",
    "offline.keep": "offline.keep=positive",
    "offline.positive_advantage": "offline.positive_advantage=group",
}


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    run = RunFolder.create(tmp_path, "run")
    config = Config(steps=5, storage=str(tmp_path), sampling=SamplingConfig(temperature=0.9), algorithm=SGPO)
    run.config.write_text(dump(config))
    return run


def test_a_run_goes_on_with_its_own_settings_and_what_is_said_now(run: RunFolder, tmp_path: Path) -> None:
    config = resume_config("run-001", tmp_path, ["steps=9", "optimizer.lr=1e-5"])
    assert (config.steps, config.optimizer.lr, config.sampling.temperature) == (9, 1e-5, 0.9)
    assert config.resume == str(run.path)


@pytest.mark.parametrize(
    ("storage", "folder", "words"),
    [
        ("home/raysgpo", "runs", ["resume=run-001"]),
        ("runs of mine", "runs", ["resume=run-001", "storage=ROOT"]),
        ("it's größe", "runs", ["resume=run-001", "storage=ROOT"]),
        ("home/raysgpo", "elsewhere", ["resume=ROOT/elsewhere/run-001"]),
    ],
)
def test_the_words_to_go_on_with_find_the_run_as_a_shell_reads_them(
    storage: str, folder: str, words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    root, config = tmp_path / storage, Config(storage=str(tmp_path / storage))
    run = RunFolder(root / folder / "run-001")
    run.path.mkdir(parents=True)
    run.config.write_text(dump(config))
    typed = shlex.split(resume_words("python jobs/train.py", run, config))
    assert typed == ["python", "jobs/train.py", *(word.replace("ROOT", str(root)) for word in words)]
    assert configure(Words(None, None, typed[2:]), Recipes(tmp_path)).resume == str(run.path)


@pytest.mark.parametrize("key", FIXED)
def test_what_decides_the_data_cannot_be_changed(key: str, run: RunFolder, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        resume_config("run-001", tmp_path, [CHANGES[key]])
    assert str(caught.value).startswith(key) and "see the same data" in str(caught.value)


@pytest.mark.parametrize("key", FIXED)
def test_saying_the_same_again_is_no_change(key: str, run: RunFolder, tmp_path: Path) -> None:
    same = {
        "seed": "seed=0",
        "model": "model=tiny",
        "prompts_per_step": "prompts_per_step=32",
        "task": "task.prompts=1024",
        "curriculum": "curriculum=random",
        "sampling.group_size": "sampling.group_size=8",
        "evaluation.prompts": "evaluation.prompts=128",
        "mode": "mode=online",
        "offline.groups": "offline.groups=null",
        "offline.passes": "offline.passes=1",
        "offline.keep": "offline.keep=all_negative",
        "offline.positive_advantage": "offline.positive_advantage=one",
    }
    assert resume_config("run-001", tmp_path, [same[key]]).resume is not None


def test_an_unknown_run_lists_those_there_are(run: RunFolder, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"resume=run-009: no run there .*: run-001"):
        resume_config("run-009", tmp_path, [])


def test_an_override_is_checked_like_any_other(run: RunFolder, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"did you mean steps\?"):
        resume_config("run-001", tmp_path, ["step=9"])


def typed_again(run: RunFolder, *more: str) -> Config:
    """What a job is given whose cluster runs its words a second time."""
    words = ["name=run", f"storage={run.path.parents[1]}", "resume=auto", "algorithm=sgpo", *more]
    return configure(Words(None, str(run.path.parents[1] / "mine.yaml"), words), Recipes(run.path))


@pytest.fixture
def mine(run: RunFolder, tmp_path: Path) -> RunFolder:
    """The file that the run was started with lies beside its folder."""
    (tmp_path / "mine.yaml").write_text("steps: 5\nsampling: {temperature: 0.9}\n")
    return run


def test_auto_goes_on_with_the_newest_run_of_its_name(mine: RunFolder, tmp_path: Path) -> None:
    assert typed_again(mine).resume == str(mine.path)
    (tmp_path / "runs" / "run-010").mkdir()  # a process was killed before it wrote anything down
    (tmp_path / "runs" / "run-002-b").mkdir()
    assert typed_again(mine).resume == str(mine.path)
    newer = RunFolder.create(tmp_path, "run")
    newer.config.write_text(mine.config.read_text())
    found = typed_again(mine, "steps=9")
    assert (newer.path.name, found.resume, found.steps) == ("run-011", str(newer.path), 9)


def test_auto_starts_a_run_where_there_is_none(mine: RunFolder) -> None:
    assert typed_again(mine, "name=ru").resume is None
    assert typed_again(mine, f"storage={mine.path}/empty").resume is None


def test_auto_refuses_a_run_of_other_data(mine: RunFolder) -> None:
    with pytest.raises(ConfigError) as caught:
        typed_again(mine, "seed=1")
    assert str(caught.value).startswith(f"resume=auto found {mine.path}, but seed=1: the run was started with 0")
    assert str(caught.value).endswith("or give this run another name=")


@pytest.mark.parametrize(
    ("kept", "message"),
    [
        (0, r"config\.yaml is empty, it lacks name and \d+ other settings: write into it"),
        (3, r"config\.yaml is incomplete, it lacks model and \d+ other settings"),
        (-3, r"config\.yaml is incomplete, it lacks offline\.positive_advantage and 2 other settings"),
        (-1, r"config\.yaml is incomplete, it lacks offline\.rejudge: "),
    ],
)
def test_a_configuration_that_was_cut_off_is_refused_and_no_default_taken(
    run: RunFolder, tmp_path: Path, kept: int, message: str
) -> None:
    lines = run.config.read_text().splitlines(keepends=True)
    run.config.write_text("".join(lines[:kept]))
    with pytest.raises(ConfigError, match=message):
        resume_config("run-001", tmp_path, [])


OWN = """
class Mine:
    def __init__(self, config, held_out): ...
"""


def test_a_task_of_ones_own_may_have_moved_and_may_not_become_another(tmp_path: Path) -> None:
    """The working folder of a job is another one each time that it is submitted."""
    for folder in ("first", "second"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "mine.py").write_text(OWN + f"# {folder}\nclass Other(Mine): ...\n")
    first, second = (f"{tmp_path}/{folder}/mine.py" for folder in ("first", "second"))
    run = RunFolder.create(tmp_path, "run")
    started = resolve({"task": f"{first}:Mine", "storage": str(tmp_path)})
    run.config.write_text(dump(started))
    Path(first).unlink()
    assert resume_config("run-001", tmp_path, [f"task={second}:Mine"]).task.kind == f"{second}:Mine"
    assert auto_resumed(resolve({"task": f"{second}:Mine", "storage": str(tmp_path)})).resume == str(run.path)
    with pytest.raises(ConfigError, match=r"task=.*first/mine\.py:Mine: there is no such file"):
        resume_config("run-001", tmp_path, [])
    Path(first).write_text(OWN)
    with pytest.raises(ConfigError, match="a resumed run must see the same data"):
        resume_config("run-001", tmp_path, [f"task={second}:Other"])
