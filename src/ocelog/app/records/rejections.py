"""How rejected records are tried again, once a schema has learned what they needed."""

import base64
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import count, groupby

from msgspec import Struct
from msgspec.structs import replace

from ocelog.app.assemble import publisher
from ocelog.app.claims import claims, home_held
from ocelog.app.log_types import kinds, table_schemas
from ocelog.app.shaping import shaper_of
from ocelog.installation.opening import Installation
from ocelog.lake.lake import FileLake
from ocelog.lake.query.queries import Limits, Queries
from ocelog.lake.read.quoting import literal
from ocelog.model import Claim, Origin, table_name
from ocelog.pull.landing import WITHOUT_ERRORS, Lander
from ocelog.pull.memory import Memory
from ocelog.pull.ports import Ask, Page
from ocelog.schema.columns.table import rejection_rows
from ocelog.times import EPOCH, from_us, to_us

_AT_ONCE = 500
_LIMITS = Limits(timeout=timedelta(minutes=9))
_REPLAY = "replay"
"""What the claim is for; it stands where the date field of a request stands, too."""
_MOST_BYTES = 64_000_000
"""Of raw records that are held at once, unless one answer has more."""
_ANSWER = "concat_ws(' ', p_source_id, p_log_type, p_origin, lpad(epoch_us(p_observed_at)::VARCHAR, 20, '0'))"
"""What the records of one answer have in common, in one text."""
_ANSWERS = f"""
SELECT {_ANSWER} AS answer, sum(strlen(raw)) AS bytes FROM rejections WHERE {{of}} GROUP BY ALL ORDER BY answer
"""  # noqa: S608 - ours
_STORED = f"""
SELECT p_source_id, p_source_label, p_log_type, p_origin, p_observed_at, expected, raw, raw_encoding, unknown_fields
FROM rejections WHERE {_ANSWER} BETWEEN {{first}} AND {{last}} ORDER BY {_ANSWER}
"""  # noqa: S608 - ours


class StoredRejection(Struct, frozen=True, kw_only=True):
    """A rejected record as the lake keeps it."""

    source_id: str
    source_label: str
    log_type: str
    origin: str
    observed_at: datetime
    raw: bytes
    whole: bool
    """Not so if the source sent it only together with an error: what failed in it is null, and was not so."""
    unknown: frozenset[str]
    """Fields that the source did not show with it: as in a landing, they take the value of the version before."""

    @property
    def page(self) -> tuple[str, str, str, datetime]:
        """What the records of one answer have in common."""
        return self.source_id, self.log_type, self.origin, self.observed_at


class RejectionReplay(Struct, frozen=True, kw_only=True):
    """What trying again came to."""

    tried: int
    events: int
    """New versions that landed."""
    repeats: int
    """They fit too, and were there already."""
    still_rejected: int
    sent_with_errors: int
    """Not tried: they must be requested again."""


def replay(installation: Installation, source_id: str | None = None) -> RejectionReplay:
    """Shape rejected records anew, of one source or of all, and land those that fit now as they would have then.

    A record that came only together with an error is left alone: it would be a version that never was.
    Calling it twice lands nothing twice, and beside a service of this process it lands as one more slice would. The
    rejections stay in their table, as history, and the ledger notes how many of them fit once all were tried.
    """
    with (
        home_held(installation, "ocelog rejections --replay") as alone,
        claims(installation, _REPLAY, alone=alone) as claim,
    ):
        schemas = table_schemas()
        if alone:
            # A service did so when it began.
            publisher(installation.home.path, installation.ledger).reconcile()
        lake = FileLake(installation.home.path, installation.ledger.lake, schemas)
        found = RejectionReplay(tried=0, events=0, repeats=0, still_rejected=0, sent_with_errors=0)
        fit, landed = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
        for everything in stored(installation, source_id):
            whole = [each for each in everything if each.whole]
            found = replace(found, sent_with_errors=found.sent_with_errors + len(everything) - len(whole))
            for _, group in groupby(whole, key=lambda each: each.page):
                records = list(group)
                for start in range(0, len(records), _AT_ONCE):
                    some = records[start : start + _AT_ONCE]
                    done = _land(installation, lake, claim(some[0].source_id), some)
                    found = _added(found, done)
                    stream = (some[0].source_id, some[0].log_type)
                    fit[stream] += done.events + done.repeats
                    landed[stream] += done.events
        for stream in fit:
            installation.ledger.losses.note_replay(*stream, fit=fit[stream], landed=landed[stream])
    return found


def stored(installation: Installation, source_id: str | None = None) -> Iterator[list[StoredRejection]]:
    """Yield rejected records, as many at once as fit into memory; those of one answer come together."""
    for first, last in _some_answers(installation, source_id):
        yield _between(installation, first, last)


def _some_answers(installation: Installation, source_id: str | None) -> Iterator[tuple[str, str]]:
    """Yield first and last of as many answers in a row as are held at once; together they are all with rejections.

    The names of answers begin with the source, so that between two of one source there is none of another.
    """
    of = "TRUE" if source_id is None else f"p_source_id = {literal(source_id)}"
    queries = Queries(installation.home.path, installation.ledger.lake, table_schemas())
    with queries.run(_ANSWERS.format(of=of), limits=_LIMITS, trusted=True) as answer:
        rows = [row for batch in answer.batches for row in batch.to_pylist()]
    held, size = list[str](), 0
    for row in rows:
        if held and size + row["bytes"] > _MOST_BYTES:
            yield held[0], held[-1]
            held, size = [], 0
        held.append(row["answer"])
        size += row["bytes"]
    if held:
        yield held[0], held[-1]


def _between(installation: Installation, first: str, last: str) -> list[StoredRejection]:
    """Return the rejected records from the answer `first` to the answer `last`, those of one answer side by side."""
    queries = Queries(installation.home.path, installation.ledger.lake, table_schemas())
    sql = _STORED.format(first=literal(first), last=literal(last))
    with queries.run(sql, limits=_LIMITS, trusted=True) as answer:
        return [
            StoredRejection(
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


def _land(
    installation: Installation, lake: FileLake, claim: Claim, records: Sequence[StoredRejection]
) -> RejectionReplay:
    first = records[0]
    kind = kinds()[first.log_type]
    page = Page(
        records=[each.raw for each in records],
        end_cursor=None,
        has_next=False,
        total=None,
        capped=False,
        asked_us=to_us(first.observed_at),
        unknown={at: each.unknown for at, each in enumerate(records) if each.unknown},
    )
    shaped = shaper_of(first.log_type).shape(page.records)
    table = table_name(first.log_type)
    lander = Lander(
        ledger=installation.ledger.pulling,
        lake=lake,
        kind=kind,
        table=table,
        claim=claim,
        source_id=first.source_id,
        source_label=first.source_label,
        origin=Origin(first.origin),
        rejection_rows=rejection_rows,
        memory=Memory(lake, table, first.source_id, kind, by=None),
        numbers=count(time.time_ns()),
    )
    ask = Ask(log_type=first.log_type, by=_REPLAY, since=EPOCH, until=from_us(page.asked_us), open_only=False)
    landed = lander.land(page, ask, shaped, to=None)
    return RejectionReplay(
        tried=len(records),
        events=landed.events,
        repeats=landed.repeats,
        still_rejected=len(records) - landed.events - landed.repeats,
        sent_with_errors=0,
    )


def _added(one: RejectionReplay, other: RejectionReplay) -> RejectionReplay:
    return RejectionReplay(
        tried=one.tried + other.tried,
        events=one.events + other.events,
        repeats=one.repeats + other.repeats,
        still_rejected=one.still_rejected + other.still_rejected,
        sent_with_errors=one.sent_with_errors + other.sent_with_errors,
    )
