"""How people write durations, sizes, instants, choices and lists, and how they like to read them."""

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from ocelog.errors import ConfigError
from ocelog.languages.phrases import Phrase, translatable
from ocelog.secrets.secret import shown
from ocelog.suggest import suggest
from ocelog.times import rfc3339

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_COUNTED = {
    "d": translatable("%(count)sd"),
    "h": translatable("%(count)sh"),
    "m": translatable("%(count)sm"),
    "s": translatable("%(count)ss"),
}
_SIZES = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "kib": 2**10, "mib": 2**20, "gib": 2**30}
_DURATION = re.compile(r"([0-9]{1,10})([smhdw])")
_LONGEST = timedelta(days=36_500)


def duration(text: str) -> timedelta:
    """Read `30s`, `5m`, `24h`, `30d`, `2w`. Raises ConfigError."""
    found = _DURATION.fullmatch(text.strip().lower())
    if found is None:
        raise ConfigError(
            Phrase(
                "invalid duration %(text)s: write a number and a unit, such as 30s, 5m, 24h, 30d or 2w.",
                text=shown(text),
            )
        )
    seconds = int(found[1]) * _UNITS[found[2]]
    if seconds > _LONGEST.total_seconds():
        raise ConfigError(Phrase("%(text)s is longer than a hundred years.", text=repr(text)))
    return timedelta(seconds=seconds)


def write_duration(value: timedelta) -> str:
    """Write `value` in the largest unit that divides it, as `duration` reads it."""
    seconds = int(value.total_seconds())
    for unit in ("d", "h", "m"):
        if seconds and seconds % _UNITS[unit] == 0:
            return f"{seconds // _UNITS[unit]}{unit}"
    return f"{seconds}s"


def about(value: timedelta) -> Phrase:
    """Write `value` in one or two units for a person, which a page writes in their language: `3m 20s`, `2d 4h`."""
    left = max(0, int(value.total_seconds()))
    words = list[Phrase]()
    for unit in ("d", "h", "m", "s"):
        count, left = divmod(left, _UNITS[unit])
        if count:
            words.append(Phrase(_COUNTED[unit], count=format(count, ",")))
        elif words:
            break
    if len(words) > 1:
        return Phrase("%(first)s %(second)s", first=words[0], second=words[1])
    return words[0] if words else Phrase(_COUNTED["s"], count="0")


def counted_units(text: str) -> tuple[int, str] | None:
    """Return what a duration counts, as it is written: `30d` as 30 and `d`; None for any other text."""
    found = _DURATION.fullmatch(text)
    return None if found is None else (int(found[1]), found[2])


def per_table(text: str) -> dict[str, timedelta]:
    """Read `wiz_audit=400d, rejections=90d`, or `off` for none. Raises ConfigError."""
    found = dict[str, timedelta]()
    for each in text.split(",") if text.strip().lower() != "off" else ():
        table, equals, value = (word.strip() for word in each.partition("="))
        if not equals or not table:
            raise ConfigError(
                Phrase("%(text)s names no table: write off, or wiz_audit=400d, rejections=90d.", text=repr(text))
            )
        found[table] = between(timedelta(days=7), _LONGEST)(value)
    return found


def size(text: str) -> int:
    """Read `64MB`, `1GiB`, `500000` as bytes. Raises ConfigError."""
    found = re.fullmatch(r"([0-9]{1,12})\s*([kmg]?i?b)?", text.strip().lower())
    if found is None:
        raise ConfigError(
            Phrase("invalid size %(text)s: write a number and a unit, such as 64MB or 1GiB.", text=repr(text))
        )
    return int(found[1]) * _SIZES[found[2] or ""]


def write_size(count: int) -> str:
    """Write a number of bytes for a person."""
    value = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"


def exact_size(count: int) -> str:
    """Write a number of bytes in the largest unit that divides it, as `size` reads it."""
    for unit, factor in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count and count % factor == 0:
            return f"{count // factor}{unit}"
    return str(count)


def host_and_port(text: str) -> tuple[str, int]:
    """Read `9464`, which is of this machine alone, `0.0.0.0:9464`, `[::1]:9464` or `host:9464`. Raises ConfigError."""
    found = re.fullmatch(r"(?:(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9.-]+)):)?([0-9]{1,5})", text.strip())
    if found is None or int(found[3]) > 65535:
        raise ConfigError(
            Phrase(
                "invalid address %(text)s to listen on: write a port of at most 65535, or a host and a port, such as "
                "9464, 0.0.0.0:9464 or [::1]:9464. A port alone is served to this machine only.",
                text=shown(text),
            )
        )
    return found[1] or found[2] or "127.0.0.1", int(found[3])


def between(least: timedelta, most: timedelta) -> "Callable[[str], timedelta]":
    """Return how a duration within bounds is read; it raises ConfigError."""

    def read(text: str) -> timedelta:
        value = duration(text)
        if not least <= value <= most:
            raise ConfigError(
                Phrase(
                    "%(text)s is not between %(least)s and %(most)s.",
                    text=repr(text),
                    least=write_duration(least),
                    most=write_duration(most),
                )
            )
        return value

    return read


def whole(least: int, most: int) -> "Callable[[str], int]":
    """Return how a whole number within bounds is read; it raises ConfigError."""

    def read(text: str) -> int:
        if not text.isascii() or not text.isdigit() or not least <= int(text) <= most:
            raise ConfigError(
                Phrase(
                    "expected a whole number from %(least)s to %(most)s, not %(text)s.",
                    least=least,
                    most=most,
                    text=repr(text),
                )
            )
        return int(text)

    return read


def choice(*words: str) -> "Callable[[str], str]":
    """Return how one of `words` is read, whatever its case; it raises ConfigError with the nearest."""

    def read(text: str) -> str:
        if text.lower() not in words:
            raise ConfigError(
                Phrase(
                    "%(text)s is not one of %(words)s%(words2)s",
                    text=repr(text),
                    words=", ".join(words),
                    words2=suggest(text, words),
                )
            )
        return text.lower()

    return read


def switch(text: str) -> bool:
    """Read yes or no in one of their spellings. Raises ConfigError."""
    words = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}
    if text.lower() not in words:
        raise ConfigError(Phrase("%(text)s is neither yes nor no.", text=repr(text)))
    return words[text.lower()]


def instant(text: str, *, now: datetime) -> datetime:
    """Read RFC 3339 with an offset, a UTC date, or a duration before `now`. Raises ConfigError.

    A time without an offset is refused rather than read as local: it would move with the machine.
    """
    if re.fullmatch(r"[0-9]+[smhdw]", text.strip().lower()):
        return now - duration(text)
    try:
        found = datetime.fromisoformat(text.strip())
    except ValueError:
        raise ConfigError(
            Phrase(
                "invalid time %(text)s: write 2026-08-01T00:00:00Z, 2026-08-01 (UTC), or 7d for seven days ago.",
                text=repr(text),
            )
        ) from None
    if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text.strip()):
        return found.replace(tzinfo=UTC)
    if found.tzinfo is None:
        raise ConfigError(
            Phrase(
                "%(text)s has no time zone: write %(found)sZ if it is UTC.", text=repr(text), found=found.isoformat()
            )
        )
    try:
        return found.astimezone(UTC)
    except OverflowError:
        raise ConfigError(
            Phrase("%(text)s is before the year 1 or after the year 9999 in UTC.", text=repr(text))
        ) from None


def write_instant(value: datetime | None) -> str | None:
    """Write `value` to the second as RFC 3339 with Z."""
    return None if value is None else rfc3339(value.replace(microsecond=0))


def write_moment(value: datetime) -> str:
    """Write `value` to the minute for a person, in the middle of a sentence: `2026-11-28 11:20 UTC`."""
    return f"{value.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def counted(count: int, noun: str) -> str:
    """Write how many of a thing there are: `1 rule`, `1,200 rules`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def with_full_stop(text: str) -> str:
    """Return `text` with a full stop, unless it ends as a sentence does."""
    return text if text.endswith((".", "?")) else f"{text}."


_LISTED = {
    "and": translatable("%(first)s and %(second)s"),
    "or": translatable("%(first)s or %(second)s"),
    "nor": translatable("%(first)s nor %(second)s"),
}


def write_list(words: "Iterable[str]", last: str = "and") -> str:
    """Write words as a sentence lists them: `a`, `a and b`, `a, b and c`."""
    return str(list_phrase(words, last))


def list_phrase(words: "Iterable[str]", last: str = "and") -> Phrase:
    """Return what `write_list` does as a text that can be translated; `last` is `and`, `or` or `nor`."""
    *before, end = [*words] or [""]
    if not before:
        return Phrase("%(first)s", first=end)
    first = before[0]
    for each in before[1:]:
        first = Phrase("%(first)s, %(second)s", first=first, second=each)
    return Phrase(_LISTED[last], first=first, second=end)
