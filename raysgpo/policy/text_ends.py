"""An answer's text by its tokens: what each of them says, and where in the text it ends.

Decoded a token at a time, as an engine does it, half a microsecond a token. A token that leaves a character unfinished,
or is a special one, says nothing.
"""

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

    ``before``: the ids that the answer goes on from; some tokenizers write no blank before a first word.

    None if the tokenizer has no such decoder, or the text is not what it makes of the ids.
    """
    if not has_pieces(tokenizer):
        return None
    for primed in (before, ()):
        pieces = text_pieces(tokenizer, primed, ids_T)
        # A text may end earlier: before the rest of a token that holds a stop string, or a character's missing bytes.
        if "".join(pieces).startswith(text.rstrip(UNFINISHED)):
            return np.minimum(ends_of(pieces), len(text))
    return None


def has_pieces(tokenizer: Any) -> bool:
    """Whether the tokenizer has the decoder that ``text_pieces`` asks for."""
    return isinstance(getattr(tokenizer, "backend_tokenizer", None), Tokenizer)


def text_pieces(tokenizer: Any, before: Sequence[int], ids_T: Sequence[int]) -> list[str]:
    """What each token adds to the text of an answer that goes on from ``before``."""
    stream = DecodeStream(ids=list(before), skip_special_tokens=True)
    pieces = []
    for token in ids_T:
        try:
            piece = stream.step(tokenizer.backend_tokenizer, int(token))
        except Exception:  # of no documented kind: bytes that are no text in any order; begun anew, as vLLM does
            stream = DecodeStream(skip_special_tokens=True)
            piece = stream.step(tokenizer.backend_tokenizer, int(token))
        pieces.append(piece or "")
    return pieces


def ends_of(pieces: Sequence[str]) -> Int_T:
    """(T,) characters that are said once each token is."""
    return np.cumsum([len(piece) for piece in pieces], dtype=np.int32)
