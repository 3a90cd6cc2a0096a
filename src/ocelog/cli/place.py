"""Which Ocelog a command is for: the home of this machine, or one elsewhere; and which commands can be for that."""

from collections.abc import Mapping, Sequence
from contextvars import ContextVar

from msgspec import Struct

from ocelog.errors import ConfigError
from ocelog.installation import config
from ocelog.units import write_list

_TAKING = frozenset({"--url", "--token-file"})
"""Options of `ocelog` itself that the next word belongs to."""
REMOTE: Mapping[str, frozenset[str]] = {
    "status": frozenset(),
    "query": frozenset(),
    "tables": frozenset(),
    "rejections": frozenset(),
    "coverage": frozenset(),
    "schema": frozenset({"list", "show"}),
    "source": frozenset({"list", "show", "add", "edit", "rotate", "check", "pause", "resume", "remove"}),
    "alerts": frozenset(
        {
            *("list", "show", "assign", "comment", "triage", "close", "reopen", "resend"),
            *("suppress", "mute", "suppressions", "unsuppress"),
        }
    ),
    "rules": frozenset({"list", "show", "enable", "disable", "try", "unjudged"}),
    "channel": frozenset({"list", "show", "add", "edit", "test", "pause", "resume", "remove", "resend"}),
    "user": frozenset({"list"}),
}
"""Commands that can be asked of a remote Ocelog; of a group, which of its commands."""
_HOMELESS: Mapping[str, frozenset[str]] = {
    "demo": frozenset(),
    "schema": frozenset({"check"}),
    "rules": frozenset({"test", "new"}),
}
"""Commands that need no home, and do the same whichever Ocelog is named."""


class NamedRemote(Struct, frozen=True):
    """A remote Ocelog, as a person names it."""

    url: str
    token_file: str | None


_named: ContextVar[NamedRemote | None] = ContextVar("remote_ocelog", default=None)


def words_of(arguments: Sequence[str]) -> list[str]:
    """Return `arguments` from the name of the command on: what stands before it is about `ocelog` itself."""
    left = list(arguments)
    while left and left[0].startswith("-"):
        if left.pop(0) in _TAKING:
            left[:1] = []
    return left


def choose(url: str | None, token_file: str | None, words: Sequence[str]) -> None:
    """Have the command that `words` type ask the Ocelog at `url`, or the one that OCELOG_URL names.

    Raises ConfigError for a command that works only beside the home.
    """
    url = url or config.remote_url()
    if url is None:
        if token_file is not None:
            raise ConfigError("--token-file is for a remote Ocelog: give --url, too.")
        _named.set(None)
        return
    if "--help" not in words:
        refused = refusal_of(words)
        if refused is not None:
            raise ConfigError(refused)
    _named.set(NamedRemote(url, token_file))


def named() -> NamedRemote | None:
    """Return the remote Ocelog that the command is for; None: it is for the home of this machine."""
    return _named.get()


def complete_for(words: Sequence[str]) -> None:
    """Note whether a command that is being typed is for a remote Ocelog."""
    url = config.remote_url()
    before = words[: len(words) - len(words_of(words))]
    if url is None and any(each.partition("=")[0] == "--url" for each in before):
        url = "--url"
    _named.set(None if url is None else NamedRemote(url, None))


def refusal_of(words: Sequence[str]) -> str | None:
    """Say why the command that `words` type is not asked of a remote Ocelog, and where to do it; None: it can be."""
    if not words:
        return None
    name, below = words[0], words[1:2]
    possible = REMOTE.get(name, frozenset())
    for table in (REMOTE, _HOMELESS):
        if name in table and (not table[name] or not below or below[0] in table[name]):
            return None
    typed = " ".join([name, *below]) if possible else name
    others = [f"{name} {each}" for each in sorted(possible)] or sorted(REMOTE)
    elsewhere = ", or use the page Users of its console" if name == "user" else ""
    return (
        f"`ocelog {typed}` works only on the machine of the home: run it there, without --url and OCELOG_URL"
        f"{elsewhere}. What can be asked of a remote Ocelog: {write_list(others)}."
    )
