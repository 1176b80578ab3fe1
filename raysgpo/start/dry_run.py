"""What ``--dry-run`` says of memory, as comments that a file of settings may hold."""

from __future__ import annotations

import logging
from collections.abc import Iterator

from raysgpo.config import Config
from raysgpo.config.model_path import POLICIES


def memory_comments(config: Config) -> Iterator[str]:
    """Lines that begin with ``#``; of an embedded model, which is made when it is first used, none.

    Raises:
        ConfigError: a GPU has no room for what it would hold.
    """
    if config.model in POLICIES:
        return
    from raysgpo.planning.model_shape import ModelShape  # torch, which takes seconds to import
    from raysgpo.planning.plan import check_fits, longest_sequence, plan
    from raysgpo.policy.model import build_causal
    from raysgpo.start.machine import Machine, with_machine

    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # a hub that cannot be reached is said once
    try:
        shape = ModelShape.of(build_causal(config.model, "eager"))
    except Exception as error:  # a model that is not here yet, or cannot be used: starting the run says which
        yield f"# memory is not planned: {str(error).splitlines()[0]}"
        return
    config = with_machine(config, shape.parameters, Machine.here())
    longest = longest_sequence(config)
    check_fits(shape, config, longest)
    for line in plan(shape, config, longest).lines(config, shape, longest):
        yield f"# {line}"
