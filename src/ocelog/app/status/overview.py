"""Whether an installation as a whole is well: its streams, its service, its tables, its disk, its key."""

import os
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from msgspec import Struct, field

from ocelog.alert.alert import OPEN, Alert
from ocelog.alert.delivery.routing import ChannelFault, ChannelStatus
from ocelog.alert.delivery.suppressing import Suppression
from ocelog.alert.listing import AlertFilter, NotJudged
from ocelog.alert.notice import AlertType
from ocelog.app.judging.judging_pace import Slowest, slowest
from ocelog.app.judging.schedule_pace import SchedulesBehind, schedules_behind
from ocelog.app.log_types import retentions, table_names
from ocelog.app.source_settings import SECRET_NAME
from ocelog.app.status.status import (
    OverdueTable,
    StreamStatus,
    failing_loops,
    judging_behind,
    judging_late,
    lagging,
    lost_lines,
    running,
    stream_statuses,
    unpublished,
)
from ocelog.detect.folders import RULE_FILES, RuleFolder, RuleState, RuleTrouble
from ocelog.errors import HomeError
from ocelog.health.telling import ErrorType, OpenError
from ocelog.installation import home as homes
from ocelog.installation.home_lock import Holder
from ocelog.installation.opening import Installation, read_key
from ocelog.lake.upkeep.inspect import inspect
from ocelog.ledger.alerts import OpenAlerts
from ocelog.ledger.ledger import Ledger
from ocelog.ledger.vault import COPIED
from ocelog.model import REJECTIONS, LoopFault, LoopMark
from ocelog.sandbox.kernel import offered
from ocelog.times import has_passed, to_us
from ocelog.units import about, write_instant

_READERS = frozenset({"ocelog run", "ocelog pull", "ocelog sweep", "ocelog demo"})
_MOVES = timedelta(minutes=2)
"""Whatever has landed within this time is read on; so it is supposed of a command that began within it."""
_READING = timedelta(seconds=30)
"""What reading the news of one poll may take."""
_MOST_ERRORS = 10_000
_LITTLE_DISK = 500_000_000
"""Bytes; with less than this a person had better make room."""


class Overview(Struct, frozen=True, kw_only=True):
    """What `ocelog status` tells."""

    streams: Sequence[StreamStatus]
    holder: Holder | str | None
    """Who holds the home; None: nobody; a text if this user may not see it."""
    hangs: str | None
    """What is known of a service that gives no sign of life."""
    stale: list[str]
    """A line for each stream whose data is too old."""
    not_published: Sequence[OverdueTable]
    loops: Sequence[LoopMark]
    """How far each loop has come in each table."""
    loop_faults: Sequence[LoopFault]
    """What is wrong with loops that fail."""
    channel_faults: Sequence[ChannelFault]
    """What is wrong with channels that alerts do not reach, the oldest first."""
    lagging: list[str]
    """A line for each loop that is behind in a table, other than publishing."""
    rejection_parts: int
    """Parts of rejections that wait to be published."""
    lake: list[str]
    """What is damaged, lost or half done in the lake."""
    key: str | None
    """Why no secret can be opened."""
    sandbox: str
    """How SQL is kept in on this kernel."""
    disk_free: int
    system_errors: Sequence[OpenError]
    """What people were told of streams that is not over."""
    alerts: OpenAlerts
    """How many alerts somebody has to look at."""
    not_judged: Sequence[NotJudged]
    """Rows that rules were not asked about."""
    rule_troubles: Sequence[RuleTrouble] = ()
    """Folders and files of rules with errors."""
    rule_folders: Mapping[str, RuleFolder] = field(default_factory=dict)
    """Those that have such, by id."""
    other_errors: Sequence[Alert] = ()
    """Open system errors that are not about a stream: of channels, and of rules that exceed their limit."""
    failing_rules: Sequence[str] = ()
    """Ids of rules whose errors are an open alert."""
    suspended_rules: Sequence[RuleState] = ()
    """Rules that are on, and asked no more, since they failed too often."""
    judging_behind: datetime | None = None
    """Since when events wait for the rules, and alerts with them; None: they do not wait for long."""
    judging_late: bool = False
    """Whether they have waited for too long."""
    slowest: Slowest | None = None
    """The rules that took the most time of late, if judging is behind."""
    schedules_behind: SchedulesBehind | None = None
    """Schedules that a service runs more than a period late."""
    channels: Sequence[ChannelStatus] = ()
    """How each channel is."""
    suppressions: Sequence[Suppression] = ()
    """What keeps alerts quiet just now."""

    @property
    def disk_is_short(self) -> bool:
        """Whether a person had better make room."""
        return self.disk_free < _LITTLE_DISK

    @property
    def gave_up(self) -> Sequence[ChannelStatus]:
        """The channels for which messages were given up that nobody has sent again; not those that are paused."""
        return [each for each in self.channels if each.given_up and not each.channel.paused]

    @property
    def behind(self) -> Sequence[ChannelStatus]:
        """The channels that take messages more slowly than they come; not those that fail."""
        failing = {each.id for each in self.channel_faults}
        return [each for each in self.channels if each.is_behind and each.channel.id not in failing]

    @property
    def held_up(self) -> bool:
        """Whether events, and alerts with them, have waited too long for rules that are slow."""
        return self.judging_late and self.slowest is not None and self.slowest.holds_up

    @property
    def well(self) -> bool:
        """Whether nothing needs attention."""
        wrong = (self.key, self.lake, self.not_published, self.loop_faults, self.lagging, self.stale, self.hangs)
        return (
            not any((*wrong, self.channel_faults, self.rule_troubles, self.suspended_rules))
            and not self.disk_is_short
            and not self.held_up
            and self.schedules_behind is None
            and not self.gave_up
            and not any(each.needs_attention for each in self.streams)
        )


def overview(
    installation: Installation, *, allowed: timedelta, now: datetime, source_id: str | None = None
) -> Overview:
    """Look at everything, or only at the streams of one source; data may be as old as `allowed`."""
    home, ledger = installation.home, installation.ledger
    # A service refuses to start with it, and nothing else here would say so.
    retentions(installation.settings.retention, home.path)
    who, tables, after = running(home), table_names(), installation.settings.publish_after
    # What it looks at on the disk must be as the ledger says just then.
    lake = [found.text for found in inspect(home.path, ledger.lake, tables)]
    if homes.is_read_only(home.path) and homes.owns(home.path):
        # Others may well read it where they cannot write.
        lake.insert(0, f"the disk of {home.path} is mounted read-only, so nothing can be written: mount it writable.")
    with ledger.snapshot():
        streams = stream_statuses(ledger, idle=who is None, source_id=source_id)
        loops = ledger.lake.loop_marks()
        lake += lost_lines(ledger)
        lake += [
            f"the purge of {row.name!r} was not finished, and its rows can still be queried. Go on with it: "
            f"ocelog source remove {row.id} --purge"
            for row in ledger.sources.listed(removed=True)
            if row.purging
        ]
        behind = judging_behind(loops, now) if installation.settings.detections else None
        errors = _open_alerts(ledger, AlertType.SYSTEM_ERROR)
        about_streams = {each.value for each in ErrorType}
        # Without detections nobody looks at rules, and what was noted before may be over.
        troubles = ledger.rules.troubles() if installation.settings.detections else []
        return Overview(
            streams=streams,
            holder=who,
            hangs=_hangs(who, now),
            stale=_stale(streams, who, allowed, now),
            not_published=unpublished(ledger, tables, publish_after=after, allowed=allowed, now=now),
            loops=loops,
            loop_faults=failing_loops(ledger, who),
            channel_faults=ledger.channels.failing(),
            lagging=lagging(loops, allowed=allowed, now=now),
            rejection_parts=ledger.lake.unpublished(REJECTIONS)[0],
            lake=lake,
            key=_key_trouble(installation, running=who is not None),
            sandbox=str(offered()),
            disk_free=homes.free_bytes(home),
            system_errors=[each for each in ledger.health.open_errors() if source_id in (None, each.stream.source_id)],
            alerts=ledger.alerts.open(),
            not_judged=ledger.alerts.not_judged(),
            other_errors=[each for each in errors if each.rule_id not in about_streams],
            failing_rules=sorted(
                {each.rule_id for each in _open_alerts(ledger, AlertType.DETECTION_ERROR)} - {RULE_FILES}
            ),
            suspended_rules=_suspended(ledger) if installation.settings.detections else [],
            judging_behind=behind,
            judging_late=judging_late(behind, now),
            slowest=None if behind is None else slowest(home.path),
            schedules_behind=_schedules_behind(installation, who, now),
            channels=ledger.channels.statuses(),
            suppressions=[each for each in ledger.alerts.suppressions() if each.is_active(to_us(now))],
            rule_troubles=troubles,
            rule_folders={each.id: each for each in ledger.rules.folders()} if troubles else {},
        )


def _schedules_behind(installation: Installation, who: Holder | str | None, now: datetime) -> SchedulesBehind | None:
    """Return which schedules are behind. Without a service none runs, and one that has just begun makes up for it."""
    if not installation.settings.detections or not isinstance(who, Holder) or not who.is_service:
        return None
    if who.began is None or not has_passed(_MOVES, since=who.began, now=now):
        return None
    return schedules_behind(installation.home.path, now)


def _suspended(ledger: Ledger) -> list[RuleState]:
    states = ledger.rules.states().values()
    return [each for each in states if each.suspended_us is not None and each.enabled is not False]


def _open_alerts(ledger: Ledger, type_: AlertType) -> list[Alert]:
    """Return the alerts of one type that are not over, the oldest first."""
    wanted = AlertFilter(statuses=OPEN, types=frozenset({type_}), untold=True)
    return ledger.alerts.listed(wanted, limit=_MOST_ERRORS)[::-1]


def _key_trouble(installation: Installation, *, running: bool) -> str | None:
    """Say why no secret can be opened; None: the key is well, is not needed, or is not this user's to read."""
    place, ledger = installation.home, installation.ledger
    sealed = any(ledger.sources.secret_kept(row.id, SECRET_NAME) == COPIED for row in ledger.sources.listed())
    if not sealed or not homes.may_write(place.path):
        return None
    try:
        read_key(installation.settings, place)
    except HomeError as error:
        # A service may have a key that this shell has not: from systemd, or in its environment.
        return None if running and not os.path.lexists(place.key_file) else str(error)
    return None


def _stale(found: Sequence[StreamStatus], who: Holder | str | None, allowed: timedelta, now: datetime) -> list[str]:
    """Return a line for each stream that is older than `allowed`, unless it is being read, or told to wait.

    One that never began is as old as its source.
    """
    lines = list[str]()
    for each in found:
        # What is wrong with a stream that never began is told already.
        if each.state == "paused" or (each.lag is None and each.error is not None):
            continue
        # Whoever waits for the next poll is no older than that, and some seconds of reading.
        at_work = isinstance(who, str) or (who is not None and who.is_service)
        limit = max(allowed, each.poll + _READING) if at_work else allowed
        late = has_passed(limit, since=each.added, now=now) if each.lag is None else each.lag > limit
        if not late or _is_explained(each, who, now):
            continue
        match who:
            case None:
                why, do = "nothing is running", "Run: ocelog run"
            case str():
                why, do = "it is not known whether anything is running", "Ask the owner of the home to look"
            case Holder() if _hangs(who, now):
                why, do = f"`{who.command}` hangs", f"Restart it (process {who.pid} on {who.host})"
            case Holder() if who.is_service:
                why, do = f"`{who.command}` makes no progress", "Look at its log"
            case Holder():
                why, do = f"`{who.command}` is not a service", "After it has ended, run: ocelog run"
        added = f"added {write_instant(each.added)} and never read"
        what = added if each.lag is None else f"the data is {about(each.lag)} old"
        lines.append(f"{each.source} {each.log_type}: {what}, and {why}. {do}.")
    return lines


def _is_explained(each: StreamStatus, who: Holder | str | None, now: datetime) -> bool:
    """Whether old data is just being read, or it was told to wait; `needs_attention` says if that goes on for long."""
    if not isinstance(who, Holder) or who.command not in _READERS or _hangs(who, now):
        return False
    if each.throttled:
        return True
    last = each.last_success if each.reading else None
    return any(instant is not None and timedelta(0) <= now - instant < _MOVES for instant in (who.began, last))


def _hangs(who: Holder | str | None, now: datetime) -> str | None:
    """Say what is known of a service that gives no sign of life; None: it works, or there is none."""
    silent = who.silent_for(now) if isinstance(who, Holder) else None
    if silent is None or not isinstance(who, Holder):
        return None
    return (
        f"`{who.command}` (process {who.pid} on {who.host}) has given no sign of life for {about(silent)}: it hangs, "
        "or was stopped (by SIGSTOP, or by a disk that does not answer). Restart it; nothing is lost."
    )
