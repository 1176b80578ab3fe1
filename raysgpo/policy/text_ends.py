"""Where in an answer's text each of its tokens ends: what a count of the tokens of a part of the text needs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from tokenizers import Tokenizer
from tokenizers.decoders import DecodeStream

from raysgpo.records import Int_T

UNFINISHED = "\ufffd"
"""What stands for a character whose last bytes were cut off."""


def text_ends(tokenizer: Any, before: Sequence[int], ids_T: Sequence[int], text: str) -> Int_T | None:
    """(T,) characters of ``text`` that are said once each token is: never falling, ``len(text)`` at most.

    Decoded a token at a time, as an engine does it, half a microsecond a token. A token that leaves a character
    unfinished, or is a special one, says nothing. ``before``: the ids that the answer goes on from; some tokenizers
    write no blank before a first word.

    None if the tokenizer has no such decoder, or the text is not what it makes of the ids.
    """
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if not isinstance(backend, Tokenizer):
        return None
    for primed in (list(before), []):
        pieces = _pieces(backend, primed, ids_T)
        # A text may end earlier: before the rest of a token that holds a stop string, or a character's missing bytes.
        if pieces is not None and "".join(pieces).startswith(text.rstrip(UNFINISHED)):
            return np.minimum(np.cumsum([len(piece) for piece in pieces]), len(text)).astype(np.int32)
    return None


def _pieces(backend: Tokenizer, primed: list[int], ids_T: Sequence[int]) -> list[str] | None:
    stream = DecodeStream(ids=primed, skip_special_tokens=True)
    try:
        return [stream.step(backend, int(token)) or "" for token in ids_T]
    except Exception:  # of the tokenizer's own, of no documented kind: bytes that are no text in any order
        return None
