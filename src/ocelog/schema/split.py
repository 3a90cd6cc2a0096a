"""Where each record of a page begins and ends, whatever is wrong inside it."""

import re

import msgspec

_RAWS = msgspec.json.Decoder(list[msgspec.Raw])
_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"?|[\[\]{},]', re.DOTALL)
_SPACE = b" \t\r\n"


def split_array(page: bytes) -> list[bytes] | None:
    """Return the elements of the JSON array `page` as they came, None where it is no array.

    One element that is no JSON, or nested too deep to be read, costs no other: brackets and quotes are counted.
    """
    try:
        return [bytes(raw) for raw in _RAWS.decode(page)]
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return _split_by_brackets(page.strip(_SPACE))


def _split_by_brackets(page: bytes) -> list[bytes] | None:
    if not page.startswith(b"["):
        return None
    elements: list[bytes] = []
    depth, start = 0, 1
    for token in _TOKEN.finditer(page):
        match page[token.start() : token.start() + 1]:
            case b"[" | b"{":
                depth += 1
            case b"," if depth == 1:
                elements.append(page[start : token.start()].strip(_SPACE))
                start = token.end()
            case b"]" | b"}":
                depth -= 1
        if depth == 0:
            break
    end = token.start() if depth == 0 else len(page)
    last = page[start:end].strip(_SPACE)
    rest = page[end + 1 :].strip(_SPACE)
    return [*elements, *([last] if last or elements else []), *([rest] if rest else [])]
