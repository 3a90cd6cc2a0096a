"""What must have come of judging, computed from what landed, in which commits it was judged, and by which rules."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import select

from ocelog.alert.alert import ENDED, Alert
from ocelog.alert.delivery.routing import RANKS
from ocelog.alert.ids import match_id, record_alert_id
from ocelog.alert.judged import Match
from ocelog.alert.notice import AlertStatus, AlertType
from ocelog.ledger import tables
from ocelog.ledger.rows.alerts import alert_of
from ocelog.model import RULE_MATCHES, Severity
from simulation.far_ends import LEDGER, FarEnds, first_tellings
from simulation.judging import RULES, Bench
from simulation.lake import Row
from simulation.ledgers import Told, told_log

_MINUTE_US = 60_000_000
_LATE_US = 7 * 24 * 60 * _MINUTE_US
"""News that is older when it is seen joins one alert a rule and day."""
_LATE_LASTS_US = 24 * 60 * _MINUTE_US
_BY_PEOPLE = {"closed", "acknowledged"}


@dataclass(slots=True)
class _Window:
    """Matches that share an alert, as they must."""

    began_us: int
    lasts_us: int
    matches: set[str] = field(default_factory=set)
    times: list[int] = field(default_factory=list)
    """When what counted happened: what is muted does not."""
    severity: Severity | None = None
    """The worst of those."""
    told: bool = False
    escalated: int = 0
    """How often it became worse after people were told of it."""


def check(bench: Bench, far: FarEnds) -> None:
    """Raise unless exactly the matches and alerts are there that must be, and everybody was told of them."""
    events, _ = bench.lake.view(bench.table)
    matches, _ = bench.lake.view(RULE_MATCHES)
    alerts = _alerts(bench)
    _check_matches(bench, events, matches)
    _check_alerts(bench, matches, alerts)
    _check_records(bench, events, alerts)
    _check_unjudged(bench, events, alerts)
    log = told_log(bench.ledger)
    _check_to_be_told(bench, log, alerts)
    check_delivered(bench, far, log, alerts)


def _alerts(bench: Bench) -> dict[str, Alert]:
    with bench.ledger._database.read() as tx:
        return {row["id"]: alert_of(row) for row in tx.execute(select(tables.alerts)).mappings()}


def _check_matches(bench: Bench, events: list[Row], matches: list[Row]) -> None:
    """Raise unless each row that landed was judged once, and what must match it did, once."""
    landed = {row["p_row_id"]: row for row in events}
    lost, invented = landed.keys() - bench.judged_by, bench.judged_by.keys() - landed
    assert not lost, f"rows were not judged: {lost}"
    assert not invented, f"rows were judged that are nowhere: {invented}"
    expected = {
        match_id(name, row_id)
        for row_id, row in landed.items()
        for name in bench.judged_by[row_id]
        if RULES[name].says(row)
    }
    found = Counter(row["p_row_id"] for row in matches)
    assert not [name for name, times in found.items() if times > 1], "a match landed twice"
    assert set(found) == expected, f"{len(set(found) - expected)} matches too many, {len(expected - set(found))} lost"


def _check_alerts(bench: Bench, matches: list[Row], alerts: Mapping[str, Alert]) -> None:
    """Raise unless the alerts of matches are those that must be, each with the matches that it must have."""
    by_alert = defaultdict[str, set[str]](set)
    for row in matches:
        if row["alert_id"] is None:
            assert row["rule_id"] == "signal", "a match has no alert"
        else:
            by_alert[row["alert_id"]].add(row["p_row_id"])
    ours = {name: alert for name, alert in alerts.items() if alert.type is AlertType.ALERT}
    summaries = {name for name, alert in ours.items() if name not in by_alert}
    # What was read late joins two: the alert of its record, and the summary.
    assert all(_is_summary(ours[name]) for name in summaries), "an alert has no match"
    assert set(by_alert) <= set(ours), "a match names an alert that is nowhere"
    wrong = {
        name: (ours[name].matches, len(each)) for name, each in by_alert.items() if ours[name].matches != len(each)
    }
    assert not wrong, f"alerts count other matches than they have: {wrong}"
    lost = [name for name in bench.taken if alerts[name].assignee != "ann"]
    assert not lost, f"that a person took these on is lost: {lost}"
    if _has_gap(bench):
        return
    windows = {name: each for name, each in by_alert.items() if not RULES[ours[name].rule_id].about.lives_with_record}
    rises = _rises(bench)
    found = {frozenset(each): (ours[name].to_be_told, rises[name]) for name, each in windows.items()}
    expected = {frozenset(each.matches): (each.told, each.escalated) for each in _windows(bench)}
    assert set(found) == set(expected), "matches do not share alerts as they must"
    assert found == expected, f"of these alerts people must hear, or must not: {found.items() ^ expected.items()}"
    worst = {frozenset(each.matches): each.severity for each in _windows(bench) if each.severity is not None}
    wrong_worst = {
        name
        for name, each in windows.items()
        if ours[name].severity is not worst.get(frozenset(each), ours[name].severity)
    }
    assert not wrong_worst, f"alerts are not as severe as the worst that counts: {wrong_worst}"


def _rises(bench: Bench) -> Counter[str]:
    """Return how often each alert escalated."""
    events = tables.alert_events.c
    with bench.ledger._database.read() as tx:
        return Counter(tx.execute(select(events.alert_id).where(events.what == "escalated")).scalars())


def _is_summary(alert: Alert) -> bool:
    return "read late" in alert.title


def _has_gap(bench: Bench) -> bool:
    """Whether a stream was not read for a day, by an API's clock that lied: since when that was known is not noted."""
    with bench.ledger._database.read() as tx:
        gap = tables.streams.c.gap_since_us
        return tx.execute(select(gap).where(gap.is_not(None))).first() is not None


def _windows(bench: Bench) -> Iterator[_Window]:
    """Yield the alerts of rules that group by time: one opens with a match, and does not slide."""
    with bench.ledger._database.read() as tx:
        streams = tables.streams.c
        since = {
            row.source_id: row.onboarded_us
            for row in tx.execute(select(streams.source_id, streams.onboarded_us))
            if row.onboarded_us is not None
        }
    open_ = dict[tuple[str, ...], _Window]()
    for judgement in bench.judgements:
        for match in judgement.matches:
            about, event = match.rule.about, match.event
            if not about.create_alert or about.lives_with_record:
                continue
            key: tuple[str, ...]
            threshold, lasts_us = 1, about.dedup_minutes * _MINUTE_US
            if event.news_us < since.get(event.source_id, -(2**62)):
                # All history of a source is in one, of which nobody hears.
                key, lasts_us = ("history", about.id, event.source_id), 2**62
            elif event.observed_us - event.news_us > _LATE_US:
                key, lasts_us = ("late", about.id), _LATE_LASTS_US
            else:
                key, threshold = ("new", about.id, match.verdict.dedup), about.threshold
            window = open_.get(key)
            if window is None or judgement.now_us >= window.began_us + window.lasts_us:
                if window is not None:
                    yield window
                window = open_[key] = _Window(judgement.now_us, lasts_us)
            unheard = judgement.suppressed or key[0] == "history"
            _join(window, match, judgement.now_us, threshold, suppressed=unheard)
    yield from open_.values()


def _join(window: _Window, match: Match, now_us: int, threshold: int, *, suppressed: bool) -> None:
    window.matches.add(match.id)
    if suppressed:
        return
    severity = match.verdict.severity
    if window.severity is None or RANKS[severity] > RANKS[window.severity]:
        window.severity = severity
        window.escalated += window.told
    window.times.append(min(match.event.event_us, now_us))
    # The threshold counts by event time: so many within some stretch that is as long as the window.
    most = max(sum(at <= other < at + window.lasts_us for other in window.times) for at in window.times)
    window.told |= most >= threshold


def _check_records(bench: Bench, events: list[Row], alerts: Mapping[str, Alert]) -> None:
    """Raise unless each record that matched has one alert, which says what its newest version does."""
    keepers = [name for name, rule in RULES.items() if rule.about.lives_with_record]
    found = {name for name, alert in alerts.items() if alert.record_id is not None and not _is_summary(alert)}
    expected = {
        record_alert_id(name, row["p_source_id"], row["id"])
        for row in events
        for name in keepers
        if name in bench.judged_by[row["p_row_id"]] and RULES[name].says(row)
    }
    assert found == expected, f"{len(found - expected)} alerts of records too many, {len(expected - found)} lost"
    _check_ends(bench, events, alerts)
    newest = dict[str, Row]()
    for row in sorted(events, key=lambda row: (row["p_version_time"], row["p_observed_at"], row["p_row_id"])):
        newest[row["id"]] = row
    for record, row in newest.items():
        alert = alerts.get(record_alert_id("open", row["p_source_id"], record))
        matches = RULES["open"].matches(row)
        if alert is None:
            assert not matches, f"{record} is {row['status']}, and has no alert"
        elif row["p_inferred"] is not None:
            assert not alert.visible, f"{record} is not visible any more, and its alert says so nowhere"
        else:
            right = alert.is_open if matches else alert.status is AlertStatus.RESOLVED
            closed = alert.status is AlertStatus.CLOSED and alert.id in bench.touched
            assert right or closed, f"{record} is {row['status']}, its alert {alert.status}"
            if matches:
                assert alert.severity is RULES["open"].severity(row), f"{record}: severity {alert.severity}"


def _check_ends(bench: Bench, events: list[Row], alerts: Mapping[str, Alert]) -> None:
    """Raise unless each alert that is resolved was ended by a version of which its rule said that it does not match."""
    for name, rule in RULES.items():
        said_no = {
            record_alert_id(name, row["p_source_id"], row["id"])
            for row in events
            if name in bench.judged_by[row["p_row_id"]]
            if not (rule.matches(row) or rule.fails(row) or rule.passes(row))
        }
        for alert in alerts.values():
            # One that was over before it was looked at was never open, and nobody heard of it.
            resolved = alert.status is AlertStatus.RESOLVED and (alert.to_be_told or alert.known)
            if alert.rule_id == name and alert.record_id is not None and resolved and not _is_summary(alert):
                assert alert.id in said_no, f"{alert.title}: nothing ended it, and it is resolved"


def _check_unjudged(bench: Bench, events: list[Row], alerts: Mapping[str, Alert]) -> None:
    """Raise unless what a rule failed on, or was not asked about, is listed; of what it failed on people hear."""
    flaky = [row for row in events if "flaky" in bench.judged_by[row["p_row_id"]]]
    failed = sum(RULES["flaky"].fails(row) for row in flaky)
    expected = sum(RULES["flaky"].fails(row) or RULES["flaky"].passes(row) for row in flaky)
    with bench.ledger._database.read() as tx:
        found = sum(row.rows for row in tx.execute(select(tables.unjudged)))
    assert found == expected, f"{expected} rows were passed, {found} are listed"
    told = sum(alert.matches for alert in alerts.values() if alert.type is AlertType.DETECTION_ERROR)
    assert told == failed, f"a rule failed {failed} times, and its alerts say {told}"


def _check_to_be_told(bench: Bench, log: Sequence[Told], alerts: Mapping[str, Alert]) -> None:
    """Raise unless each channel is to hear the same, and in an order that makes sense."""
    channels = [each.id for each in bench.ledger.channels.listed()]
    heard = defaultdict[tuple[str, str], list[str]](list)
    for each in log:
        heard[each.alert_id, each.channel_id].append(each.happened)
    for name, alert in alerts.items():
        if alert.type is AlertType.SYSTEM_ERROR:
            continue
        told = [heard[name, channel] for channel in channels]
        assert all(each == told[0] for each in told), f"channels hear different things of {alert.title}: {told}"
        assert alert.to_be_told == bool(told[0]), (
            f"{alert.title}: to be told is {alert.to_be_told}, and the channels hear {told[0]}"
        )
        ours = [each for each in told[0] if each not in _BY_PEOPLE]
        if not ours:
            continue
        assert ours.count("opened") <= 1, f"{alert.title} is opened twice: {ours}"
        if alert.record_id is None:
            assert ours == ["opened", *["escalated"] * (len(ours) - 1)], f"{alert.title}: {ours}"
        elif alert.status is AlertStatus.RESOLVED and name not in bench.touched:
            assert ours[-1] in {"resolved", "not visible"}, f"{alert.title} is resolved: {ours}"
        elif alert.is_open and name not in bench.touched:
            # Also if it was muted as it came back.
            assert ours[-1] != "resolved", f"{alert.title} is open: {ours}"


def check_delivered(bench: Bench, far: FarEnds, log: Sequence[Told], alerts: Mapping[str, Alert]) -> None:
    """Raise unless all that was to be told reached its channel, in order, or was given up, which is told of."""
    with bench.ledger._database.read() as tx:
        assert not tx.execute(select(tables.outbox.c.id)).first(), "something still waits to be told"
        d = tables.deliveries.c
        tried = tx.execute(select(d.alert_id, d.channel_id, d.delivered, d.final).order_by(d.id)).all()
    last = {(name, channel): (delivered, final) for name, channel, delivered, final in tried}
    written = defaultdict[tuple[str, str], list[int]](list)
    for each in log:
        written[each.alert_id, each.channel_id].append(each.id)
    for (name, channel), numbers in written.items():
        end, alert = far.ends[channel], alerts[name]
        if not end.takes:
            assert last[name, channel] == (False, True), f"{channel} takes nothing, and {alert.title} is not given up"
            continue
        told = first_tellings(end.took, name, frozenset())
        assert told, f"{channel} never heard of {alert.title}"
        in_time = [_number(each.key) for each in first_tellings(end.took, name, frozenset(end.late))]
        assert in_time == sorted(in_time), f"{channel}: {alert.title} is told in another order"
        assert len(told) <= len(numbers), f"{channel} heard of {alert.title} more often than something happened"
        newest = max(told, key=lambda each: _number(each.key))
        assert _number(newest.key) >= numbers[-1], f"{channel} does not know the last of {alert.title}"
        over = alert.status not in ENDED or newest.status in ENDED or not alert.to_be_told
        assert over, f"{channel} does not know that {alert.title} is over"
    for channel, end in far.ends.items():
        heard = {each.alert_id for notice in end.took for each in notice.digest or (notice,)}
        assert heard <= {name for name, to in written if to == channel}, f"{channel} heard what was not for it"
    far.check_keys()


def _number(key: str) -> int:
    return int(key.removeprefix(f"{LEDGER}-").split("-")[0])
