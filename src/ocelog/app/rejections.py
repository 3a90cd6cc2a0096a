"""How rejected records are tried again, once a schema has learned what they needed."""

import base64
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import count, groupby

from ocelog.app.assemble import table_schemas
from ocelog.errors import OperatorError
from ocelog.installation.home_lock import held
from ocelog.installation.opening import Installation
from ocelog.lake.lake import FileLake
from ocelog.lake.query.queries import Limits, Queries
from ocelog.lake.write.publish import Publisher
from ocelog.model import Origin, Slice, SliceState, table_name
from ocelog.pull.landing import WITHOUT_ERRORS, Lander
from ocelog.pull.memory import Memory
from ocelog.pull.ports import Ask, Page
from ocelog.schema.columns.table import rejection_rows
from ocelog.schema.language.packaged import packaged_schemas
from ocelog.schema.shape import compile_shaper
from ocelog.sources.wiz.streams import KINDS
from ocelog.times import EPOCH, from_us, to_us

_AT_ONCE = 500
_REPLAY = "replay"
"""Stands where the date field of a question stands: no slice of the ledger ever asks by it."""
_STORED = """
SELECT p_source_id, p_source_label, p_log_type, p_origin, p_observed_at, expected, raw, raw_encoding, unknown_fields
FROM rejections ORDER BY p_source_id, p_log_type, p_origin, p_observed_at
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """A rejected record as the lake keeps it."""

    source_id: str
    source_label: str
    log_type: str
    origin: str
    observed_at: datetime
    raw: bytes
    whole: bool
    """Not so where the source sent it only together with an error: what failed in it is null, and was not so."""
    unknown: frozenset[str]
    """Fields that the source did not show with it: as in a landing, they take the value of the version before."""

    @property
    def page(self) -> tuple[str, str, str, datetime]:
        """What the records of one answer have in common."""
        return self.source_id, self.log_type, self.origin, self.observed_at


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """What trying again came to."""

    tried: int
    events: int
    """New versions that landed."""
    repeats: int
    """They fit too, and were there already."""
    still_rejected: int
    sent_with_errors: int
    """Not tried: they must be asked for anew."""


def replay(installation: Installation) -> Replayed:
    """Shape every rejected record anew, and land those that fit now as they would have landed then.

    A record that came only together with an error is left alone: it would be a version that never was.
    Calling it twice lands nothing twice. The rejections stay in their table, as history.
    """
    with held(installation.home, "ocelog rejections --replay"):
        schemas = table_schemas()
        Publisher(installation.home.path, installation.ledger, schemas).reconcile()
        lake = FileLake(installation.home.path, installation.ledger, schemas)
        everything = stored(installation)
        whole = [each for each in everything if each.whole]
        found = Replayed(tried=0, events=0, repeats=0, still_rejected=0, sent_with_errors=len(everything) - len(whole))
        for _, group in groupby(whole, key=lambda each: each.page):
            records = list(group)
            for start in range(0, len(records), _AT_ONCE):
                found = _added(found, _land(installation, lake, records[start : start + _AT_ONCE]))
    return found


def stored(installation: Installation) -> list[Stored]:
    """Return every rejected record, those of one answer side by side."""
    queries = Queries(installation.home.path, installation.ledger, table_schemas())
    with queries.run(_STORED, limits=Limits(timeout=timedelta(minutes=9)), trusted=True) as answer:
        return [
            Stored(
                source_id=row["p_source_id"],
                source_label=row["p_source_label"],
                log_type=row["p_log_type"],
                origin=row["p_origin"],
                observed_at=row["p_observed_at"],
                whole=row["expected"] != WITHOUT_ERRORS,
                raw=base64.b64decode(row["raw"]) if row["raw_encoding"] == "base64" else row["raw"].encode(),
                unknown=frozenset(row["unknown_fields"] or ()),
            )
            for batch in answer.batches
            for row in batch.to_pylist()
        ]


def _land(installation: Installation, lake: FileLake, records: Sequence[Stored]) -> Replayed:
    first = records[0]
    kind = KINDS[first.log_type]
    page = Page(
        records=[each.raw for each in records],
        end_cursor=None,
        has_next=False,
        total=None,
        capped=False,
        asked_us=to_us(first.observed_at),
        unknown={at: each.unknown for at, each in enumerate(records) if each.unknown},
    )
    shaped = compile_shaper(packaged_schemas()[first.log_type], kind).shape(page.records)
    moving = _finished_slice(installation, first)
    reading = replace(moving, by=_REPLAY, origin=Origin(first.origin))
    table = table_name(first.log_type)
    lander = Lander(
        ledger=installation.ledger,
        lake=lake,
        kind=kind,
        table=table,
        source_label=first.source_label,
        rejection_rows=rejection_rows,
        memory=Memory(lake, table, reading, kind),
        numbers=count(time.time_ns()),
    )
    ask = Ask(log_type=first.log_type, by=_REPLAY, since=EPOCH, until=from_us(page.asked_us), open_only=False)
    landed = lander.land(page, ask, shaped, moving=reading, to=moving)
    return Replayed(
        tried=len(records),
        events=landed.events,
        repeats=landed.repeats,
        still_rejected=len(records) - landed.events - landed.repeats,
        sent_with_errors=0,
    )


def _finished_slice(installation: Installation, record: Stored) -> Slice:
    """Return a slice that nobody reads any more: under its fence the records land, and it stays as it is."""
    done = installation.ledger.slices(
        source_id=record.source_id, log_type=record.log_type, states={SliceState.DRAINED, SliceState.RETIRED}
    )
    if not done:
        raise OperatorError(
            f"The source {record.source_label!r} has not read any slice of {record.log_type} to its end: pull first."
        )
    return done[0]


def _added(one: Replayed, other: Replayed) -> Replayed:
    return Replayed(
        tried=one.tried + other.tried,
        events=one.events + other.events,
        repeats=one.repeats + other.repeats,
        still_rejected=one.still_rejected + other.still_rejected,
        sent_with_errors=one.sent_with_errors + other.sent_with_errors,
    )
