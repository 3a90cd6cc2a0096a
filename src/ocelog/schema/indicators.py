"""What a row is evidence of: addresses, domains, accounts, people, hashes, gathered into the p_any_ columns."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from socket import AF_INET, AF_INET6, inet_pton
from typing import TypeAlias

import pyarrow as pa

from ocelog.schema.fields import Array, Field, LogSchema, Object, Text, Type

Found: TypeAlias = Mapping[str, list[str]]
"""The values found so far, by p_any_ column; a column that nothing feeds is not there."""

Reader: TypeAlias = Callable[[str, Found], None]

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

FEEDS: Mapping[str, tuple[str, ...]] = {
    "actor_id": ("p_any_actor_ids",),
    "aws_account_id": ("p_any_aws_account_ids",),
    "aws_arn": ("p_any_aws_arns", "p_any_aws_account_ids", "p_any_aws_instance_ids"),
    "aws_instance_id": ("p_any_aws_instance_ids",),
    "aws_tag": ("p_any_aws_tags",),
    "domain": ("p_any_domain_names",),
    "email": ("p_any_emails",),
    "hostname": ("p_any_domain_names", "p_any_ip_addresses"),
    "ip": ("p_any_ip_addresses",),
    "mac": ("p_any_mac_addresses",),
    "md5": ("p_any_md5_hashes",),
    "net_addr": ("p_any_domain_names", "p_any_ip_addresses"),
    "sha1": ("p_any_sha1_hashes",),
    "sha256": ("p_any_sha256_hashes",),
    "trace_id": ("p_any_trace_ids",),
    "url": ("p_any_domain_names", "p_any_ip_addresses"),
    "username": ("p_any_usernames",),
}

_MAX_VALUE = 2_048
"""Longer texts are evidence of nothing."""
_EMAIL = re.compile(r"[^\s@<>\"]+@[^\s@<>\"]+\.[^\s@<>\".]+")
_ACCOUNT = re.compile(r"[0-9]{12}")
_INSTANCE = re.compile(r"i-[0-9a-f]{8,17}")
_MAC = re.compile(
    r"(?:[0-9A-Fa-f]{2}([:-]))(?:[0-9A-Fa-f]{2}\1){4}[0-9A-Fa-f]{2}|(?:[0-9A-Fa-f]{4}\.){2}[0-9A-Fa-f]{4}"
)
_END_OF_AUTHORITY = re.compile(r"[/\\?#]")
_HOST = re.compile(r"[^\s/?#@:\[\]\\\"'<>(),;|{}]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Feed:
    """A text field that is evidence of something."""

    path: str
    indicators: tuple[str, ...]


def feeds_of(schema: LogSchema) -> list[Feed]:
    """Return the fields of `schema` that carry indicators, with paths such as `user.id` or `projects[].slug`."""
    return list(_feeds(schema.fields, ""))


def columns_of(schema: LogSchema) -> list[tuple[str, pa.DataType, str]]:
    """Return the p_any_ columns that `schema` feeds: name, type, what it means."""
    fed = {column for feed in feeds_of(schema) for indicator in feed.indicators for column in FEEDS[indicator]}
    return [(name, pa.list_(pa.string()), doc) for name, doc in _COLUMNS.items() if name in fed]


def _feeds(fields: Sequence[Field], prefix: str) -> Iterator[Feed]:
    for field in fields:
        yield from _feeds_below(field.type, prefix + field.name)


def _feeds_below(type_: Type, path: str) -> Iterator[Feed]:
    match type_:
        case Text(indicators=indicators) if indicators:
            yield Feed(path=path, indicators=indicators)
        case Object(fields=fields):
            yield from _feeds(fields, path + ".")
        case Array(element=element):
            yield from _feeds_below(element, path + "[]")
        case _:
            pass


def evidence(indicator: str, text: str, found: Found) -> None:
    """Add to `found` what `text` is evidence of, read as `indicator`: nothing where it is not what it should be.

    Of a URL `text` is the piece that `cut_url` returns.
    """
    value = text.strip()
    if value and len(value) <= _MAX_VALUE:
        READERS[indicator](value, found)


def _plain(column: str) -> Reader:
    def read(value: str, found: Found) -> None:
        found[column].append(value)

    return read


def _matching(column: str, pattern: re.Pattern[str]) -> Reader:
    def read(value: str, found: Found) -> None:
        if pattern.fullmatch(value):
            found[column].append(value)

    return read


def _digest(column: str, length: int) -> Reader:
    pattern = re.compile(f"[0-9a-f]{{{length}}}")

    def read(value: str, found: Found) -> None:
        if pattern.fullmatch(value.lower()):
            found[column].append(value.lower())

    return read


def _is_ip(value: str) -> bool:
    try:
        inet_pton(AF_INET6 if ":" in value else AF_INET, value)
    except (OSError, ValueError):
        return False
    return True


def _ip(value: str, found: Found) -> None:
    if _is_ip(value):
        found["p_any_ip_addresses"].append(value)


def _email(value: str, found: Found) -> None:
    if "@" in value and _EMAIL.fullmatch(value):
        found["p_any_emails"].append(value)


def _host(value: str, found: Found) -> None:
    """Read an address or a name; names are written in lower case, without the root's dot."""
    inner = value[1:-1] if value.startswith("[") and value.endswith("]") else value
    if _is_ip(inner):
        found["p_any_ip_addresses"].append(inner)
    elif _HOST.fullmatch(value) and (name := value.lower().rstrip(".")):
        found["p_any_domain_names"].append(name)


def _net_addr(value: str, found: Found) -> None:
    """Read a host, with or without a port; an IPv6 address with a port stands in brackets."""
    _host(value if value.count(":") > 1 and not value.startswith("[") else _without_port(value), found)


def cut_url(url: str) -> str:
    """Return what lies between the second and the third slash of `url`, or all of it where there is no `scheme://`.

    Quick, and enough to tell URLs of one host from those of another: what is read as evidence is this piece.
    """
    pieces = url.split("/", 3)
    return pieces[2] if len(pieces) > 2 and not pieces[1] and pieces[0].endswith(":") else url


def _url(piece: str, found: Found) -> None:
    host = _END_OF_AUTHORITY.split(piece, maxsplit=1)[0].rpartition("@")[2]
    if host:
        _net_addr(host, found)


def _without_port(value: str) -> str:
    head, colon, port = value.rpartition(":")
    return head if colon and port.isascii() and (port.isdigit() or not port) else value


def _arn(value: str, found: Found) -> None:
    parts = value.split(":", 5) if value.startswith("arn:") else ()
    if len(parts) < 6:
        return
    found["p_any_aws_arns"].append(value)
    if _ACCOUNT.fullmatch(parts[4]):
        found["p_any_aws_account_ids"].append(parts[4])
    kind, _, instance = parts[5].partition("/")
    if kind == "instance" and _INSTANCE.fullmatch(instance):
        found["p_any_aws_instance_ids"].append(instance)


READERS: Mapping[str, Reader] = {
    "actor_id": _plain("p_any_actor_ids"),
    "aws_account_id": _matching("p_any_aws_account_ids", _ACCOUNT),
    "aws_arn": _arn,
    "aws_instance_id": _matching("p_any_aws_instance_ids", _INSTANCE),
    "aws_tag": _plain("p_any_aws_tags"),
    "domain": _matching("p_any_domain_names", re.compile(r"[^\s/@]+")),
    "email": _email,
    "hostname": _host,
    "ip": _ip,
    "mac": _matching("p_any_mac_addresses", _MAC),
    "md5": _digest("p_any_md5_hashes", 32),
    "net_addr": _net_addr,
    "sha1": _digest("p_any_sha1_hashes", 40),
    "sha256": _digest("p_any_sha256_hashes", 64),
    "trace_id": _plain("p_any_trace_ids"),
    "url": _url,
    "username": _plain("p_any_usernames"),
}
