"""From the words of ``jobs/evaluate.py`` to a plan: which model, which set and which setting each word names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from omegaconf import OmegaConf
from pydantic import ValidationError

from raysgpo.config import Config, JudgeConfig
from raysgpo.config.judge import impossible_judge
from raysgpo.config.overrides import UNREADABLE, ConfigError, resolve, told
from raysgpo.config.places import user_path
from raysgpo.config.question_set import QuestionSetConfig
from raysgpo.config.section import no_such
from raysgpo.evaluation.catalogue import chosen_sets

OF_SETS = tuple(name for name in QuestionSetConfig.model_fields if name not in ("name", "path", "bring"))
"""Settings of a set that words may change."""
OF_SERVERS = ("server", "examiner")
"""Sections whose settings are those of ``judge``."""
OF_RUNS = ("seed", "storage", "scratch", "model_cache")
"""Settings of a run that hold here too, beside those of ``rollout``."""


class EvaluationWords:
    """``key=value`` words by what they set."""

    def __init__(self, sets: Sequence[str], words: Sequence[str]) -> None:
        """``sets``: as ``chosen_sets`` takes them.

        Raises:
            ConfigError: a word sets nothing that there is here.
        """
        self._sets = sets
        self.of_runs: list[str] = []
        self._changes: dict[str, dict[str, Any]] = {}
        self._servers: dict[str, dict[str, Any]] = {name: {} for name in OF_SERVERS}
        self._names = [one.name for one in chosen_sets(sets)]
        for word in words:
            self._sort(word)

    def sets(self) -> list[QuestionSetConfig]:
        """Raises ConfigError for settings that cannot be."""
        return chosen_sets(self._sets, self._changes)

    def config(self) -> Config:
        """Settings of the replicas, the seed and the places."""
        return resolve(overrides=self.of_runs)

    def server(self, section: str, model: str | None, **given: str | None) -> JudgeConfig | None:
        """An OpenAI-compatible server that has the model; ``given``: what options say of it beside the words. None
        where nothing is said of one.

        Raises:
            ConfigError: it cannot be.
        """
        settings = self._servers[section] | {name: value for name, value in given.items() if value is not None}
        if not settings:
            return None
        try:
            server = JudgeConfig.model_validate({"kind": "endpoint", "model": model, **settings})
        except ValidationError as error:
            raise ConfigError("\n".join(f"{section}.{told(detail)}" for detail in error.errors())) from None
        if (impossible := impossible_judge(server)) is not None:
            raise ConfigError(impossible.replace("judge.kind=endpoint", section).replace("judge.", f"{section}."))
        return server

    def _sort(self, word: str) -> None:
        key, equals, _ = word.partition("=")
        first, _, rest = key.partition(".")
        if not equals:
            raise ConfigError(f"{word!r}: expected key=value, such as samples=4 or aime24.samples=4")
        if key in OF_SETS:
            self._changes.setdefault("", {})[key] = _value(word)
        elif first in self._names and rest in OF_SETS:
            self._changes.setdefault(first, {})[rest] = _value(word)
        elif first in OF_SERVERS and rest in JudgeConfig.model_fields:
            self._servers[first][rest] = _value(word)
        elif key in OF_RUNS or first == "rollout":
            self.of_runs.append(word)
        else:
            raise ConfigError(f"{key}: {self._refusal(key, first, rest)}")

    def _refusal(self, key: str, first: str, rest: str) -> str:
        if rest and first in self._names:
            return no_such("setting of a set", rest, OF_SETS)
        if rest and first in OF_SERVERS:
            return no_such(f"setting of {first}", rest, list(JudgeConfig.model_fields))
        if rest:
            return no_such("set or section here", first, [*self._names, *OF_SERVERS, "rollout"])
        return no_such("setting here", key, [*OF_SETS, *OF_RUNS])


def _value(word: str) -> Any:
    """What YAML reads behind the sign of equality; an expression is taken as it is typed."""
    key, _, text = word.partition("=")
    if key.rpartition(".")[2] == "where":
        return text
    try:
        return OmegaConf.to_container(OmegaConf.from_dotlist([f"value={text}"]))["value"]  # type: ignore[call-overload, index]
    except UNREADABLE as error:
        raise ConfigError(f"{key}: {text!r} is not readable: {error}") from None


def divided(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Models, each folder by its whole path, and ``key=value`` words."""
    models = [word for word in words if "=" not in word or user_path(word).exists()]
    settings = [word for word in words if word not in models]
    return [str(user_path(one).absolute()) if user_path(one).is_dir() else one for one in models], settings
