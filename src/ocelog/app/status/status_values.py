"""What `ocelog status` says of an overview to programs: all of it, as values that JSON has."""

from typing import Any

from msgspec.structs import asdict

from ocelog.app.status.overview import Overview
from ocelog.app.status.status import OverdueTable, StreamStatus
from ocelog.installation.home_lock import Holder
from ocelog.model import Severity, Slice, SliceState
from ocelog.pull.sweep import Sweep
from ocelog.times import from_us
from ocelog.units import write_instant


def status_values(found: Overview) -> dict[str, Any]:
    """Return an overview as programs read it."""
    who = found.holder
    return {
        "running": asdict(who) | {"alive_at": write_instant(who.alive_at), "service": who.is_service}
        if isinstance(who, Holder)
        else who,
        "disk_free_bytes": found.disk_free,
        "unpublished_rejection_parts": found.rejection_parts,
        "streams": [_plain(each) for each in found.streams],
        "not_published": [_plain_unpublished(each) for each in found.not_published],
        "loops": [
            {
                "loop": each.loop,
                "table": each.table,
                "mark": each.sequence,
                "parts_behind": each.parts,
                "rows_behind": each.rows,
                "oldest": None if each.oldest_us is None else write_instant(from_us(each.oldest_us)),
            }
            for each in found.loops
        ],
        "failing_loops": [
            {
                "loop": each.loop,
                "failing_since": write_instant(each.since),
                "error": each.reason,
                "error_code": each.code,
            }
            for each in found.loop_faults
        ],
        "failing_channels": [
            {
                "channel": each.name,
                "failing_since": write_instant(from_us(each.since_us)),
                "error": each.reason,
                "error_code": each.code,
            }
            for each in found.channel_faults
        ],
        "system_errors": [
            {
                "type": each.type.value,
                "source": each.stream.source,
                "log_type": each.stream.log_type,
                "opened": write_instant(each.opened),
                "told": write_instant(each.told),
                "times_told": each.times,
                "text": each.text,
            }
            for each in found.system_errors
        ]
        + [
            {
                "type": each.rule_id,
                "source": None,
                "log_type": None,
                "opened": write_instant(from_us(each.opened_us)),
                "told": None if each.told_us is None else write_instant(from_us(each.told_us)),
                "times_told": int(each.told_us is not None),
                "text": each.title,
            }
            for each in found.other_errors
        ],
        "open_alerts": {severity.value: found.alerts.told.get(severity, 0) for severity in reversed(Severity)},
        "open_alerts_untold": found.alerts.untold,
        "open_alerts_since": None if found.alerts.oldest_us is None else write_instant(from_us(found.alerts.oldest_us)),
        "suppressions": [
            {
                "id": each.id,
                "rule": each.rule,
                "where": {name: list(values) for name, values in each.fields.items()},
                "owner": each.owner,
                "reason": each.reason,
                "until": write_instant(from_us(each.until_us)),
            }
            for each in found.suppressions
        ],
        "channels": [
            {
                "channel": each.channel.name,
                "paused": each.channel.paused,
                "waiting": each.waiting,
                "waiting_since": None
                if each.waiting_since_us is None
                else write_instant(from_us(each.waiting_since_us)),
                "is_behind": each.is_behind,
                "given_up": each.given_up,
            }
            for each in found.channels
        ],
        "judging_behind_since": None if found.judging_behind is None else write_instant(found.judging_behind),
        "slowest_rule": None if found.slowest is None else found.slowest.rule,
        "slowest_rules": [] if found.slowest is None else [each.rule for each in found.slowest.worst],
        "schedules_behind": [] if found.schedules_behind is None else list(found.schedules_behind.names),
        "slowest_schedule": None if found.schedules_behind is None else found.schedules_behind.slowest,
        "failing_rules": list(found.failing_rules),
        "suspended_rules": [each.rule_id for each in found.suspended_rules],
        "rule_troubles": [
            {
                "folder": found.rule_folders[each.folder_id].name,
                "rule": each.rule_id or None,
                "reason": each.placed(found.rule_folders[each.folder_id]),
            }
            for each in found.rule_troubles
            if each.folder_id in found.rule_folders
        ],
        "not_judged": [
            {
                "table": each.table,
                "rule": each.rule_id or None,
                "rows": each.rows,
                "first": write_instant(from_us(each.first_us)),
                "last": write_instant(from_us(each.last_us)),
                "reason": each.reason,
            }
            for each in found.not_judged
        ],
        "stale": found.stale,
        "hangs": found.hangs,
        "key_error": found.key,
        "lake_error": " ".join(found.lake) or None,
        "lake": found.lake,
        "sql_sandbox": found.sandbox,
    }


def _plain_unpublished(each: OverdueTable) -> dict[str, Any]:
    return {
        "table": each.table,
        "parts": each.parts,
        "rows": each.rows,
        "oldest": write_instant(each.oldest),
        "failing_since": None if each.fault is None else write_instant(each.fault.since),
        "error": None if each.fault is None else each.fault.reason,
        "error_code": None if each.fault is None else each.fault.code,
    }


def _plain(each: StreamStatus) -> dict[str, Any]:
    return {
        "source": each.source,
        "log_type": each.log_type,
        "state": each.state,
        "needs_attention": each.needs_attention,
        "health": each.health.state.value,
        "health_since": write_instant(each.health.since),
        "health_why": each.health.why,
        "no_events_alarm": each.health.alarm.value,
        "no_events_alarm_since": write_instant(each.health.alarm_since),
        "silent_seconds": int(each.health.silence.total_seconds()),
        "last_received": write_instant(each.last_received),
        "events_per_hour": None if each.rate is None else round(each.rate, 2),
        "last_success": write_instant(each.last_success),
        "last_event": write_instant(each.last_event),
        "complete_through": write_instant(each.complete_through),
        "lag_seconds": None if each.lag is None else int(each.lag.total_seconds()),
        "slices_left": each.slices_left,
        "eta_seconds": None if each.eta is None else int(each.eta.total_seconds()),
        "parked": [_plain_slice(slice_) for slice_ in each.parked],
        "short": [_plain_slice(slice_) for slice_ in each.short],
        "failing": [_plain_slice(slice_) for slice_ in each.failing],
        "first_sweep": None
        if each.sweep is None
        else {"met": each.sweep.met, "total": each.sweep.total, "slices_left": each.sweep.slices_left},
        "sweep": None if each.last_sweep is None else _plain_sweep(each.last_sweep),
        "coverage": [
            {
                "status": gap.status or None,
                "at_source": gap.at_source,
                "at_least": gap.at_least,
                "in_lake": gap.in_lake,
                "difference": gap.difference,
                "measured": write_instant(gap.measured),
            }
            for gap in each.coverage
        ],
        "unpublished": {"parts": each.waiting.parts, "rows": each.waiting.rows, "bytes": each.waiting.bytes},
        "events": each.events,
        "rejections": each.rejections,
        "still_rejected": each.still_rejected,
        "unknown_fields": each.unknown_fields,
        "refused_fields": list(each.refused),
        "total_off_by": each.total_off_by,
        "total_off_since": write_instant(each.total_off_since),
        "clock_off_seconds": None if each.clock_off is None else int(each.clock_off.total_seconds()),
        "error": each.error,
        "error_code": each.error_code,
        "todo": each.todo,
        "error_at": write_instant(each.error_at),
    }


def _plain_sweep(sweep: Sweep) -> dict[str, Any]:
    return {
        "round": sweep.round,
        "stage": sweep.stage.value,
        "complete": sweep.complete,
        "finished": None if sweep.finished_us is None else write_instant(from_us(sweep.finished_us)),
        "last_complete": None if sweep.complete_us is None else write_instant(from_us(sweep.complete_us)),
        "seen": sweep.seen,
        "missing": sweep.missing,
        "inferred": sweep.inferred,
        "vanished": sweep.vanished,
        "note": sweep.note,
    }


def _plain_slice(slice_: Slice) -> dict[str, Any]:
    return {
        "since": write_instant(slice_.since),
        "until": write_instant(slice_.until),
        "by": slice_.by,
        "reason": slice_.reason,
        "short_by": slice_.short_by,
        "due_at": write_instant(slice_.due_at) if slice_.state is SliceState.PARKED else None,
        "failing_since": write_instant(slice_.failing_since),
    }
