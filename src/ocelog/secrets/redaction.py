"""How secrets are taken out of every text that comes from outside, however the other side has written them."""

import base64
import re
import threading
from collections import OrderedDict
from collections.abc import Iterator
from itertools import product

from ocelog.secrets.secret import Secret

MARK = "[redacted]"
_LONGEST_TEXT = 32_768
"""Characters; messages show far less."""
_SHORTEST = 6
"""Shorter secrets are no secrets: taking them out would only spoil messages."""
_GRAM = 12
"""So many bytes of a long secret in a row give it away: a text may repeat it cut short."""
_LONG = 16
_KEPT = 16
"""Secrets that are remembered: an answer may repeat a token that was replaced meanwhile."""
_PERCENT, _BACKSLASH, _ENTITY = (
    rb"%[0-9A-Fa-f]{2}",
    rb"\\u[0-9A-Fa-f]{4}|\\x[0-9A-Fa-f]{2}|\\.",
    rb"&#[0-9]{1,7};|&#[xX][0-9A-Fa-f]{1,6};|&[a-z]{2,4};",
)
_ANY = re.compile(b"|".join((_PERCENT, _BACKSLASH, _ENTITY)), re.DOTALL)
_EACH = (_ANY, *(re.compile(way, re.DOTALL) for way in (_PERCENT, _BACKSLASH, _ENTITY)))
"""All ways of escaping, and each alone: a secret may hold what looks like an escape of another way."""
_RUNS = re.compile(rb"\x00+|\x01+")
_ENTITIES = {b"&amp;": b"&", b"&lt;": b"<", b"&gt;": b">", b"&quot;": b'"', b"&apos;": b"'"}


class Redactor:
    """Takes the secrets that it has learnt out of texts. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: OrderedDict[Secret, tuple[tuple[bytes, ...], frozenset[bytes]]] = OrderedDict()

    def learn(self, secret: Secret, *, shortest: int = _SHORTEST) -> None:
        """Take `secret` out of every text from now on: raw, URL-encoded, base64, escaped as in JSON or HTML, or cut."""
        raw = secret.reveal().encode("utf-8", "surrogatepass")
        if len(raw) < shortest:
            return
        with self._lock:
            if secret not in self._known:
                needles = tuple(_needles(raw))
                grams = (needle[at : at + _GRAM] for needle in needles for at in range(len(needle) - _GRAM + 1))
                self._known[secret] = (needles, frozenset(grams) if len(raw) >= _LONG else frozenset())
            self._known.move_to_end(secret)
            while len(self._known) > _KEPT:
                self._known.popitem(last=False)

    def __call__(self, text: str) -> str:
        """Return `text`, which came from outside, without any of the secrets."""
        with self._lock:
            known = list(self._known.values())
        if not known or not text:
            return text
        data = text[:_LONGEST_TEXT].encode("utf-8", "surrogatepass")
        hidden = bytearray(len(data))
        for decoded, starts in _decodings(data):
            for needles, grams in known:
                for start, end in _found(decoded, needles, grams):
                    first, last = starts[start], starts[end]
                    hidden[first:last] = b"\x01" * (last - first)
        if not any(hidden):
            return text[:_LONGEST_TEXT]
        kept = b"".join(MARK.encode() if run[0][0] else data[run.start() : run.end()] for run in _RUNS.finditer(hidden))
        return kept.decode("utf-8", "replace")


def without_password(url: str) -> str:
    """Return the address of a database fit to be shown: neither its password nor one in its query is told in part.

    A password may hold any character, an @ or a / too: everything up to the last @ is taken for it.
    """
    shown = re.sub(r"(?<=://)([^:]*):.*@", r"\1:***@", url, flags=re.DOTALL)
    return re.sub(r"([?&]\w*password=)[^&]*", r"\1***", shown, flags=re.IGNORECASE)


def _needles(raw: bytes) -> Iterator[bytes]:
    """Yield `raw`, and what base64 makes of it wherever it stands in a longer text, such as a Basic header."""
    yield raw
    if b" " in raw:
        yield raw.replace(b" ", b"+")
    for before in range(3):
        written = base64.b64encode(bytes(before) + raw)
        whole = written[(before * 8 + 5) // 6 : (before + len(raw)) * 8 // 6]
        yield whole
        yield whole.translate(bytes.maketrans(b"+/", b"-_"))


def _decodings(data: bytes) -> Iterator[tuple[bytes, list[int]]]:
    """Yield `data` as it is, then unescaped once and more, each with the place in `data` at which each byte starts."""
    met, last = {data}, [(data, list(range(len(data) + 1)))]
    yield last[0]
    for ways in (_EACH, _EACH, (_ANY,)):
        found = list[tuple[bytes, list[int]]]()
        for (text, starts), way in product(last, ways):
            decoded, places = _decoded(text, starts, way)
            if decoded not in met:
                met.add(decoded)
                found.append((decoded, places))
        yield from found
        last = found


def _decoded(data: bytes, starts: list[int], way: re.Pattern[bytes]) -> tuple[bytes, list[int]]:
    decoded, places, at = bytearray(), list[int](), 0
    for escape in way.finditer(data):
        written = _unescaped(escape[0])
        decoded += data[at : escape.start()] + written
        places += starts[at : escape.start()] + [starts[escape.start()]] * len(written)
        at = escape.end()
    decoded += data[at:]
    return bytes(decoded), places + starts[at:]


def _unescaped(escape: bytes) -> bytes:
    match escape[:2]:
        case b"\\u" if len(escape) > 2:
            return chr(int.from_bytes(bytes.fromhex(escape[2:].decode()))).encode("utf-8", "surrogatepass")
        case b"\\x" if len(escape) > 2:
            return bytes.fromhex(escape[2:].decode())
        case b"&#":
            code = int(escape[3:-1], 16) if escape[2:3] in b"xX" else int(escape[2:-1])
            return chr(code).encode("utf-8", "surrogatepass") if code < 0x110000 else escape
        case _ if escape[:1] == b"%":
            return bytes.fromhex(escape[1:].decode())
        case _ if escape[:1] == b"\\":
            return escape[1:]
        case _:
            return _ENTITIES.get(escape, escape)


def _found(data: bytes, needles: tuple[bytes, ...], grams: frozenset[bytes]) -> Iterator[tuple[int, int]]:
    for needle in needles:
        at = data.find(needle)
        while at >= 0:
            yield at, at + len(needle)
            at = data.find(needle, at + 1)
    if grams:
        for at in range(len(data) - _GRAM + 1):
            if data[at : at + _GRAM] in grams:
                yield at, at + _GRAM
