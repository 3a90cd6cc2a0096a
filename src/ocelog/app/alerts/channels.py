"""How channels come, change and go, and how a message is sent through one: what a person can do with them."""

import ipaddress
import json
import re
import time
import unicodedata
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

from msgspec import Struct, field
from msgspec.structs import replace

from ocelog.alert.delivery.routing import ChannelRow, ChannelStatus, Routing, fits
from ocelog.alert.notice import Happened, Notice
from ocelog.app.log_types import kinds, short_names
from ocelog.app.sources.sources import GivenSecret, source_id
from ocelog.app.users.trail import last_done
from ocelog.channels.addresses import is_forbidden
from ocelog.channels.kind import ChannelKind, Setting
from ocelog.channels.ports import Channel, Receipt
from ocelog.channels.registry import CHANNELS, find_kind, parse
from ocelog.errors import ConfigError, OcelogError
from ocelog.installation.opening import Installation
from ocelog.kept_texts import kept_text
from ocelog.languages.phrases import Phrase
from ocelog.ledger.vault import COPIED, KeptSecret
from ocelog.model import Severity
from ocelog.secrets.secret import Secret, hidden, may_be_shown, shown
from ocelog.suggest import suggest

TESTED, TEST_FAILED = "channel.tested", "channel.test_failed"
"""What is on the trail of tests."""
MOST_CHANNELS = 100
"""Each is delivered to in a thread of its own."""
_SHELL_KINDS = frozenset({"file", "stdout"})
_SHELL_SETTINGS = frozenset({"allow_private", "ca_file"})
"""Kinds and settings that reach into the machine or its network: for whoever has a shell there, not from a distance."""
_LONGEST_NAME = 100
_PATTERN = re.compile(r"[*?\[]")


class ChannelChange(Struct, frozen=True, kw_only=True):
    """What a person wants of a channel; what is not named stays as it is, or is the default."""

    name: str | None = None
    settings: Mapping[str, str | None] = field(default_factory=dict)
    """None: as if it had never been set."""
    secrets: Mapping[str, GivenSecret] = field(default_factory=dict)
    routing: Callable[[Routing], Routing] = lambda before: before
    remote: bool = False
    """Whoever asks is not at this machine. They must not learn the secrets: another address takes them, too. And what
    reaches into the machine stays with whoever has a shell there."""


class Tries(Struct, frozen=True, kw_only=True):
    """Of which channels it is known whether they work, by their ids."""

    tried: frozenset[str]
    test_failed: frozenset[str]
    """Those that did not take the last test, and nothing since."""


def channel_kinds(*, remote: bool = False) -> Mapping[str, ChannelKind]:
    """Return the kinds of channels, by name: all of them, or those that can be set up without a shell."""
    return {name: kind for name, kind in CHANNELS.items() if not remote or name not in _SHELL_KINDS}


def remote_settings(kind: ChannelKind) -> list[Setting]:
    """Return the settings of a kind that can be set without a shell."""
    return [each for each in kind.settings if each.name not in _SHELL_SETTINGS]


def secret_names(kind: str, *, required: bool = False) -> list[str]:
    """Return what is secret of a kind of channel, or only what it cannot be without. Raises ConfigError."""
    return [each.name for each in find_kind(kind).settings if each.secret and (each.required or not required)]


def secrets_kept(installation: Installation, row: ChannelRow) -> dict[str, str]:
    """Return by its name how each secret of a channel is kept, which needs no key."""
    return installation.ledger.channels.secrets_kept(row.id)


def secrets_to_ask(kind: str, kept: Mapping[str, str]) -> list[str]:
    """Return what a person enters anew: what a channel cannot be without, and each of `kept` that is a copy.

    A new key opens no copy, and says nothing of what is read where it is.
    """
    needed = secret_names(kind, required=True)
    return [name for name in secret_names(kind) if name in needed or kept.get(name) == COPIED]


def refuse_misplaced(kind: str, settings: Iterable[str], name: str | None = None, *, remote: bool = False) -> None:
    """Raise ConfigError if one of the `settings` of a channel is a secret, which is given in another way.

    `name` is what a channel that is to be added is called; `remote`: a program asks, and not a command.
    """
    secret = [each.name for each in find_kind(kind, name).settings if each.secret]
    misplaced = next((name for name in settings if name in secret), None)
    if misplaced is not None and remote:
        raise ConfigError(
            Phrase(
                "%(misplaced)s of a %(kind)s channel is a secret, and settings are seen by others. "
                "Give it in `secrets`.",
                misplaced=misplaced,
                kind=kind,
            )
        )
    if misplaced is not None:
        raise ConfigError(
            Phrase(
                "%(misplaced)s of a %(kind)s channel is a secret: what is typed in a command is seen by "
                "others. Give it with --secret-file %(misplaced)s=FILE, or leave it out to be asked for "
                "it.",
                misplaced=misplaced,
                kind=kind,
            )
        )


def refuse_unfit_secrets(kind: str, settings: Mapping[str, str], secrets: Mapping[str, Secret]) -> None:
    """Raise ConfigError if it is the `secrets` because of which a channel could not be used so."""
    whole = Secret(json.dumps({name: each.reveal() for name, each in secrets.items()}))
    try:
        parse(kind, settings, whole, home=Path("/"))
    except ConfigError as error:
        try:
            parse(kind, {}, whole, home=Path("/"))
        except ConfigError as alone:
            if str(alone) == str(error):
                raise


def statuses(installation: Installation) -> list[ChannelStatus]:
    """Return how each channel is."""
    return installation.ledger.channels.statuses()


def find(installation: Installation, name: str) -> ChannelRow:
    """Return the channel called `name`, or with that id. Raises ConfigError with the nearest name."""
    found = installation.ledger.channels.find(unicodedata.normalize("NFC", name.strip()))
    if found is None:
        known = [row.name for row in installation.ledger.channels.listed()]
        raise ConfigError(
            Phrase(
                "There is no channel %(name)s%(known)s",
                name=shown(name),
                known=suggest(name, known) or Phrase(". See: ocelog channel list"),
            )
        )
    return found


def add(installation: Installation, kind: str, name: str, change: ChannelChange) -> ChannelRow:
    """Add a channel. Raises ConfigError if something is missing, or does not hold."""
    kind = find_kind(kind).name
    if change.remote and kind in _SHELL_KINDS:
        raise ConfigError(
            Phrase(
                "A channel of the kind %(kind)s can be added only by a command. See: ocelog channel add --help",
                kind=kind,
            )
        )
    _refuse_shell_settings(change)
    there = installation.ledger.channels.listed()
    if len(there) >= MOST_CHANNELS:
        raise ConfigError(
            Phrase(
                "There are %(most_channels)s channels already, which is the most that there may be.",
                most_channels=MOST_CHANNELS,
            )
        )
    name = _clean_name(name)
    row = ChannelRow(
        id=_free_id(name, {each.id for each in there}),
        name=name,
        kind=kind,
        settings={key: value for key, value in change.settings.items() if value is not None},
        routing=change.routing(Routing()),
        added_us=time.time_ns() // 1000,
    )
    _check(installation, row, {key: each.value for key, each in change.secrets.items()}, remote=change.remote)
    _refuse_private(row, {key: each.value for key, each in change.secrets.items()}, change)
    installation.ledger.channels.add(row, _kept(installation, row, change))
    return row


def edit(installation: Installation, before: ChannelRow, change: ChannelChange) -> ChannelRow:
    """Change a channel; a running service notices. Raises ConfigError, and then nothing was changed."""
    if change.remote and (change.settings or change.secrets) and _is_of_the_shell(before):
        raise ConfigError(
            Phrase(
                "What %(name)s reaches can be changed only by a command: ocelog channel edit %(id)s",
                name=repr(before.name),
                id=before.id,
            )
        )
    _refuse_shell_settings(change)
    row = _edited(before, change)
    _refuse_new_address(installation, before, row, change)
    kept = {} if not change.secrets and row.settings == before.settings else _secrets(installation, row, change.secrets)
    if kept or change.settings:
        _check(installation, row, kept, remote=change.remote)
        _refuse_private(row, kept, change)
    secrets = _kept(installation, row, change)

    def to(there: ChannelRow) -> ChannelRow:
        if (change.settings or change.secrets) and there.settings not in (before.settings, row.settings):
            # What is secret was given for the address that there was.
            raise ConfigError(
                Phrase(
                    "Somebody else changed the channel %(name)s at the same time. Look at how it is now, and change it "
                    "again.",
                    name=repr(before.name),
                )
            )
        return _edited(there, change)

    return installation.ledger.channels.change(before, to, secrets)


def _refuse_private(row: ChannelRow, secrets: Mapping[str, Secret], change: ChannelChange) -> None:
    """Refuse an address that is named remotely and leads to what only this machine can reach. Raises ConfigError."""
    for host, port in _named_hosts(row, secrets) if change.remote else ():
        if is_forbidden(host, port):
            raise ConfigError(
                Phrase(
                    "%(host)s leads to a private network, to the machine of Ocelog, or to a cloud's credentials. Give "
                    "an address that can be reached from the internet, or have the destination added at the command "
                    "line of that machine.",
                    host=host,
                ),
                code="address_forbidden",
            )


def _named_hosts(row: ChannelRow, secrets: Mapping[str, Secret]) -> list[tuple[str, int]]:
    """Return the hosts and ports that the addresses of a channel name for sure.

    What follows `slack://` and the like may be a secret, which is not to be looked up: only an address in numbers is.
    """
    found = list[tuple[str, int]]()
    for each in find_kind(row.kind).settings:
        text = secrets[each.name].reveal() if each.name in secrets else row.settings.get(each.name)
        if not each.is_address or not text or "://" not in text:
            continue
        try:
            parts = urlsplit(text)
            host, port = parts.hostname or "", parts.port
        except ValueError:
            continue
        if parts.scheme in ("http", "https") or host == "localhost" or _is_numeric(host):
            found.append((host, port or (80 if parts.scheme == "http" else 443)))
    return found


def _is_numeric(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _is_of_the_shell(row: ChannelRow) -> bool:
    return row.kind in _SHELL_KINDS or not _SHELL_SETTINGS.isdisjoint(row.settings)


def _refuse_shell_settings(change: ChannelChange) -> None:
    if change.remote and (refused := sorted(_SHELL_SETTINGS.intersection(change.settings))):
        raise ConfigError(
            Phrase(
                "%(refused)s can be set only by a command. See: ocelog channel edit --help", refused=", ".join(refused)
            )
        )


def _refuse_new_address(
    installation: Installation, before: ChannelRow, after: ChannelRow, change: ChannelChange
) -> None:
    """Refuse to send the secrets that are kept to an address that is named remotely. Raises ConfigError."""
    if not change.remote:
        return
    left = sorted(set(installation.ledger.channels.secrets_kept(before.id)) - change.secrets.keys())
    for each in find_kind(before.kind).settings:
        is_other = each.name in change.secrets or before.settings.get(each.name) != after.settings.get(each.name)
        if each.is_address and is_other and left:
            raise ConfigError(
                Phrase(
                    "Another %(name)s takes %(secrets)s, too: what is secret is sent there.",
                    name=each.name,
                    secrets=", ".join(left),
                )
            )


def pause(installation: Installation, row: ChannelRow, *, paused: bool) -> None:
    """Send nothing through a channel, or all that waits."""
    installation.ledger.channels.change(row, lambda there: replace(there, paused=paused))


def remove(installation: Installation, row: ChannelRow) -> int:
    """Forget a channel with its secrets; return how many messages that waited went to other channels, or nowhere."""
    return installation.ledger.channels.remove(row.id)


def resend(installation: Installation, row: ChannelRow) -> int:
    """Have what was given up sent again; return of how many alerts."""
    return installation.ledger.delivery.resend(row.id)


def send_test(installation: Installation, row: ChannelRow, note: Callable[..., None]) -> Receipt:
    """Send a marked message through a channel now, and return what the far end answered. Raises what sending raises.

    If it was taken, the channel does not fail any more, and what waits for it is tried at once. `note` adds to the
    trail what came of it: it takes the deed, the channel's name, and details.
    """
    notice = Notice(
        key=f"test-{uuid4().hex}",
        alert_id="test",
        happened=Happened.TEST,
        severity=Severity.INFO,
        title=kept_text("Test of the destination %(name)s", name=row.name),
        rule_id="test",
        opened_us=time.time_ns() // 1000,
    )
    try:
        receipt = open_channel(installation, row).send(notice)
    except OcelogError as error:
        note(TEST_FAILED, row.name, reason=error.code)
        raise
    installation.ledger.delivery.works(row.id)
    note(TESTED, row.name)
    return receipt


def tries(installation: Installation, found: Sequence[ChannelStatus]) -> Tries:
    """Return of which channels it is known whether they work: by what was sent, and by tests that are on the trail."""
    tested, failed = last_done(installation, TESTED), last_done(installation, TEST_FAILED)
    test_failed = {
        each.channel.id
        for each in found
        if failed.get(each.channel.name, 0)
        > max(each.channel.added_us, each.delivered_us or 0, tested.get(each.channel.name, 0))
    }
    sent = {each.channel.id for each in found if each.delivered_us is not None or each.failing_us is not None}
    passed = {each.channel.id for each in found if tested.get(each.channel.name, 0) >= each.channel.added_us}
    return Tries(tried=frozenset(sent | passed | test_failed), test_failed=frozenset(test_failed))


def keeps_incidents(row: ChannelRow) -> bool:
    """Whether a channel opens and ends something for each alert, which it cannot do by a digest of several."""
    kind = CHANNELS.get(row.kind)
    return kind is not None and kind.keeps_incidents


def open_channel(installation: Installation, row: ChannelRow) -> Channel:
    """Return what sends through a channel as it is by now, whatever it was when `row` was read.

    Raises ConfigError, and HomeError if a secret cannot be read.
    """
    with installation.ledger.snapshot():
        # As of one instant: a new secret must not be sent to the address that it came with another for.
        there = next((each for each in installation.ledger.channels.listed() if each.id == row.id), row)
        secrets = _secrets(installation, there, {})
    return _built(installation, there, secrets)


def hosts(installation: Installation, rows: Sequence[ChannelRow]) -> dict[str, str]:
    """Return, by the id of a channel, the host to which it sends, of which the rest of the address may be a secret."""
    found = dict[str, str]()
    for row in rows:
        kind = CHANNELS.get(row.kind)
        addresses = [] if kind is None else [each for each in kind.settings if each.is_address]
        try:
            secrets = _secrets(installation, row, {}) if any(each.secret for each in addresses) else {}
            given = [
                secrets[each.name].reveal() if each.name in secrets else row.settings.get(each.name)
                for each in addresses
            ]
            named = [host for each in given if each and "://" in each and (host := urlsplit(each).hostname)]
        except (OcelogError, ValueError):
            # What is wrong with it is told where it is used.
            continue
        if named:
            found[row.id] = named[0]
    return found


def log_type_pattern(text: str) -> str:
    """Return the log type that a person means, by its short or full name; a pattern as it is. Raises ConfigError."""
    if _PATTERN.search(text):
        return text
    for name, kind in kinds().items():
        if text.casefold() in (name.casefold(), kind.short.casefold()):
            return name
    known = [*short_names(), *kinds()]
    raise ConfigError(
        Phrase(
            "There is no log type %(text)s%(known)s There are %(known2)s.",
            text=shown(text),
            known=suggest(text, known) or ".",
            known2=", ".join(known),
        )
    )


def unknown_rules(patterns: Iterable[str], known: Collection[str]) -> list[str]:
    """Say which of `patterns` fit none of the rules that are `known`, each with the nearest that would."""
    told = list[str]()
    for pattern in patterns:
        if not any(fits(name, [pattern]) for name in known):
            near = set(known)
            if pattern.endswith(".*"):
                parts = (name.split(".") for name in known)
                near = {".".join([*words[:many], "*"]) for words in parts for many in range(1, len(words))}
            told.append(f"No rule here is called {pattern!r}{suggest(pattern, near) or '.'}")
    return told


def rules_here(installation: Installation) -> set[str]:
    """Return the ids of all rules of the folders here, and of those that there are alerts of."""
    # Takes long to import, and most commands about channels name no rule.
    from ocelog.app.rule_folders import rule_folders  # noqa: PLC0415 - see above

    every = {rule.id for folder in rule_folders.listed(installation) for rule in folder.rules}
    return every | set(installation.ledger.alerts.rule_ids())


def _edited(row: ChannelRow, change: ChannelChange) -> ChannelRow:
    settings = {**row.settings, **change.settings}
    return replace(
        row,
        name=row.name if change.name is None else _clean_name(change.name),
        settings={key: value for key, value in settings.items() if value is not None},
        routing=change.routing(row.routing),
    )


def _clean_name(text: str) -> str:
    name = unicodedata.normalize("NFC", text.strip())
    if "://" in name or not may_be_shown(name):
        raise ConfigError(
            Phrase(
                "A channel's name is what you call it, such as ops, and not its address, which may be a "
                "secret. Given was %(name)s.",
                name=hidden(name),
            )
        )
    if not name or len(name) > _LONGEST_NAME or not name.isprintable():
        raise ConfigError(
            Phrase("A channel's name is one line of 1 to %(longest_name)s characters.", longest_name=_LONGEST_NAME)
        )
    return name


def _free_id(name: str, taken: set[str]) -> str:
    """Return an id for a channel called `name`; that of one which was renamed since stays its own."""
    first = source_id(name)
    return next(each for each in (first, *(f"{first}-{n}" for n in range(2, MOST_CHANNELS + 3))) if each not in taken)


def _secrets(installation: Installation, row: ChannelRow, given: Mapping[str, GivenSecret]) -> dict[str, Secret]:
    is_any = installation.ledger.channels.secrets_kept(row.id).keys() - given.keys()
    kept = installation.channel_vault().get_all(row.id, but=given) if is_any else {}
    return kept | {name: each.value for name, each in given.items()}


def _check(installation: Installation, row: ChannelRow, secrets: Mapping[str, Secret], *, remote: bool) -> None:
    """Raise ConfigError if the channel could not be used so."""
    secret = secret_names(row.kind)
    for name in secrets:
        if name not in secret:
            known = Phrase("It has %(names)s.", names=", ".join(secret)) if secret else Phrase("It has none.")
            raise ConfigError(
                Phrase(
                    "A %(kind)s channel has no secret %(name)s%(secret)s %(known)s",
                    kind=row.kind,
                    name=shown(name),
                    secret=suggest(name, secret) or ".",
                    known=known,
                )
            )
    refuse_misplaced(row.kind, row.settings, remote=remote)
    _built(installation, row, secrets)


def _built(installation: Installation, row: ChannelRow, secrets: Mapping[str, Secret]) -> Channel:
    whole = Secret(json.dumps({name: each.reveal() for name, each in secrets.items()})) if secrets else None
    settings: dict[str, Any] = dict(row.settings)
    return parse(row.kind, settings, whole, home=installation.home.path)


def _kept(installation: Installation, row: ChannelRow, change: ChannelChange) -> list[KeptSecret]:
    vault = installation.channel_vault() if change.secrets else None
    given = change.secrets.items()
    return [] if vault is None else [vault.kept(row.id, key, each.value, each.reference) for key, each in given]


def severities(texts: Sequence[str]) -> frozenset[Severity]:
    """Read `HIGH`, or `medium+` for that and all that is worse. Raises ConfigError."""
    found, words = set[Severity](), list(Severity)
    for text in texts:
        word = text.strip().upper()
        least = next((each for each in words if each.value == word.removesuffix("+")), None)
        if least is None:
            plus = "+" if word.endswith("+") else ""
            near = suggest(word, [each.value + plus for each in words])
            raise ConfigError(
                Phrase(
                    "There is no severity %(text)s%(near)s Write INFO, LOW, MEDIUM, HIGH or CRITICAL, with a "
                    "+ behind it for that and all that is worse.",
                    text=shown(text),
                    near=near or ".",
                )
            )
        found.update(words[words.index(least) :] if word.endswith("+") else [least])
    return frozenset(found)
