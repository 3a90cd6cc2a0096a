"""An API on loopback that answers as a test says, and a pull against it without waiting."""

import json
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self, TypeAlias

from ocelog.ledger.ledger import Ledger
from ocelog.model import Origin, Slice, SliceState, SourceRow, table_name
from ocelog.pull.ports import Pages
from ocelog.pull.puller import Drained, Puller
from ocelog.schema.columns.table import rejection_rows
from ocelog.schema.language.packaged import packaged_schemas
from ocelog.schema.shape import compile_shaper
from ocelog.secrets.secret import Secret
from ocelog.sources.wiz.settings import from_mapping
from ocelog.sources.wiz.source import WizSource
from ocelog.sources.wiz.streams import KINDS, ROOTS
from ocelog.times import from_us, rfc3339
from simulation.lake import MemoryLake

Record: TypeAlias = dict[str, Any]
Behaviour: TypeAlias = Callable[[dict[str, Any], list[Record], dict[str, Any]], "tuple[int, bytes] | None"]
"""Is given the variables, the records of the page and the answer; may change the answer, or give another."""

SINCE = datetime(2026, 3, 1, tzinfo=UTC)
FINDINGS = "Wiz.VulnerabilityFinding"
_DATES = {"firstSeenAt": "firstDetectedAt"}


def finding(number: int, at: datetime, **more: Any) -> Record:
    return {
        "id": f"v{number}",
        "portalUrl": "https://app.wiz.io/x",
        "name": "CVE-2026-1",
        "status": "OPEN",
        "severity": "HIGH",
        "firstDetectedAt": rfc3339(at),
        "lastDetectedAt": rfc3339(at),
        "updatedAt": rfc3339(at),
        "projects": [],
        **more,
    }


def issue(number: int, at: datetime, **more: Any) -> Record:
    return {
        "id": f"i{number}",
        "createdAt": rfc3339(at),
        "updatedAt": rfc3339(at),
        "statusChangedAt": rfc3339(at),
        "type": "TOXIC_COMBINATION",
        "projects": [],
        "status": "OPEN",
        "severity": "HIGH",
        "notes": [],
        **more,
    }


def entry(number: int, at: datetime, **more: Any) -> Record:
    return {"id": f"a{number}", "action": "Login", "status": "SUCCESS", "timestamp": rfc3339(at), **more}


class Api:
    """Serves the records of one root by offset, unless `behave` answers otherwise."""

    def __init__(
        self, records: Sequence[Record], behave: Behaviour | None = None, *, log_type: str = FINDINGS, keyset: str = ""
    ) -> None:
        self.records = list(records)
        self.behave = behave
        self.root = ROOTS[log_type].root
        self.keyset = keyset
        """If set, the field by which pages go on, without a tie-break."""
        self.ignored = set[str]()
        """Filters that it does not apply."""
        self.asked = list[dict[str, Any]]()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            # Head and body leave as two packets: the second would wait 40 ms for a receipt of the first.
            disable_nagle_algorithm = True

            def log_message(self, *_: Any) -> None:
                pass

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status, answer = outer.answer(self.path, body)
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def answer(self, path: str, body: bytes) -> tuple[int, bytes]:
        if "token" in path:
            return 200, json.dumps({"access_token": "a.b.c", "expires_in": 86400}).encode()
        asked = json.loads(body)
        if self.root not in asked["query"]:
            return 200, b'{"data": {"__typename": "Query"}}'
        variables = asked["variables"]
        self.asked.append(variables)
        nodes, answer = self._page(variables)
        other = self.behave(variables, nodes, answer) if self.behave is not None else None
        return other or (200, json.dumps(answer).encode())

    def _page(self, variables: dict[str, Any]) -> tuple[list[Record], dict[str, Any]]:
        rows = self.records
        for name, wanted in variables["filterBy"].items():
            if name not in self.ignored:
                rows = _fitting(rows, _DATES.get(name, name), wanted)
        count, after = variables["first"], variables["after"]
        if self.keyset:
            rest = sorted((row for row in rows if row[self.keyset] > (after or "")), key=lambda row: row[self.keyset])
            nodes = rest[:count]
            cursor, more = nodes[-1][self.keyset] if nodes else None, len(rest) > count
        else:
            start = int(after or 0)
            nodes = rows[start : start + count]
            cursor, more = str(start + len(nodes)), start + len(nodes) < len(rows)
        page = {"nodes": nodes, "totalCount": len(rows), "pageInfo": {"hasNextPage": more, "endCursor": cursor}}
        return nodes, {"data": {self.root: page}}


def _fitting(rows: list[Record], name: str, wanted: Any) -> list[Record]:
    if isinstance(wanted, dict) and "after" in wanted:
        since, until = (_instant(wanted[edge]) for edge in ("after", "before"))
        return [row for row in rows if row.get(name) is not None and since <= _instant(row[name]) <= until]
    return [row for row in rows if row.get(name) in wanted] if isinstance(wanted, list) else rows


# A record is looked at in each of some hundred requests.
_instant = cache(datetime.fromisoformat)


@dataclass(slots=True, kw_only=True)
class Pull:
    """Slices of one stream, drained as a pull does it, on a clock that does not make the test wait."""

    source: Pages
    log_type: str = FINDINGS
    page_size: int = 100
    now: datetime = datetime(2026, 3, 20, tzinfo=UTC)
    ledger: Ledger = field(init=False)
    lake: MemoryLake = field(init=False)
    puller: Puller = field(init=False)
    drained: list[Drained] = field(default_factory=list)

    def __post_init__(self) -> None:
        kind = KINDS[self.log_type]
        self.ledger = Ledger.open("sqlite:///:memory:", durable=False, now=lambda: self.now)
        self.ledger.sources.add(
            SourceRow(id="s", name="s", kind="wiz", settings={}, paused=False, removed_us=None, added_us=0)
        )
        self.lake = MemoryLake(self.ledger.lake, lambda: None)
        self.puller = Puller(
            source=self.source,
            shaper=compile_shaper(packaged_schemas()[self.log_type], kind),
            ledger=self.ledger.pulling,
            suspects=self.ledger.sweeps,
            lake=self.lake,
            kind=kind,
            rejection_rows=rejection_rows,
            source_label="s",
            page_size=self.page_size,
            our_now=lambda: self.now,
        )

    def plan(
        self, since: datetime, until: datetime, *, origin: Origin = Origin.BACKFILL, by: str | None = None
    ) -> None:
        by = by or KINDS[self.log_type].cursor_field
        marks = self.ledger.pulling.marks("s", self.log_type)
        slice_ = Slice(source_id="s", log_type=self.log_type, origin=origin, by=by, since=since, until=until)
        self.ledger.pulling.plan(marks, marks, [slice_])

    def run(self, *, most_waits: int = 40) -> None:
        """Drain what is due, and what waits; what is parked waits for another day."""
        for _ in range(most_waits):
            while (slice_ := self.ledger.pulling.take("test", now=self.now)) is not None:
                self.drained.append(self.puller.drain(slice_))
                self.ledger.pulling.release(slice_)
            waiting = [slice_.due_at for slice_ in self.slices(SliceState.WAITING)]
            if not waiting:
                return
            self.now = max(self.now, min(waiting))
        raise AssertionError("slices still wait")

    def slices(self, *states: SliceState) -> list[Slice]:
        return self.ledger.pulling.slices(states=states or None)

    def ids(self) -> set[str]:
        rows, _ = self.lake.view(table_name(self.log_type))
        return {row["id"] for row in rows}

    def rejected(self) -> list[str | None]:
        rows, _ = self.lake.view("rejections")
        return [row["record_id"] for row in rows]


def wiz(api: Api, *, page_size: int = 100, **settings: Any) -> WizSource:
    """Return the real source, asking `api` as fast as it can."""
    given = {"token_url": f"{api.url}/oauth/token", "api_url": f"{api.url}/graphql", "client_id": "x", "rate": 1000}
    source = WizSource(from_mapping({**given, "page_size": page_size, **settings}), lambda: Secret("s"))
    source.prime()
    return source


def spread(count: int, since: datetime, until: datetime, make: Callable[..., Record] = finding) -> list[Record]:
    """Return records in even steps of time."""
    return [make(number, since + (until - since) * number / count) for number in range(count)]


def ids(records: Iterable[Record]) -> set[str]:
    return {record["id"] for record in records}


def at_us(us: int) -> datetime:
    return from_us(us)


DAY = timedelta(days=1)
