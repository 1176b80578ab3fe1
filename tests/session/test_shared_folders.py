"""A folder that a node does not see is named, with the node and the fix; one node is asked nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from raysgpo.config import Config
from raysgpo.config.overrides import ConfigError, resolve
from raysgpo.session import shared_folders
from raysgpo.session.shared_folders import Answer, Question, check_shared, look
from tests.resolved import resolved

HEAD = {"NodeID": "head", "NodeManagerAddress": "10.0.0.1", "Alive": True, "Resources": {"CPU": 2.0}}
OTHER = {"NodeID": "other", "NodeManagerAddress": "10.0.0.2", "Alive": True, "Resources": {"CPU": 2.0}}
GONE = {"NodeID": "gone", "NodeManagerAddress": "10.0.0.3", "Alive": False, "Resources": {}}


@pytest.fixture
def ask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str | None]:
    """``ask(answer=..., nodes=..., *words)``: what the check says, with a node ``other`` that answers so."""
    monkeypatch.setattr(shared_folders, "PATIENCE", 0.0)

    def check(
        *words: str,
        answer: Callable[[Question], Answer | None] = lambda question: look(question, "other"),
        nodes: tuple[dict[str, Any], ...] = (HEAD, OTHER, GONE),
    ) -> str | None:
        asked = resolve({}, overrides=[f"storage={tmp_path}", *words])
        config = resolved(asked)

        def answers(nodes: Any, storage: Path, word: str, *_: Any) -> dict[str, Answer]:
            found = {}
            for node in nodes:
                question = Question(storage, word, tuple(shared_folders._models(config, asked, node["Resources"])))
                given = look(question, "head") if node is HEAD else answer(question)
                if given is not None:
                    found[node["NodeID"]] = given
            return found

        monkeypatch.setattr(shared_folders, "_ask", answers)
        monkeypatch.setattr("ray.nodes", lambda: list(nodes))
        try:
            check_shared(config, asked, deadline=7)
        except ConfigError as error:
            assert "\n" not in str(error)
            return str(error)
        finally:
            assert [file.name for file in tmp_path.iterdir() if file.name.startswith(".seen")] == []
        return None

    return check


def test_nodes_that_see_everything_are_no_news(ask: Callable[..., str | None]) -> None:
    assert ask() is None


def test_a_single_node_is_asked_nothing(ask: Callable[..., str | None]) -> None:
    assert ask(nodes=(HEAD, GONE), answer=lambda _: pytest.fail("it was asked")) is None


def test_a_node_with_another_folder_of_that_name(ask: Callable[..., str | None], tmp_path: Path) -> None:
    def elsewhere(question: Question) -> Answer:
        (folder := tmp_path / "another").mkdir()
        return look(Question(folder, question.word, ()), "other")

    said = ask(answer=elsewhere) or ""
    assert said.startswith(f"storage={tmp_path}: node 10.0.0.2 (")
    assert f"does not see what is written to {tmp_path}; set storage to a folder that all nodes share" in said


def test_a_node_that_may_only_read(ask: Callable[..., str | None], tmp_path: Path) -> None:
    said = ask(answer=lambda _: Answer("worker-1", True, None, (), "Permission denied")) or ""
    assert f"node 10.0.0.2 (worker-1) cannot write to {tmp_path} (Permission denied): let the user" in said


def test_what_a_node_wrote_elsewhere(ask: Callable[..., str | None]) -> None:
    said = ask(answer=lambda question: Answer("worker-1", True, f"{question.word}-other", ())) or ""
    assert "what node 10.0.0.2 (worker-1) writes to" in said and "is not seen here" in said


def test_a_node_that_does_not_answer(ask: Callable[..., str | None], tmp_path: Path) -> None:
    said = ask(answer=lambda _: None) or ""
    assert said.startswith(f"node 10.0.0.2 did not say within 7 s whether it sees {tmp_path} (storage={tmp_path})")


def test_a_model_that_a_node_does_not_have(ask: Callable[..., str | None], tmp_path: Path) -> None:
    model = tmp_path / "model"
    model.mkdir()
    (model / "config.json").write_text("{}")

    def without(question: Question) -> Answer:
        assert [folder for _, folder in question.models] == [model]
        (model / "config.json").rename(model / "hidden")
        return look(question, "other")

    said = ask(f"model={model}", answer=without) or ""
    assert said.startswith(f"model={model}: node 10.0.0.2 (")
    assert said.endswith(
        "does not have the model in that folder: set it to a folder that all nodes share, or to a hub name"
    )


def test_only_nodes_with_room_for_a_part_are_asked_for_its_model(tmp_path: Path) -> None:
    (tmp_path / "judge").mkdir()
    words = [
        f"model={tmp_path}", "algorithm=sgpo", "judge=replicas", f"judge.model={tmp_path}/judge",
        "trainer.gpus=1", "rollout.gpus=2", "judge.gpus=4",
    ]  # fmt: skip
    asked = resolve({}, overrides=words)

    def settings(**node: float) -> list[str]:
        return [setting for setting, _ in shared_folders._models(asked, asked, node)]  # type: ignore[arg-type]

    assert settings(CPU=64) == []
    assert settings(CPU=64, GPU=1) == settings(CPU=64, GPU=2) == [f"model={tmp_path}"]
    assert settings(CPU=64, GPU=8) == [f"model={tmp_path}", f"judge.model={tmp_path}/judge"]


def test_a_model_that_comes_along_is_called_by_where_it_is_made(tmp_path: Path) -> None:
    asked = Config(model_cache=str(tmp_path))
    config = asked.model_copy(update={"model": str(tmp_path)})
    [(setting, _)] = shared_folders._models(config, asked, {"CPU": 8.0})  # type: ignore[arg-type]
    assert setting == f"model_cache={tmp_path}"
