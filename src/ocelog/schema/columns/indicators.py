"""Which indicators there are (addresses, domains, accounts, people, hashes), and which p_any_ columns they fill."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from socket import AF_INET, AF_INET6, inet_pton
from typing import TypeAlias

import pyarrow as pa
from msgspec import Struct

from ocelog.schema.language.fields import Array, LogSchema, Object, Text, Type

Read: TypeAlias = Callable[[str], tuple[str | None, ...]]
"""Returns what a text, trimmed and not empty, gives to each column; None if it is not what it should be."""


class IndicatorReader(Struct, frozen=True):
    """Which columns an indicator fills, and how a text is read for them."""

    columns: tuple[str, ...]
    read: Read


_COLUMNS: Mapping[str, str] = {
    "p_any_ip_addresses": "IP addresses in the row.",
    "p_any_domain_names": "Domain and host names in the row.",
    "p_any_emails": "Mail addresses in the row.",
    "p_any_usernames": "User names in the row.",
    "p_any_actor_ids": "Ids of those who acted.",
    "p_any_trace_ids": "Ids that tie rows to one request or session.",
    "p_any_md5_hashes": "MD5 hashes in the row.",
    "p_any_sha1_hashes": "SHA-1 hashes in the row.",
    "p_any_sha256_hashes": "SHA-256 hashes in the row.",
    "p_any_aws_arns": "ARNs of AWS resources in the row.",
    "p_any_aws_account_ids": "AWS accounts in the row, those inside ARNs included.",
    "p_any_aws_instance_ids": "EC2 instances in the row, those inside ARNs included.",
    "p_any_aws_tags": "AWS tags in the row.",
    "p_any_mac_addresses": "MAC addresses in the row.",
}

ANY_COLUMNS = tuple(_COLUMNS)
"""Those that there can be; a table has the ones that its schema's indicators feed."""
MAX_VALUE = 2_048
"""Longer texts are not indicators."""
_EMAIL = r"[^\s@<>\"]+@[^\s@<>\"]+\.[^\s@<>\".]+"
_MAYBE_IP = re.compile(r"[0-9a-fA-F.:]+")
_END_OF_AUTHORITY = re.compile(r"[/\\?#]")
_NO_END = 1 << 62
"""A slash that is not there is at -1, and this makes it the end of all texts."""
_HOST = re.compile(r"[^\s/?#@:\[\]\\\"'<>(),;|{}]+")


class IndicatorField(Struct, frozen=True, kw_only=True):
    """An indicator of a text field; a field may have several."""

    path: str
    indicator: str


def indicator_fields(schema: LogSchema) -> list[IndicatorField]:
    """Return the fields of `schema` that carry indicators, with paths such as `user.id` or `projects[].slug`."""
    return list(_indicator_fields(Object(fields=schema.fields), ""))


def any_columns(schema: LogSchema) -> list[tuple[str, pa.DataType, str]]:
    """Return the p_any_ columns of the table of `schema`: name, type, what it means."""
    filled = {column for field in indicator_fields(schema) for column in INDICATOR_READERS[field.indicator].columns}
    return [(name, pa.list_(pa.string()), doc) for name, doc in _COLUMNS.items() if name in filled]


def every_any_column() -> list[tuple[str, pa.DataType, str]]:
    """Return all p_any_ columns that there are."""
    return [(name, pa.list_(pa.string()), doc) for name, doc in _COLUMNS.items()]


def _indicator_fields(type_: Type, path: str) -> Iterator[IndicatorField]:
    match type_:
        case Text(indicators=indicators):
            yield from (IndicatorField(path=path, indicator=indicator) for indicator in indicators)
        case Object(fields=fields):
            for field in fields:
                yield from _indicator_fields(field.type, f"{path}.{field.name}" if path else field.name)
        case Array(element=element):
            yield from _indicator_fields(element, path + "[]")
        case _:
            pass


def _whole(text: str) -> tuple[str | None, ...]:
    return (text,)


def _matching(pattern: str) -> Read:
    matches = re.compile(pattern).fullmatch
    return lambda text: (text if matches(text) else None,)


def _digest(length: int) -> Read:
    matches = re.compile(f"[0-9a-f]{{{length}}}").fullmatch
    return lambda text: (text.lower() if matches(text.lower()) else None,)


def _is_ip(text: str) -> bool:
    if not _MAYBE_IP.fullmatch(text):
        return False
    try:
        inet_pton(AF_INET6 if ":" in text else AF_INET, text)
    except OSError:
        return False
    return True


def _host(text: str) -> tuple[str | None, ...]:
    """Read a host as (name, address); names are in lower case, without the root's dot."""
    bare = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    if _is_ip(bare):
        return None, bare
    return (text.lower().rstrip(".") or None) if _HOST.fullmatch(text) else None, None


def _net_addr(text: str) -> tuple[str | None, ...]:
    """Read a host with or without a port; an IPv6 address with a port stands in brackets."""
    if text.count(":") > 1 and not text.startswith("["):
        return _host(text)
    head, colon, port = text.rpartition(":")
    return _host(head if colon and port.isascii() and (port.isdigit() or not port) else text)


def cut_urls(urls: Sequence[str | None]) -> list[str | None]:
    """Return the beginning of each URL: up to the slash that comes next after the first two, or all of it.

    Quick, and enough to tell URLs of one host from those of another.
    """
    return [url and url[: url.find("/", url.find("//") + 2) % _NO_END] for url in urls]


def _url(url: str) -> tuple[str | None, ...]:
    scheme, colon, rest = url.partition("://")
    authority = _END_OF_AUTHORITY.split(rest if colon and "/" not in scheme else url, maxsplit=1)[0]
    return _net_addr(authority.rpartition("@")[2])


def _arn(text: str) -> tuple[str | None, ...]:
    """Read an ARN as (ARN, account, EC2 instance)."""
    parts = text.split(":", 5) if text.startswith("arn:") else ()
    if len(parts) < 6:
        return None, None, None
    kind, _, instance = parts[5].partition("/")
    is_instance = kind == "instance" and _INSTANCE.fullmatch(instance)
    return text, parts[4] if _ACCOUNT.fullmatch(parts[4]) else None, instance if is_instance else None


_ACCOUNT = re.compile(r"[0-9]{12}")
_INSTANCE = re.compile(r"i-[0-9a-f]{8,17}")
_MAC = r"[0-9A-Fa-f]{2}([:-])(?:[0-9A-Fa-f]{2}\1){4}[0-9A-Fa-f]{2}|(?:[0-9A-Fa-f]{4}\.){2}[0-9A-Fa-f]{4}"
_HOST_COLUMNS = ("p_any_domain_names", "p_any_ip_addresses")

INDICATOR_READERS: Mapping[str, IndicatorReader] = {
    "actor_id": IndicatorReader(("p_any_actor_ids",), _whole),
    "aws_account_id": IndicatorReader(("p_any_aws_account_ids",), _matching(_ACCOUNT.pattern)),
    "aws_arn": IndicatorReader(("p_any_aws_arns", "p_any_aws_account_ids", "p_any_aws_instance_ids"), _arn),
    "aws_instance_id": IndicatorReader(("p_any_aws_instance_ids",), _matching(_INSTANCE.pattern)),
    "aws_tag": IndicatorReader(("p_any_aws_tags",), _whole),
    "domain": IndicatorReader(("p_any_domain_names",), _matching(r"[^\s/@]+")),
    "email": IndicatorReader(("p_any_emails",), _matching(_EMAIL)),
    "hostname": IndicatorReader(_HOST_COLUMNS, _host),
    "ip": IndicatorReader(("p_any_ip_addresses",), lambda text: (text if _is_ip(text) else None,)),
    "mac": IndicatorReader(("p_any_mac_addresses",), _matching(_MAC)),
    "md5": IndicatorReader(("p_any_md5_hashes",), _digest(32)),
    "net_addr": IndicatorReader(_HOST_COLUMNS, _net_addr),
    "sha1": IndicatorReader(("p_any_sha1_hashes",), _digest(40)),
    "sha256": IndicatorReader(("p_any_sha256_hashes",), _digest(64)),
    "trace_id": IndicatorReader(("p_any_trace_ids",), _whole),
    "url": IndicatorReader(_HOST_COLUMNS, _url),
    "username": IndicatorReader(("p_any_usernames",), _whole),
}
"""What each indicator fills. Of a URL the text may be cut, as `cut_urls` does it."""
