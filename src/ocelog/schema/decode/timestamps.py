"""Which instant a timestamp of a log means."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pyarrow as pa

from ocelog.times import EPOCH, rfc3339

INSTANT = pa.timestamp("us", tz="UTC")
_RFC3339 = re.compile(r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:\.(\d+))?(?:[Zz]|([+-]\d\d:\d\d))", re.ASCII)
_NUMBER = re.compile(r"([+-]?)(\d{1,20})(?:\.(\d{1,20})\d*)?", re.ASCII)
_BEYOND_MICROSECONDS = re.compile(r"(?<=[.,]\d{6})\d+", re.ASCII)
_DIGITS_BELOW_SECOND = {"unix": 0, "unix_ms": 3, "unix_us": 6, "unix_ns": 9}
_YEAR_ONE_US = -62_135_596_800_000_000
"""Python's datetime begins there; Arrow reads year 0 too."""


def instant(text: str, formats: Sequence[str]) -> datetime | None:
    """Return the instant that `text` means by the first of `formats` that fits, None if none does.

    Digits beyond microseconds are cut, not rounded: an event must not move past its neighbours. RFC 3339 without an
    offset does not fit, since a log that moves by hours when a server moves is worse than one in quarantine.
    """
    for format_ in formats:
        try:
            found = _by_format(text, format_)
        except (ValueError, OverflowError):
            continue
        if found is not None:
            return found
    return None


def _by_format(text: str, format_: str) -> datetime | None:
    if format_ == "rfc3339":
        return _rfc3339(text)
    if format_ in _DIGITS_BELOW_SECOND:
        return _counted(text, _DIGITS_BELOW_SECOND[format_])
    if "%f" in format_:
        text = _BEYOND_MICROSECONDS.sub("", text)
    parsed = datetime.strptime(text, format_)  # noqa: DTZ007  # a pattern without %z is read as UTC: the schema says so
    return parsed.astimezone(UTC) if parsed.tzinfo else parsed.replace(tzinfo=UTC)


def _rfc3339(text: str) -> datetime | None:
    match = _RFC3339.fullmatch(text)
    if match is None:
        return None
    day, time, fraction, offset = match.groups()
    microseconds = (fraction or "")[:6].ljust(6, "0")
    return datetime.fromisoformat(f"{day}T{time}.{microseconds}{offset or '+00:00'}").astimezone(UTC)


def _counted(text: str, digits: int) -> datetime | None:
    """Read a count of seconds (`digits` 0), milliseconds (3), and so on, since 1970, perhaps with a fraction."""
    match = _NUMBER.fullmatch(text)
    if match is None:
        return None
    sign, whole, fraction = match.groups()
    scaled = int(whole + (fraction or ""))
    micros = scaled * 10**6 // 10 ** (digits + len(fraction or ""))
    return EPOCH + timedelta(microseconds=-micros if sign == "-" else micros)


def canonical(found: datetime) -> str:
    """Write an instant in the one way that versions are told apart by: equal instants, equal text."""
    text = rfc3339(found)
    return text[:-1].rstrip("0") + "Z" if "." in text else text


def all_canonical(texts: Sequence[str | None]) -> pa.Array | None:
    """Return `texts` as instants if each is written as `canonical` would write it or is None; else None.

    Arrow reads a few more forms than RFC 3339 has. Of those with its length and a Z at the end there is only one, with
    a space where the T should be.
    """
    import pyarrow.compute as pc  # noqa: PLC0415 - takes 25 ms, which a query saves

    column = pa.array(texts, pa.string())
    if len(column) == column.null_count:
        return pa.nulls(len(column), INSTANT)
    try:
        instants = column.cast(INSTANT)
    except pa.ArrowInvalid:
        return None
    lengths = pc.binary_length(column)
    usual = (
        pc.min(lengths).as_py() >= 20
        and column.buffers()[2].to_pybytes().count(b"T") == len(column) - column.null_count
        and pc.all(pc.ends_with(column, "Z")).as_py()
        and not pc.any(pc.and_(pc.ends_with(column, "0Z"), pc.greater(lengths, 20))).as_py()
        and pc.min(instants.cast(pa.int64())).as_py() >= _YEAR_ONE_US
    )
    return instants if usual else None
