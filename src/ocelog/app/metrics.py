"""What Prometheus is told: the values that `ocelog status` shows, as metrics."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version
from typing import TYPE_CHECKING, Literal

from msgspec import Struct

from ocelog.alert.ids import DELIVERY_ERROR, LIMIT_EXCEEDED, LOOP_FAILING
from ocelog.app.status.overview import Overview
from ocelog.app.status.status import StreamStatus
from ocelog.health.stream import AlarmState, State
from ocelog.health.telling import ErrorType
from ocelog.model import Severity, table_name
from ocelog.times import from_us

if TYPE_CHECKING:
    from prometheus_client.core import Metric


class MetricSpec(Struct, frozen=True, kw_only=True):
    """One metric: what it is called, what tells its values apart, and what it means."""

    name: str
    labels: tuple[str, ...] = ()
    doc: str
    kind: Literal["gauge", "counter"] = "gauge"


_STREAM = ("source", "log_type")
_LIST = (
    MetricSpec(name="ocelog_build_info", labels=("version",), doc="1: which version this is."),
    MetricSpec(name="ocelog_well", doc="1 if nothing needs attention, as `ocelog status` would end with 0."),
    MetricSpec(name="ocelog_disk_free_bytes", doc="Free space where the home is."),
    MetricSpec(
        name="ocelog_system_errors_open",
        labels=("type",),
        doc="System errors that are not over: of streams those that people were told of.",
    ),
    MetricSpec(
        name="ocelog_alerts_open",
        labels=("severity",),
        doc="Alerts that are neither closed nor resolved, without those that are sent to nobody.",
    ),
    MetricSpec(
        name="ocelog_alerts_oldest_open_timestamp_seconds",
        doc="When the oldest of them was opened; missing if none is open.",
    ),
    MetricSpec(
        name="ocelog_alerts_open_untold",
        doc="Open alerts that are sent to nobody: suppressed, below their threshold, or older than the source or rule.",
    ),
    MetricSpec(name="ocelog_suppressions_active", doc="Suppressions and maintenance windows that apply now."),
    MetricSpec(
        name="ocelog_rows_not_judged",
        labels=("table", "rule"),
        doc="Rows that a rule was not asked about; without a rule, that none was.",
    ),
    MetricSpec(name="ocelog_rule_failing", labels=("rule",), doc="1 for each rule whose errors are an open alert."),
    MetricSpec(
        name="ocelog_rule_suspended", labels=("rule",), doc="1 for each rule that is asked no more, since it failed."
    ),
    MetricSpec(
        name="ocelog_stream_health",
        labels=(*_STREAM, "state"),
        doc="1 for the state that the stream is in, 0 for the others.",
    ),
    MetricSpec(
        name="ocelog_stream_no_events_alarm",
        labels=(*_STREAM, "state"),
        doc="1 for the state that the no-events alarm is in, 0 for the others.",
    ),
    MetricSpec(
        name="ocelog_stream_needs_attention", labels=_STREAM, doc="1 if `ocelog status` ends with 1 because of it."
    ),
    MetricSpec(
        name="ocelog_stream_silent_seconds",
        labels=_STREAM,
        doc="How long no event had come when the stream was polled last.",
    ),
    MetricSpec(
        name="ocelog_stream_last_received_timestamp_seconds",
        labels=_STREAM,
        doc="When the newest event came that our own account did not cause; missing if none ever did.",
    ),
    MetricSpec(
        name="ocelog_stream_last_event_timestamp_seconds",
        labels=_STREAM,
        doc="Latest time of an event, no later than it was read; missing if there is none.",
    ),
    MetricSpec(
        name="ocelog_stream_last_success_timestamp_seconds",
        labels=_STREAM,
        doc="When a page landed last; missing if none did.",
    ),
    MetricSpec(
        name="ocelog_stream_complete_through_timestamp_seconds",
        labels=_STREAM,
        doc="Everything before this is read, except parked and incomplete time ranges.",
    ),
    MetricSpec(
        name="ocelog_stream_lag_seconds",
        labels=_STREAM,
        doc="Age of the oldest time range that live reading has not read yet.",
    ),
    MetricSpec(name="ocelog_stream_events", labels=_STREAM, doc="Rows that have landed.", kind="counter"),
    MetricSpec(name="ocelog_stream_events_per_hour", labels=_STREAM, doc="How many rows land in an hour, of late."),
    MetricSpec(
        name="ocelog_stream_rejections", labels=_STREAM, doc="Records that did not fit the schema.", kind="counter"
    ),
    MetricSpec(
        name="ocelog_stream_still_rejected", labels=_STREAM, doc="Those of them that no replay has landed since."
    ),
    MetricSpec(
        name="ocelog_stream_error", labels=(*_STREAM, "code"), doc="1: the error that keeps it from being read."
    ),
    MetricSpec(
        name="ocelog_stream_time_ranges",
        labels=(*_STREAM, "state"),
        doc="Time ranges that are left to read, parked, incomplete, or failing for more than an hour.",
    ),
    MetricSpec(
        name="ocelog_stream_refused_fields", labels=_STREAM, doc="Fields that the source refuses to this account."
    ),
    MetricSpec(
        name="ocelog_stream_records_at_source",
        labels=(*_STREAM, "status"),
        doc="How many records the source counted when that was measured last.",
    ),
    MetricSpec(
        name="ocelog_stream_records_in_lake", labels=(*_STREAM, "status"), doc="How many the lake had at that time."
    ),
    MetricSpec(
        name="ocelog_table_unpublished_rows", labels=("table",), doc="Rows that are not in the Iceberg table yet."
    ),
    MetricSpec(name="ocelog_loop_failing", labels=("loop",), doc="1 for each loop of the service that fails."),
    MetricSpec(name="ocelog_channel_failing", labels=("channel",), doc="1 for each channel that alerts do not reach."),
    MetricSpec(name="ocelog_channel_waiting", labels=("channel",), doc="What is still to be told through it."),
    MetricSpec(
        name="ocelog_channel_waiting_since_timestamp_seconds",
        labels=("channel",),
        doc="When the oldest of that began to wait; missing if nothing waits.",
    ),
    MetricSpec(
        name="ocelog_channel_given_up",
        labels=("channel",),
        doc="Alerts whose newest message was given up, until it is sent again.",
    ),
    MetricSpec(
        name="ocelog_rule_files_wrong",
        labels=("folder",),
        doc="Files and rules with errors in a folder of rules; 1 if the folder cannot be read; missing if all is well.",
    ),
    MetricSpec(
        name="ocelog_loop_rows_behind", labels=("loop", "table"), doc="Rows that a loop has not done in a table."
    ),
    MetricSpec(
        name="ocelog_judging_behind_since_timestamp_seconds",
        labels=("slowest_rule",),
        doc="Since when events wait for the rules, and the rule that took the most time; missing until it is a minute.",
    ),
)
METRICS = {each.name: each for each in _LIST}


class MetricValue(Struct, frozen=True, kw_only=True):
    """One value of one metric."""

    name: str
    labels: tuple[str, ...] = ()
    """Values of the labels, in their order."""
    value: float


def samples(found: Overview) -> Iterator[MetricValue]:
    """Yield every value that is known; what is not known is left out."""
    yield MetricValue(name="ocelog_build_info", labels=(version("ocelog"),), value=1)
    yield MetricValue(name="ocelog_well", value=found.well)
    yield MetricValue(name="ocelog_disk_free_bytes", value=found.disk_free)
    yield from _of_alerts(found)
    for stream in found.streams:
        yield from _of_stream(stream)
    waiting = {table_name(each.log_type): each.waiting.rows for each in found.streams}
    for table, rows in waiting.items():
        yield MetricValue(name="ocelog_table_unpublished_rows", labels=(table,), value=rows)
    for fault in found.loop_faults:
        yield MetricValue(name="ocelog_loop_failing", labels=(fault.loop,), value=1)
    for channel in found.channel_faults:
        yield MetricValue(name="ocelog_channel_failing", labels=(channel.name,), value=1)
    for status in found.channels:
        yield MetricValue(name="ocelog_channel_waiting", labels=(status.channel.name,), value=status.waiting)
        if status.waiting_since_us is not None:
            since = from_us(status.waiting_since_us).timestamp()
            yield MetricValue(
                name="ocelog_channel_waiting_since_timestamp_seconds", labels=(status.channel.name,), value=since
            )
        yield MetricValue(name="ocelog_channel_given_up", labels=(status.channel.name,), value=status.given_up)
    for folder_id, count in Counter(each.folder_id for each in found.rule_troubles).items():
        name = found.rule_folders[folder_id].name if folder_id in found.rule_folders else folder_id
        yield MetricValue(name="ocelog_rule_files_wrong", labels=(name,), value=count)
    for mark in found.loops:
        yield MetricValue(name="ocelog_loop_rows_behind", labels=(mark.loop, mark.table), value=mark.rows)
    if found.judging_behind is not None:
        rule = "" if found.slowest is None else found.slowest.rule
        value = found.judging_behind.timestamp()
        yield MetricValue(name="ocelog_judging_behind_since_timestamp_seconds", labels=(rule,), value=value)


def _of_alerts(found: Overview) -> Iterator[MetricValue]:
    errors = Counter(each.type.value for each in found.system_errors)
    errors.update(each.rule_id for each in found.other_errors)
    for kind in dict.fromkeys((*ErrorType, DELIVERY_ERROR, LIMIT_EXCEEDED, LOOP_FAILING, *sorted(errors))):
        yield MetricValue(name="ocelog_system_errors_open", labels=(str(kind),), value=errors[kind])
    for severity in Severity:
        count = found.alerts.told.get(severity, 0)
        yield MetricValue(name="ocelog_alerts_open", labels=(severity.value,), value=count)
    if found.alerts.oldest_us is not None:
        yield MetricValue(name="ocelog_alerts_oldest_open_timestamp_seconds", value=found.alerts.oldest_us / 1e6)
    yield MetricValue(name="ocelog_alerts_open_untold", value=found.alerts.untold)
    yield MetricValue(name="ocelog_suppressions_active", value=len(found.suppressions))
    for each in found.not_judged:
        yield MetricValue(name="ocelog_rows_not_judged", labels=(each.table, each.rule_id), value=each.rows)
    for rule in found.failing_rules:
        yield MetricValue(name="ocelog_rule_failing", labels=(rule,), value=1)
    for state in found.suspended_rules:
        yield MetricValue(name="ocelog_rule_suspended", labels=(state.rule_id,), value=1)


def _of_stream(each: StreamStatus) -> Iterator[MetricValue]:
    names = (each.source, each.log_type)
    for state in State:
        value = each.health.state is state
        yield MetricValue(name="ocelog_stream_health", labels=(*names, state.value), value=value)
    for alarm in AlarmState:
        value = each.health.alarm is alarm
        yield MetricValue(name="ocelog_stream_no_events_alarm", labels=(*names, alarm.value), value=value)
    values: dict[str, float | None] = {
        "ocelog_stream_needs_attention": each.needs_attention,
        "ocelog_stream_silent_seconds": each.health.silence.total_seconds(),
        "ocelog_stream_last_received_timestamp_seconds": _seconds(each.last_received),
        "ocelog_stream_last_event_timestamp_seconds": _seconds(each.last_event),
        "ocelog_stream_last_success_timestamp_seconds": _seconds(each.last_success),
        "ocelog_stream_complete_through_timestamp_seconds": _seconds(each.complete_through),
        "ocelog_stream_lag_seconds": None if each.lag is None else each.lag.total_seconds(),
        "ocelog_stream_events": each.events,
        "ocelog_stream_events_per_hour": each.rate,
        "ocelog_stream_rejections": each.rejections,
        "ocelog_stream_still_rejected": each.still_rejected,
        "ocelog_stream_refused_fields": len(each.refused),
    }
    for name, known in values.items():
        if known is not None:
            yield MetricValue(name=name, labels=names, value=known)
    if each.error is not None:
        yield MetricValue(name="ocelog_stream_error", labels=(*names, each.error_code or ""), value=1)
    ranges = {
        "left": each.slices_left,
        "parked": len(each.parked),
        "incomplete": len(each.short),
        "failing": len(each.failing),
    }
    for state_of_ranges, count in ranges.items():
        yield MetricValue(name="ocelog_stream_time_ranges", labels=(*names, state_of_ranges), value=count)
    for gap in each.coverage:
        labels = (*names, gap.status)
        yield MetricValue(name="ocelog_stream_records_at_source", labels=labels, value=gap.at_source)
        yield MetricValue(name="ocelog_stream_records_in_lake", labels=labels, value=gap.in_lake)


def render(found: Overview) -> tuple[bytes, str]:
    """Return all metrics as text in the format of Prometheus, and the content type of that."""
    # Imported by whoever serves it: no short command needs it.
    from prometheus_client import CollectorRegistry, generate_latest  # noqa: PLC0415 - see above
    from prometheus_client.exposition import CONTENT_TYPE_LATEST  # noqa: PLC0415 - see above

    by_name = defaultdict[str, list[MetricValue]](list)
    for sample in samples(found):
        by_name[sample.name].append(sample)
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(by_name))
    return generate_latest(registry), CONTENT_TYPE_LATEST


@dataclass(slots=True, eq=False)
class _Collector:
    """Hands out samples as Prometheus's library takes them."""

    by_name: dict[str, list[MetricValue]]

    def collect(self) -> "Iterator[Metric]":
        """Yield each metric with its values."""
        for name, spec in METRICS.items():
            yield _family(spec, self.by_name.get(name, ()))


def _family(spec: MetricSpec, values: Sequence[MetricValue]) -> "Metric":
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily  # noqa: PLC0415 - see `render`

    made = CounterMetricFamily if spec.kind == "counter" else GaugeMetricFamily
    family = made(spec.name, spec.doc, labels=spec.labels)
    for each in values:
        family.add_metric(each.labels, float(each.value))
    return family


def _seconds(instant: datetime | None) -> float | None:
    return None if instant is None else instant.timestamp()
