"""What a person can do with alerts: find them, work with them, send them again, and keep some quiet for a while."""

import getpass
import re
import secrets
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TypeVar

from msgspec import Struct
from msgspec.structs import replace

from ocelog.alert import in_language
from ocelog.alert.alert import OPEN, Alert
from ocelog.alert.changes import LONGEST_NAME, LONGEST_TEXT, Act, Change, if_possible, quietly
from ocelog.alert.changes import resend as resent
from ocelog.alert.deciding import OPENED_UNTOLD
from ocelog.alert.delivery.routing import ChannelRow, channels_for, is_unrouted
from ocelog.alert.delivery.suppressing import LONGEST, WHY, Suppression, conditions, like, suppressed
from ocelog.alert.ids import ONBOARDED
from ocelog.alert.listing import (
    AlertDetails,
    AlertFilter,
    AlertOrder,
    ListPlace,
    TitledAlert,
    WaitingDelivery,
    place_of,
)
from ocelog.alert.notice import AlertStatus, AlertType
from ocelog.app.log_types import log_types
from ocelog.app.sources import sources
from ocelog.errors import ConfigError
from ocelog.installation.opening import Installation
from ocelog.kept_texts import recognised
from ocelog.languages.phrases import Phrase
from ocelog.model import Severity
from ocelog.secrets.secret import shown
from ocelog.suggest import suggest
from ocelog.times import from_us, to_us
from ocelog.units import duration, instant, list_phrase, write_duration, write_instant, write_list

AT_ONCE = 200
"""Alerts that one transaction changes, if a person selects many."""
MOST_COUNTED = 10_000
"""Alerts that are counted to say how many there are."""
_PLACE = re.compile(r"([0-9])\.(-?[0-9]{1,18})\.([0-9a-f]{1,32})")
_ALERT, _SUPPRESSION = Phrase("alert"), Phrase("suppression")
_SEE = Phrase("See: ocelog alerts list")
_LONGEST_ID = 32
_SHOWN = 5
_DURATION = re.compile(r"[0-9]+[smhdw]", re.IGNORECASE)
_Word = TypeVar("_Word", bound=StrEnum)


class AlertListing(Struct, frozen=True, kw_only=True):
    """Alerts as a person asked for them."""

    alerts: Sequence[Alert]
    more: bool
    """Whether there are others behind the last."""
    untold: int
    """How many others would be among them that are sent to nobody; counted as `total` is."""
    total: int
    """How many there are on all pages. No more than MOST_COUNTED are counted: then there may be more."""
    end: ListPlace | None = None
    """Where this page ends."""


class ChangedAlert(Struct, frozen=True, kw_only=True):
    """An alert after a person wanted something of it."""

    alert: Alert
    changed: bool
    """Not so if it was like this already."""
    to: tuple[str, ...] = ()
    """Through which channels people are to be told of it, if that is what was wanted."""


def word(kind: type[_Word], text: str) -> _Word:
    """Return the member of `kind` that a person means. Raises ConfigError with the nearest."""
    words = {each.value.casefold(): each for each in kind}
    found = words.get(text.strip().replace("-", "_").casefold())
    if found is None:
        # As help and completion write them.
        nearest = suggest(text.strip().replace("-", "_"), words) or "."
        expected = list_phrase(words, "or")
        raise ConfigError(
            Phrase(
                "%(text)s is not known%(nearest)s Expected %(expected)s.",
                text=repr(text),
                nearest=nearest,
                expected=expected,
            )
        )
    return found


def wanted(
    installation: Installation,
    *,
    statuses: Collection[str] = (),
    severities: Collection[str] = (),
    types: Collection[str] = (),
    rule: str | None = None,
    source_names: Collection[str] = (),
    log_type: str | None = None,
    assignee: str | None = None,
    since: str | None = None,
    text: str | None = None,
    everything: bool = False,
    untold: bool = False,
    language: str = "en",
) -> AlertFilter:
    """Return which alerts a person means; those that are open, unless they ask for a status or for `everything`.

    The text may also be what they are shown in their language. Raises ConfigError with the nearest name.
    """
    chosen = frozenset(word(AlertStatus, each) for each in statuses)
    wanted = AlertFilter(
        statuses=chosen or (frozenset() if everything else OPEN),
        severities=frozenset(word(Severity, each) for each in severities),
        types=frozenset(word(AlertType, each) for each in types),
        rule=rule,
        source_ids=frozenset(sources.find(installation, each, removed=True).id for each in source_names),
        log_type=None if log_type is None else log_types([log_type])[0],
        assignee=assignee,
        since_us=None if since is None else to_us(instant(since, now=datetime.now(UTC))),
        text=text,
        untold=untold or everything,
    )
    if text is None or language == "en":
        return wanted
    heads = installation.ledger.alerts.titles(replace(wanted, text=None), most=MOST_COUNTED)
    return replace(wanted, shown=frozenset((each.rule_id, each.title) for each in heads if _says(each, text, language)))


def _says(alert: TitledAlert, text: str, language: str) -> bool:
    """Whether a list in a language shows a text as the title of an alert or as the name of its rule."""
    shown = (in_language.title(alert, language), in_language.kind(alert, language))
    return any(text.casefold() in each.casefold() for each in shown)


def listed(
    installation: Installation,
    wanted: AlertFilter,
    *,
    limit: int,
    order: AlertOrder = AlertOrder.OPENED,
    after: ListPlace | str | None = None,
    with_context: bool = True,
    most_context: int | None = None,
) -> AlertListing:
    """Return alerts, by default the newest first; thousands are listed without their contexts, which are empty then.

    With `most_context`, no more are returned than have contexts of so many characters together, but at least one.
    `after` is where the page before ended, or names its last alert, which may have got another place since. Raises
    ConfigError.
    """
    ledger = installation.ledger.alerts
    last = place_of(details(installation, [after])[0].alert, order) if isinstance(after, str) else after
    at_once = with_context and most_context is None
    found = ledger.listed(wanted, limit=limit + 1, order=order, after=last, with_context=at_once)
    shown = found[:limit]
    if most_context is not None:
        few = ledger.within(most_context, [each.id for each in shown])
        shown = list(ledger.whole(few)) or shown[: len(few)]
    return AlertListing(
        alerts=shown,
        more=len(found) > len(shown),
        untold=0 if wanted.untold else ledger.count_untold(wanted, most=MOST_COUNTED),
        # The first page may have them all.
        total=len(found) if last is None and len(found) <= limit else ledger.count(wanted, most=MOST_COUNTED),
        end=place_of(shown[-1], order) if shown else None,
    )


def whole(installation: Installation, listed: Iterable[Alert]) -> Iterator[Alert]:
    """Yield alerts that were listed without their contexts, with them; what is gone by now is left out."""
    return installation.ledger.alerts.whole(each.id for each in listed)


def write_place(place: ListPlace) -> str:
    """Return a place as a text, for the address of the next page."""
    return f"{place.rank}.{place.at_us}.{place.id}"


def read_place(text: str) -> ListPlace:
    """Return the place that a text says. Raises ConfigError."""
    found = _PLACE.fullmatch(text)
    if found is None:
        raise ConfigError(Phrase("There is no such page of this list."))
    rank, at_us, alert_id = found.groups()
    return ListPlace(rank=int(rank), at_us=int(at_us), id=alert_id)


def details(installation: Installation, given: Collection[str]) -> list[AlertDetails]:
    """Return all there is about alerts, named by how their ids begin. Raises ConfigError."""
    ledger = installation.ledger.alerts
    found = [(name, ledger.details(name)) for name in _ids(installation, given)]
    for name, each in found:
        if each is None:
            raise ConfigError(Phrase("There is no alert %(name)s any more. %(see)s", name=name, see=_SEE))
    return [each for _, each in found if each is not None]


def change(installation: Installation, given: Collection[str], act: Act, *, quiet: bool = False) -> list[ChangedAlert]:
    """Change alerts, all of them or none; if `quiet`, nobody is told. Raises ConfigError."""
    act = quietly(act) if quiet else act
    done = installation.ledger.alerts.change(_ids(installation, given), act, quiet=quiet)
    return [ChangedAlert(alert=alert, changed=changed) for alert, changed in done]


def chosen(installation: Installation, wanted: AlertFilter) -> dict[str, Severity]:
    """Return the ids of all alerts that a person selects, with their severities."""
    return installation.ledger.alerts.chosen(wanted)


def change_many(installation: Installation, ids: Collection[str], act: Act, *, quiet: bool = False) -> int:
    """Change many alerts, some at a time, so that others write in between; return how many changed.

    Those that are gone or cannot be changed so, such as what is over by now, stay as they are.
    """
    act = if_possible(quietly(act) if quiet else act)
    there = list(ids)
    pieces = (there[at : at + AT_ONCE] for at in range(0, len(there), AT_ONCE))
    return sum(installation.ledger.alerts.change_some(some, act, quiet=quiet) for some in pieces)


def resend(
    installation: Installation, given: Collection[str], channel_names: Collection[str], *, who: str
) -> list[ChangedAlert]:
    """Tell of alerts once more: through the named channels, else those that were told, else those that take them now.

    Raises ConfigError, and nothing is told, if an alert has none.
    """
    ledger = installation.ledger
    channels = ledger.channels.listed()
    names = {each.id: each.name for each in channels}
    named = [_channel(channels, name).id for name in channel_names]
    ids = _ids(installation, given)
    found = ledger.alerts.heads(ids)
    for name in ids:
        if name not in found:
            raise ConfigError(Phrase("There is no alert %(name)s any more. %(see)s", name=name, see=_SEE))
    to = {name: named or ledger.alerts.told_channels(name) or channels_for(found[name], channels) for name in ids}
    for name, takers in to.items():
        if not takers:
            raise ConfigError(
                Phrase("No channel takes the alert %(name)s: say which one with --channel NAME.", name=name)
            )

    def act(alert: Alert, now_us: int) -> Change | None:
        return resent(write_list(names.get(each, each) for each in to[alert.id]), who=who)(alert, now_us)

    done = ledger.alerts.resend(list(to), act, to)
    return [
        ChangedAlert(alert=alert, changed=changed, to=tuple(names.get(each, each) for each in to[alert.id]))
        for alert, changed in done
    ]


def untold_because(installation: Installation, found: AlertDetails) -> str | None:
    """Say why nobody was told of an alert, or not yet; None: somebody was."""
    alert, now_us = found.alert, to_us(datetime.now(UTC))
    if any(each.delivered for each in found.attempts):
        return None
    if not alert.to_be_told:
        return _sent_to_nobody_because(installation, found, now_us)
    if found.waiting:
        why = waits_because(installation, found)
        return Phrase("not yet: %(why)s", why=why[0] if len(why) == 1 else "; ".join(why))
    if given_up := dict.fromkeys(each.channel for each in found.attempts if each.final):
        return Phrase("no: it was given up for %(channels)s", channels=list_phrase(given_up))
    channels = installation.ledger.channels.listed()
    if not channels:
        return Phrase("no: there is no channel. Add one: ocelog channel add --help")
    if alert.destinations == ():
        return Phrase("no: its rule says that nobody is to hear of it")
    if is_unrouted(alert, channels):
        return Phrase("no: no channel takes it. See what each takes: ocelog channel list")
    if not channels_for(alert, channels):
        return Phrase("not yet: the channels that take it wait until nobody has acknowledged it for long enough")
    return Phrase("no: the channels that take it now were not there, or took others, when it happened")


def _sent_to_nobody_because(installation: Installation, found: AlertDetails, now_us: int) -> str:
    alert = found.alert
    muted = next((each.detail for each in reversed(found.timeline) if each.what == "suppressed"), None)
    if muted is not None:
        return Phrase("no: %(why)s", why=recognised(muted, WHY) or muted)
    if alert.known:
        return Phrase("no: it was there already when its source or its rule was new")
    covered = suppressed(alert, installation.ledger.alerts.suppressions(), now_us)
    if covered is not None:
        return Phrase("no: %(why)s", why=recognised(covered.why, WHY) or covered.why)
    if alert.rule_id == ONBOARDED:
        return Phrase("no: nothing that rules look for was open when its source was added")
    opened = next((each.detail for each in found.timeline if each.what == "opened"), "")
    if opened in OPENED_UNTOLD:
        return Phrase("no: %(why)s", why=Phrase(opened))
    if (
        alert.type is not AlertType.ALERT
        or alert.record_id is not None
        or any(each.what == "untold" for each in found.timeline)
    ):
        # A threshold keeps none of these back.
        return Phrase("no: it was muted when it was to be sent")
    from ocelog.app.rule_folders import rule_folders  # noqa: PLC0415 - it reads every rule, and most alerts need none

    least = rule_folders.threshold(installation, alert.rule_id)
    if least is None:
        return Phrase(
            "no: below the threshold of its rule, %(matches)s matches so far", matches=format(alert.matches, ",")
        )
    return Phrase(
        "no: below the threshold of its rule, %(matches)s of %(least)s matches so far",
        matches=format(alert.matches, ","),
        least=format(least, ","),
    )


def waits_because(installation: Installation, found: AlertDetails) -> list[str]:
    """Say of each channel that is still to be told of an alert what holds that up."""
    now_us = to_us(datetime.now(UTC))
    held_up = (
        Phrase("%(channel)s: %(why)s", channel=each.channel, why=_holds_up(installation, each, now_us))
        for each in found.waiting
    )
    return list(dict.fromkeys(held_up))


def _holds_up(installation: Installation, waiting: WaitingDelivery, now_us: int) -> str:
    """Say what holds up an entry."""
    status = next(
        (each for each in installation.ledger.channels.statuses() if each.channel.name == waiting.channel), None
    )
    if status is None:
        return Phrase("it was removed, and what waited goes to others")
    routing = status.channel.routing
    if status.channel.paused:
        return Phrase("it is paused. To go on: ocelog channel resume %(id)s", id=status.channel.id)
    if status.failures:
        rests = max(status.rests_until_us or 0, waiting.due_us)
        return Phrase(
            "it fails (%(trouble)s), and is tried again at %(at)s",
            trouble=status.trouble or Phrase("no answer"),
            at=write_instant(from_us(rests)),
        )
    now = from_us(now_us)
    if routing.quiet_hours is not None and routing.quiet_hours.cover(now):
        return Phrase("it has quiet hours until %(at)s", at=write_instant(routing.quiet_hours.end_after(now)))
    if waiting.due_us > now_us:
        return Phrase("it is due at %(at)s", at=write_instant(from_us(waiting.due_us)))
    return Phrase(
        "it is sent by the service within seconds, or by the next ocelog pull, unless its limit per hour is reached"
    )


def _channel(channels: Sequence[ChannelRow], name: str) -> ChannelRow:
    found = next((each for each in channels if name in (each.id, each.name)), None)
    if found is None:
        known = [each.name for each in channels]
        there = Phrase("There are: %(known)s.", known=list_phrase(known)) if known else Phrase("There is none yet.")
        raise ConfigError(
            Phrase(
                "There is no channel %(name)s%(known)s %(there)s",
                name=shown(name),
                known=suggest(name, known) or ".",
                there=there,
            )
        )
    return found


def person(installation: Installation, given: str | None) -> str:
    """Return who works with alerts: as given, else OCELOG_USER, else the login name. Raises ConfigError."""
    name = given or installation.settings.user
    if not name:
        try:
            name = getpass.getuser()
        except (OSError, KeyError, ImportError):
            raise ConfigError(
                Phrase("This user has no login name. Say who you are: --as NAME, or OCELOG_USER=NAME.")
            ) from None
    return one_line(name, "A name", LONGEST_NAME)


def one_line(text: str, what: str, longest: int) -> str:
    """Return `text` as it is kept. Raises ConfigError."""
    text = text.strip()
    if not text or len(text) > longest or not text.isprintable():
        raise ConfigError(
            Phrase("%(what)s is one line of 1 to %(longest)s characters.", what=what, longest=format(longest, ","))
        )
    return text


def _ids(installation: Installation, given: Collection[str]) -> list[str]:
    ledger = installation.ledger.alerts
    return list(dict.fromkeys(_named(_ALERT, each, lambda start: ledger.ids(start, limit=_SHOWN)) for each in given))


def _named(what: str, given: str, beginning: Callable[[str], Sequence[str]]) -> str:
    """Return the id that begins as given. Raises ConfigError, with those that may be meant."""
    start = given.strip().lower()
    see = _SEE if what == "alert" else Phrase("See: ocelog alerts suppressions")
    if not re.fullmatch(rf"[0-9a-f]{{1,{_LONGEST_ID}}}", start):
        raise ConfigError(
            Phrase(
                "%(given)s is not the id of an alert: that is up to %(longest_id)s of 0 to 9 and a to f. %(see)s",
                given=repr(given),
                longest_id=_LONGEST_ID,
                see=see,
            )
            if what == "alert"
            else Phrase("%(given)s is not the id of a %(what)s. %(see)s", given=repr(given), what=what, see=see)
        )
    found = beginning(start)
    if len(found) == 1 or start in found:
        return start if start in found else found[0]
    if found:
        raise ConfigError(
            Phrase(
                "More than one %(what)s begins with %(given)s: %(shown)s. Type more of the id.",
                what=what,
                given=repr(given),
                shown=", ".join(each[:12] for each in found[:_SHOWN]),
            )
        )
    for length in range(len(start) - 1, 3, -1):
        near = beginning(start[:length])
        if near:
            raise ConfigError(
                Phrase(
                    "No %(what)s begins with %(given)s; did you mean %(start)s? %(see)s",
                    what=what,
                    given=repr(given),
                    start=repr(near[0][: max(10, len(start))]),
                    see=see,
                )
            )
    raise ConfigError(Phrase("No %(what)s begins with %(given)s. %(see)s", what=what, given=repr(given), see=see))


# What is kept quiet.


def suppress(
    installation: Installation,
    rule: str | None,
    *,
    where: Collection[str],
    source_names: Collection[str] = (),
    lasts: timedelta | None,
    until: str | None,
    since: str | None,
    owner: str,
    reason: str,
) -> Suppression:
    """Tell nobody of some alerts for a while; None for `rule` is a maintenance window. Raises ConfigError."""
    now = datetime.now(UTC)
    begins = now if since is None else planned(since, now)
    if (lasts is None) == (until is None):
        raise ConfigError(Phrase("Say how long: either --for, such as --for 7d, or --until with a time."))
    ends = begins + lasts if lasts is not None else planned(until or "", now)
    if since is not None and begins < now:
        ahead = f", or write +{since.strip()} for that time from now" if _DURATION.fullmatch(since.strip()) else ""
        raise ConfigError(
            Phrase("--from %(since)s is past: leave it out to begin now%(ahead)s.", since=since, ahead=ahead)
        )
    if ends <= max(begins, now):
        raise ConfigError(Phrase("It would end before it begins: choose a later --until."))
    if ends - begins > LONGEST or begins - now > LONGEST:
        raise ConfigError(
            Phrase(
                "A suppression lasts at most %(longest)s, and begins within that time. What is never to "
                "be told is better disabled in its rule.",
                longest=write_duration(LONGEST),
            )
        )
    if rule is not None:
        rule = one_line(rule, "A rule's id", LONGEST_NAME)
    fields = conditions(where)
    if source_names:
        ids = [sources.find(installation, each, removed=True).id for each in source_names]
        fields["source"] = [*fields.get("source", []), *ids]
    made = Suppression(
        id=secrets.token_hex(4),
        rule=rule,
        fields=fields,
        owner=one_line(owner, "An owner", LONGEST_NAME),
        reason=one_line(reason, "A reason", LONGEST_TEXT),
        since_us=to_us(begins),
        until_us=to_us(ends),
        added_us=to_us(now),
    )
    installation.ledger.alerts.suppress(made)
    return made


def planned(text: str, now: datetime) -> datetime:
    """Read a time that may lie ahead: `+2h` is in two hours. Raises ConfigError."""
    ahead = text.strip().removeprefix("+")
    return now + duration(ahead) if ahead != text.strip() else instant(text, now=now)


def unknown_rule(installation: Installation, rule: str) -> str | None:
    """Say that no alert so far is of such a rule, with the nearest one if there is none; None: there are some."""
    known = installation.ledger.alerts.rule_ids()
    if any(like(rule, each) for each in known):
        return None
    from ocelog.app.rule_folders.rule_folders import listed  # noqa: PLC0415 - reads all rules, which is seldom needed

    there = {each.id for folder in listed(installation) for each in folder.rules}
    if any(like(rule, each) for each in there):
        return f"No alert so far is of the rule {rule!r}."
    return f"No alert so far is of a rule {rule!r}{suggest(rule, {*known, *there}) or ', and there is no such rule.'}"


def suppressions(installation: Installation, *, over: bool = False) -> list[Suppression]:
    """Return what is kept quiet, or will be; what is over only if asked for."""
    return installation.ledger.alerts.suppressions(over=over)


def muting(installation: Installation, rule: str) -> list[Suppression]:
    """Return what keeps alerts of a rule quiet just now, all of them or some."""
    now_us = to_us(datetime.now(UTC))
    there = installation.ledger.alerts.suppressions()
    return [each for each in there if each.is_active(now_us) and (each.rule is None or like(each.rule, rule))]


def end_suppressions(installation: Installation, given: Collection[str]) -> Mapping[str, bool]:
    """End suppressions now, named by how their ids begin; return by id whether that changed something."""
    ledger = installation.ledger.alerts
    known = [each.id for each in ledger.suppressions(over=True)]
    ids = [
        _named(_SUPPRESSION, each, lambda start: [name for name in known if name.startswith(start)]) for each in given
    ]
    return {name: ledger.end_suppression(name) for name in dict.fromkeys(ids)}
