"""How each stream was when somebody looked last, and which errors people know of: the ledger as health uses it."""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import timedelta
from typing import Any, TypeAlias

from msgspec import Struct
from sqlalchemy import Connection, RowMapping, delete, insert, select

from ocelog.health.stream import AlarmState, ClockReading, Memory, State
from ocelog.health.telling import ErrorNotice, ErrorType, OpenError, StreamName
from ocelog.ledger import tables
from ocelog.ledger.database.dialects import bounded
from ocelog.ledger.database.transactions import Database
from ocelog.ledger.rows import slices, sources, streams
from ocelog.ledger.rows.sweeps import coverages, sweep_of
from ocelog.model import Slice, SliceState, StreamRow
from ocelog.pull.ports import Coverage
from ocelog.pull.sweep import Sweep
from ocelog.times import from_us, to_us

StreamKey: TypeAlias = tuple[str, str]
"""Source id and log type."""
_h, _e, _s = tables.health.c, tables.system_errors.c, tables.slices.c
_MICROSECOND = timedelta(microseconds=1)


class HealthView(Struct, frozen=True, kw_only=True):
    """All that a look at every stream needs, as of one instant, by source id and log type."""

    streams: Mapping[StreamKey, StreamRow]
    left: Mapping[StreamKey, list[Slice]]
    """Slices that are not read to their end."""
    short: AbstractSet[StreamKey]
    """Streams of which a slice was drained incomplete, and maybe read again since."""
    sweeps: Mapping[StreamKey, Sweep]
    """The newest of each stream."""
    counts: Mapping[StreamKey, list[Coverage]]
    remembered: Mapping[StreamKey, Memory]
    open_errors: Sequence[OpenError]
    """The oldest first."""


class HealthLedger:
    """What is remembered of each stream, and the system errors that are open. Fits SystemErrors."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def view(self) -> HealthView:
        """Return what is known of all streams: a few statements, however many streams there are."""
        with self._database.read() as tx:
            listed = streams.listed(tx, None)
            short = select(_s.source_id, _s.log_type).where(_s.state == SliceState.DRAINED, _s.short_by > 0).distinct()
            swept = map(sweep_of, tx.execute(select(tables.sweeps)).mappings())
            return HealthView(
                streams={(each.marks.source_id, each.marks.log_type): each for each in listed},
                left=slices.left(tx, {each.marks.source_id for each in listed}),
                short={(source_id, log_type) for source_id, log_type in tx.execute(short)},
                sweeps={(each.source_id, each.log_type): each for each in swept},
                counts=coverages(tx),
                remembered=_remembered(tx),
                open_errors=_open_errors(tx),
            )

    def remembered(self) -> dict[StreamKey, Memory]:
        """Return what is remembered, by source id and log type."""
        with self._database.read() as tx:
            return _remembered(tx)

    def remember(self, memories: Mapping[StreamKey, Memory]) -> None:
        """Keep what is remembered of these streams, in the place of what was; nothing of a source that was purged."""
        if not memories:
            return
        with self._database.write() as tx:
            there = sources.hold_known(tx, {source_id for source_id, _ in memories})
            for (source_id, log_type), memory in sorted(memories.items()):
                if source_id not in there:
                    continue
                tx.execute(delete(tables.health).where(_h.source_id == source_id, _h.log_type == log_type))
                values = {"source_id": source_id, "log_type": log_type, **_columns(memory)}
                tx.execute(insert(tables.health).values(values))

    def open_errors(self) -> list[OpenError]:
        """Return the system errors that people know of, the oldest first."""
        with self._database.read() as tx:
            return _open_errors(tx)

    def raise_(self, notice: ErrorNotice) -> None:
        """Note a system error as open, or as told again; nothing of a source that was purged."""
        error = notice.error
        values = {
            "key": error.key,
            "type": error.type.value,
            "source_id": error.stream.source_id,
            "log_type": error.stream.log_type,
            "source_name": bounded(error.stream.source),
            "opened_us": to_us(error.opened),
            "told_us": to_us(error.told),
            "times": error.times,
            "text": bounded(error.text),
        }
        with self._database.write() as tx:
            if not sources.hold_known(tx, [error.stream.source_id]):
                return
            tx.execute(delete(tables.system_errors).where(_e.key == error.key))
            tx.execute(insert(tables.system_errors).values(values))

    def resolve(self, notice: ErrorNotice) -> None:
        """Forget a system error that is over."""
        with self._database.write() as tx:
            tx.execute(delete(tables.system_errors).where(_e.key == notice.error.key))


def _remembered(tx: Connection) -> dict[StreamKey, Memory]:
    rows = tx.execute(select(tables.health)).mappings()
    return {(row["source_id"], row["log_type"]): _memory_of(row) for row in rows}


def _open_errors(tx: Connection) -> list[OpenError]:
    rows = tx.execute(select(tables.system_errors).order_by(_e.opened_us, _e.key)).mappings()
    return [_error_of(row) for row in rows]


def _memory_of(row: RowMapping) -> Memory:
    return Memory(
        state=State(row["state"]),
        since=from_us(row["since_us"]),
        why=row["why"],
        alarm=AlarmState(row["alarm"]),
        alarm_since=from_us(row["alarm_since_us"]),
        silence=timedelta(microseconds=row["silence_us"]),
        polled=_seen(row["polled_us"], row["polled_source_us"]),
        received=_seen(row["received_us"], row["received_source_us"]),
        rejections=row["rejections"],
        rejected_at=None if row["rejected_us"] is None else from_us(row["rejected_us"]),
        counted=tuple((from_us(at_us), events) for at_us, events in row["counted"]),
    )


def _columns(memory: Memory) -> dict[str, Any]:
    return {
        "state": memory.state.value,
        "since_us": to_us(memory.since),
        "why": bounded(memory.why),
        "alarm": memory.alarm.value,
        "alarm_since_us": to_us(memory.alarm_since),
        "silence_us": memory.silence // _MICROSECOND,
        "polled_us": None if memory.polled is None else to_us(memory.polled.ours),
        "polled_source_us": None if memory.polled is None else to_us(memory.polled.source),
        "received_us": None if memory.received is None else to_us(memory.received.ours),
        "received_source_us": None if memory.received is None else to_us(memory.received.source),
        "rejections": memory.rejections,
        "rejected_us": None if memory.rejected_at is None else to_us(memory.rejected_at),
        "counted": [[to_us(at), events] for at, events in memory.counted],
    }


def _seen(ours_us: int | None, source_us: int | None) -> ClockReading | None:
    if ours_us is None or source_us is None:
        return None
    return ClockReading(ours=from_us(ours_us), source=from_us(source_us))


def _error_of(row: RowMapping) -> OpenError:
    return OpenError(
        stream=StreamName(source=row["source_name"], source_id=row["source_id"], log_type=row["log_type"]),
        type=ErrorType(row["type"]),
        opened=from_us(row["opened_us"]),
        told=from_us(row["told_us"]),
        times=row["times"],
        text=row["text"],
    )
