"""Is the Hugging Face hub there? Asked once, before its client asks for a model's files with minutes of retries."""

from __future__ import annotations

import logging
from functools import cache

from huggingface_hub import constants
from huggingface_hub.utils import get_session

PATIENCE = 5.0
"""Seconds for its answer."""


@cache
def ask_hub() -> bool:
    """Whether the hub answers. Where it does not, this process looks into its own copies alone from now on."""
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # a hub that cannot be reached is said once, by us
    try:
        get_session().head(constants.ENDPOINT, timeout=PATIENCE)
    except Exception:  # the network's and the proxy's errors are of many kinds
        constants.HF_HUB_OFFLINE = True
        return False
    return True
