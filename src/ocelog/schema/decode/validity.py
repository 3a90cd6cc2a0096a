"""Whether a text is one that its field allows."""

from ipaddress import ip_address, ip_network

from ocelog.schema.decode.mismatch import Mismatch
from ocelog.schema.language.fields import Validate

_SHOWN = 80


def check(text: str, validate: Validate, path: str) -> str:
    """Return `text`, which must be what `validate` asks for. Raises Mismatch."""
    shown = repr(text[:_SHOWN])
    if validate.allow is not None and text not in validate.allow:
        raise Mismatch(path, f"one of {_some(validate.allow)}", shown)
    if text in validate.deny:
        raise Mismatch(path, f"none of {_some(validate.deny)}", shown)
    if validate.ip is not None and not _is_ip(text, validate.ip):
        raise Mismatch(path, f"an IP address ({validate.ip})", shown)
    if validate.cidr is not None and not _is_network(text, validate.cidr):
        raise Mismatch(path, f"an IP network in CIDR notation ({validate.cidr})", shown)
    return text


def _some(texts: frozenset[str]) -> str:
    listed = sorted(texts)
    return ", ".join(listed[:10]) + (", …" if len(listed) > 10 else "")


def _is_ip(text: str, wanted: str) -> bool:
    try:
        return wanted in {"any", f"ipv{ip_address(text).version}"}
    except ValueError:
        return False


def _is_network(text: str, wanted: str) -> bool:
    try:
        return "/" in text and wanted in {"any", f"ipv{ip_network(text, strict=False).version}"}
    except ValueError:
        return False
