"""Supervised fine-tuning: ``python jobs/sft.py [WORD] [key=value ...]``.

WORD is one of policy, long, judge, verifier, smollm2; or trajectories.

``policy`` makes the policy that ``model=tiny`` trains, ``long`` that of ``model=tiny_long``, ``judge`` the
judge of ``judge=tiny`` and, if it is missing, the policy whose mistakes it is taught on; without a word
``policy`` and ``judge`` are made. ``verifier`` makes the policy of the verifier task, ``smollm2`` writes out a
real model (``make model``). What was made before is not made again. Each prints its folder;
the last line printed is the last one made.

The keys are ``model_cache``, the folder in which models are made, and behind the first word those of
``TinyConfig``, ``TinyLongConfig``, ``TinyJudgeConfig`` and ``TinyVerifierConfig``, each in its file of
``raysgpo/tiny``::

    python jobs/sft.py policy seed=1 slip_chance=0.5
    python jobs/sft.py judge policy.seed=1

``trajectories`` teaches any model the solutions of a task, through the trainer of a run: it is ``jobs/offline.py``
with ``offline.keep=solutions guidance=none``, and takes its words::

    python jobs/sft.py trajectories arithmetic_long steps=40
"""

from __future__ import annotations

import sys

from transformers.utils.logging import disable_progress_bar

from raysgpo.command import offline
from raysgpo.command.own_settings import own_settings
from raysgpo.config.command_name import command_name
from raysgpo.config.overrides import ConfigError, dotted_keys
from raysgpo.output.exit_status import DONE, WRONG_SETTING
from raysgpo.tiny.making import KINDS, BothConfig, make

TRAJECTORIES = "trajectories"


def configure(words: list[str]) -> BothConfig:
    """The words of the command line to settings, whose type says what is to be made.

    Raises:
        ConfigError: an unknown key, a wrong type or an impossible value; the message names the key.
    """
    kind = KINDS[words[0]] if words and words[0] in KINDS else BothConfig
    words = words if kind is BothConfig else words[1:]
    for word in words:
        _check_word(word, kind)
    return own_settings(kind, words)


def _check_word(word: str, kind: type[BothConfig]) -> None:
    """It sets something, and something of this kind if the kind was left out."""
    key, equals, _ = word.partition("=")
    if not equals:
        raise ConfigError(
            f"{word!r}: expected one of {', '.join([*KINDS, TRAJECTORIES])} first, then key=value, such as seed=1"
        )
    if kind is not BothConfig or key in dotted_keys(BothConfig):
        return
    if takers := [name for name in KINDS if key in dotted_keys(KINDS[name])]:
        raise ConfigError(f"{key}: say what it is for, such as: {takers[0]} {word}")


def main() -> int:
    if sys.argv[1:2] == [TRAJECTORIES]:
        return offline.main([*sys.argv[2:], "offline.keep=solutions", "guidance=none"])
    if {"-h", "--help"} & set(sys.argv[1:]):
        print((__doc__ or "").replace("python jobs/sft.py", command_name("sft")))
        return DONE
    disable_progress_bar()
    try:
        for folder in make(configure(sys.argv[1:])):
            print(folder)
    except ConfigError as error:
        print(f"error: {error}", file=sys.stderr)
        return WRONG_SETTING
    return DONE
