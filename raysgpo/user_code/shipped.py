"""An object of a user's class, which travels with the code of its class."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from raysgpo.user_code.code import UserCode


@dataclass(frozen=True, slots=True)
class Shipped:
    """``value``, which unpickles in processes that have never heard of its class; called, it calls the value."""

    code: UserCode
    value: Any

    def __call__(self, *arguments: Any) -> Any:
        return self.value(*arguments)

    def __reduce__(self) -> tuple[Callable[[UserCode, bytes], Shipped], tuple[UserCode, bytes]]:
        return _unpacked, (self.code, pickle.dumps(self.value))


def _unpacked(code: UserCode, pickled: bytes) -> Shipped:
    code.prepare()
    return Shipped(code, pickle.loads(pickled))
