"""How many tokens vLLM has made, while its requests tell nothing before they end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class TokenCount:
    """Stands before a method of ``AsyncLLM``'s that sees the new tokens of all requests once a step.

    Asking for each token as it comes would wake every request once a step, and vLLM's own statistics keep a row for
    each of them; this adds up what is there.
    """

    def __init__(self, processor: Any) -> None:
        """``processor``: the ``output_processor`` of an ``AsyncLLM``."""
        self.made = 0
        self._process = processor.process_outputs
        processor.process_outputs = self

    def __call__(self, outputs: Sequence[Any], *arguments: Any, **named: Any) -> Any:
        self.made += sum(len(output.new_token_ids) for output in outputs)
        return self._process(outputs, *arguments, **named)
