"""Supervised fine-tuning: ``python jobs/sft.py [policy | long | judge | verifier | trajectories] [key=value ...]``.

``policy`` makes the policy that ``model=tiny`` trains, ``long`` that of ``model=tiny_long``, ``judge`` the
judge of ``judge=tiny`` and, if it is missing, the policy whose mistakes it is taught on; without a word
``policy`` and ``judge`` are made. ``verifier`` makes the policy of the verifier task, and ``trajectories``
teaches a model the solutions of a task. What was made before is not made again. Each prints its folder;
the last line printed is the last one made.

The keys are ``storage``, the folder under which models are cached, and behind the first word those of
``TinyConfig``, ``TinyLongConfig``, ``TinyJudgeConfig``, ``TinyVerifierConfig`` and ``ImitationConfig``, each in
its file of ``raysgpo/policy``::

    python jobs/sft.py policy seed=1 slip_chance=0.5
    python jobs/sft.py judge policy.seed=1
    python jobs/sft.py trajectories model=tiny_long task.terms=8 steps=40
"""

from __future__ import annotations

import difflib
import sys
from pathlib import Path

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import ValidationError
from transformers.utils.logging import disable_progress_bar

from raysgpo.command.script import run_script
from raysgpo.config import Config, Section
from raysgpo.config.overrides import dotted_keys
from raysgpo.tiny.imitation import ImitationConfig, imitate
from raysgpo.tiny.tiny_judge import TinyJudgeConfig, ensure_tiny_judge
from raysgpo.tiny.tiny_long import TinyLongConfig
from raysgpo.tiny.tiny_policy import TinyConfig, ensure_tiny_policy
from raysgpo.tiny.tiny_verifier import TinyVerifierConfig, ensure_tiny_verifier


class BothConfig(Section):
    """Where the tiny models are cached."""

    storage: str = Config().storage


class PolicyConfig(TinyConfig, BothConfig):
    """The tiny policy and where it is cached."""


class LongConfig(TinyLongConfig, BothConfig):
    """The tiny policy for long chains and where it is cached."""


class JudgeConfig(TinyJudgeConfig, BothConfig):
    """The tiny judge and where it is cached."""


class VerifierConfig(TinyVerifierConfig, BothConfig):
    """The tiny verifier and where it is cached."""


class TrajectoriesConfig(ImitationConfig, BothConfig):
    """The imitation and where it is cached."""


KINDS: dict[str, type[BothConfig]] = {
    "policy": PolicyConfig,
    "long": LongConfig,
    "judge": JudgeConfig,
    "verifier": VerifierConfig,
    "trajectories": TrajectoriesConfig,
}


def configure(words: list[str]) -> BothConfig:
    """The words of the command line to settings, whose type says what is to be made.

    Raises:
        ValueError: an unknown key, a wrong type or an impossible value; the message names the key.
    """
    kind = KINDS[words[0]] if words and words[0] in KINDS else BothConfig
    words = words if kind is BothConfig else words[1:]
    for word in words:
        _check_key(word, kind)
    try:
        return kind.model_validate(OmegaConf.to_container(OmegaConf.from_dotlist(words)))
    except OmegaConfBaseException as error:
        raise ValueError(f"{' '.join(words)}: not readable: {error}") from None
    except ValidationError as error:
        lines = [f"{'.'.join(map(str, e['loc']))}={e['input']}: {e['msg']}" for e in error.errors()]
        raise ValueError("\n".join(lines)) from None


def _check_key(word: str, kind: type[BothConfig]) -> None:
    key, equals, _ = word.partition("=")
    if not equals:
        raise ValueError(f"{word!r}: expected one of {', '.join(KINDS)} first, then key=value, such as seed=1")
    known = list(dotted_keys(kind))
    if key in known:
        return
    if kind is BothConfig and (takers := [name for name in KINDS if key in dotted_keys(KINDS[name])]):
        raise ValueError(f"{key}: say what it is for, such as: {takers[0]} {word}")
    near = difflib.get_close_matches(key, known, n=1)
    raise ValueError(
        f"{key}: unknown key; " + (f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}")
    )


def main() -> int:
    if {"-h", "--help"} & set(sys.argv[1:]):
        print(__doc__)
        return 0
    try:
        config = configure(sys.argv[1:])
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    disable_progress_bar()
    storage = Config(storage=config.storage).storage_root
    settings = config.model_dump(exclude={"storage"})
    if isinstance(config, TinyConfig):
        print(ensure_tiny_policy(storage, config=TinyConfig(**settings)))
        return 0
    if isinstance(config, VerifierConfig):
        print(ensure_tiny_verifier(storage, config=TinyVerifierConfig(**settings)))
        return 0
    if isinstance(config, TrajectoriesConfig):
        return _imitate(storage, ImitationConfig(**settings))
    judge = TinyJudgeConfig(**settings)
    print(ensure_tiny_policy(storage, config=judge.policy))
    print(ensure_tiny_judge(storage, config=judge))
    return 0


def _imitate(storage: Path, config: ImitationConfig) -> int:
    try:
        print(imitate(storage, config))
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except OSError as error:  # what transformers raises for a name that the hub does not have
        print(f"error: model={config.model}: {str(error).strip().splitlines()[0]}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(run_script(__file__, main))
