"""How deep free JSON may be nested: as far as whatever reads it later can follow, on any interpreter and any stack."""

import re
from collections.abc import Sequence
from itertools import accumulate

MOST = 250
"""Canonical JSON takes two calls a level, and Python 3.11 allows 1,000 in all.
The deepest log known to us has about 10.
"""
_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
_STEPS = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}
_OTHERS = bytes(code for code in range(256) if code not in _STEPS)


def too_deep(text: bytes) -> bool:
    """Tell whether the JSON `text` is nested deeper than MOST."""
    if len(text) <= 2 * MOST or text.count(b"[") + text.count(b"{") <= MOST:
        return False
    brackets = _STRING.sub(b"", text).translate(None, _OTHERS)
    return max(accumulate(map(_STEPS.__getitem__, brackets)), default=0) > MOST


def any_too_deep(texts: Sequence[bytes]) -> bool:
    """Tell whether one of the JSON `texts` is nested deeper than MOST; it mostly takes no look at them."""
    return max(map(len, texts), default=0) > 2 * MOST and any(map(too_deep, texts))
