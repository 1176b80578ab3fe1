"""Make the tiny policy that ``model=tiny`` trains: ``python jobs/sft.py [key=value ...]``.

The keys are ``storage``, the folder under which policies are cached, and those of
``raysgpo.policy.tiny.TinyConfig``: ``python jobs/sft.py seed=1 slip_chance=0.5``. A policy that was
made before is not made again. The last line printed is its folder.
"""

from __future__ import annotations

import difflib
import os
import sys

sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import ValidationError
from transformers.utils.logging import disable_progress_bar

from raysgpo.config import Config
from raysgpo.policy.tiny import TinyConfig, ensure_tiny_policy


class SftConfig(TinyConfig):
    """The tiny policy and where it is cached."""

    storage: str = Config().storage


def configure(words: list[str]) -> SftConfig:
    """``key=value`` words to settings.

    Raises:
        ValueError: an unknown key, a wrong type or an impossible value; the message names the key.
    """
    for word in words:
        key, equals, _ = word.partition("=")
        if not equals:
            raise ValueError(f"{word!r}: expected key=value, such as seed=1")
        if key not in SftConfig.model_fields:
            near = difflib.get_close_matches(key, SftConfig.model_fields, n=1)
            known = ", ".join(SftConfig.model_fields)
            raise ValueError(f"{key}: unknown key; " + (f"did you mean {near[0]}?" if near else f"known are {known}"))
    try:
        return SftConfig.model_validate(OmegaConf.to_container(OmegaConf.from_dotlist(words)))
    except OmegaConfBaseException as error:
        raise ValueError(f"{' '.join(words)}: not readable: {error}") from None
    except ValidationError as error:
        lines = [f"{'.'.join(map(str, e['loc']))}={e['input']}: {e['msg']}" for e in error.errors()]
        raise ValueError("\n".join(lines)) from None


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
    print(ensure_tiny_policy(storage, config=TinyConfig(**config.model_dump(exclude={"storage"}))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
