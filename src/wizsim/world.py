"""What there is in the simulated tenant at any instant, and how it changes: the same however time is cut."""

import heapq
import threading
from dataclasses import dataclass
from typing import Any

from wizsim.clock import Clock
from wizsim.dice import dice, pick
from wizsim.estate import Estate, build_estate
from wizsim.instants import DAY, SECOND
from wizsim.record_types import RECORD_TYPES, Change, checked_type
from wizsim.tables import Table, Version
from wizsim.truth import Gone, Truth

Json = dict[str, Any]

MOST_TIES = 0.99
"""Were every change on the instant of the one before, time would stand."""


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class _Pending:
    visible_us: int
    order: int
    type: str
    id: str
    version: Version | None = None


class World:
    """A tenant with so many records of each type at the start: `issues=40`; of others, as RECORD_TYPES has it.

    `rate` changes happen a second of its clock; each is seen `late` seconds (mean, exponential) after.

    Every method may be called from any thread. `ties` is the share of records that share the instant of the one
    before, `age` scales how old the first ones are. The clock is stepped by `advance` unless another is given.
    """

    def __init__(
        self,
        *,
        seed: int = 0,
        rate: float = 0.0,
        late: float = 20.0,
        ties: float = 0.0,
        age: float = 1.0,
        clock: Clock | None = None,
        truth: Truth | None = None,
        **counts: int,
    ) -> None:
        given = {checked_type(name): count for name, count in counts.items()}
        counts = {name: type_.in_world for name, type_ in RECORD_TYPES.items()} | given
        self.seed = seed
        self.rate, self.late, self.ties, self.age = rate, late, ties, age
        self.clock = clock or Clock()
        self.truth = truth if truth is not None else Truth()
        self.lock = threading.RLock()
        self.estate: Estate = build_estate(seed, findings=counts["findings"], issues=counts["issues"])
        self.tables = {type_: Table() for type_ in RECORD_TYPES}
        self._births, self._changes = dice(seed, "births"), dice(seed, "changes")
        self._ids: dict[str, list[str]] = {type_: [] for type_ in RECORD_TYPES}
        self._ahead: dict[str, Version] = {}
        """States that are not visible yet."""
        self._ending: set[str] = set()
        """Records whose end is on its way: nothing more happens to them."""
        self._pending: list[_Pending] = []
        self._agenda: list[tuple[int, int, str, str, Json]] = []
        self._count = 0
        self._through = self.clock.now()
        self._settle(counts)
        self._next = self._through + self._gap()

    def now(self) -> int:
        """Return the tenant's present instant, in microseconds since 1970."""
        return self.clock.now()

    def advance(self, seconds: float) -> None:
        """Move the clock on by `seconds`; all that happens and appears meanwhile is there when this returns."""
        self.clock.advance(seconds)
        self.catch_up()

    def catch_up(self) -> int:
        """Let happen what should have happened by now; return that instant."""
        with self.lock:
            now = max(self._through, self.clock.now())
            while min(self._next, self._agenda[0][0] if self._agenda else self._next) <= now:
                self._happen()
            while self._pending and self._pending[0].visible_us <= now:
                self._appear(heapq.heappop(self._pending))
            self._through = now
            return now

    def change_rate(self, rate: float) -> None:
        """Let `rate` changes happen a second from now on."""
        with self.lock:
            now = self.catch_up()
            self.rate = rate
            self._next = now + self._gap()

    def put(self, type_: str, record: Json) -> Version:
        """Show `record` (whole, under its id) from now on: how a test scripts what happens; nothing else befalls it."""
        with self.lock:
            now = self.catch_up()
            self._leave_alone(type_, record["id"])
            return self._schedule(type_, record, {}, now, delay=0)

    def change(self, type_: str, id_: str, **fields: Any) -> Version:
        """Show the record with `fields` changed from now on. Raises KeyError where it is not there."""
        with self.lock:
            now = self.catch_up()
            known = self._latest(type_, id_)
            if known is None:
                raise KeyError(id_)
            return self._schedule(type_, {**known.own, **fields}, known.base, now, delay=0)

    def remove(self, type_: str, id_: str) -> None:
        """Show the record no more, from now on. Raises KeyError where it is not there."""
        with self.lock:
            now = self.catch_up()
            if self._latest(type_, id_) is None:
                raise KeyError(id_)
            self._schedule_end(type_, id_, now, delay=0)

    def current(self, type_: str) -> dict[str, Version]:
        """Return what the API shows now, by id."""
        with self.lock:
            self.catch_up()
            return dict(self.tables[type_].current)

    def _settle(self, counts: dict[str, int]) -> None:
        start, before = self._through, dict.fromkeys(RECORD_TYPES, self._through)
        for type_, kind in RECORD_TYPES.items():
            median, spread, most = kind.age
            for _ in range(counts[type_]):
                age = self.age * min(most, median * self._births.lognormvariate(0.0, spread))
                if self._births.random() >= self.ties:
                    before[type_] = start - int(age * DAY * (1 - self._births.random() / 1000))
                if kind.lived is None:
                    own, base = kind.make(self._births, self.estate, before[type_])
                else:
                    own, base = kind.lived(self._births, self.estate, before[type_], start)
                version = Version(type=type_, id=own["id"], number=1, visible_us=before[type_], own=own, base=base)
                self.tables[type_].current[version.id] = version
                self._ids[type_].append(version.id)
                self.truth.note(version)

    def _gap(self) -> int:
        if not self.rate or not any(self._ids.values()):
            return 1 << 62
        if self.ties and self._changes.random() < min(self.ties, MOST_TIES):
            return 0
        return int(self._changes.expovariate(self.rate) * SECOND)

    def _happen(self) -> None:
        if self._agenda and self._agenda[0][0] <= self._next:
            at, _, type_, id_, fields = heapq.heappop(self._agenda)
            if (known := self._latest(type_, id_)) is not None and id_ not in self._ending:
                self._schedule(type_, {**known.own, **fields}, known.base, at)
            return
        if any(self._ids.values()):
            self._befall(self._next)
        self._next += self._gap()

    def _befall(self, at: int) -> None:
        rng = self._changes
        shares = [kind.share * bool(self._ids[type_]) for type_, kind in RECORD_TYPES.items()]
        type_ = rng.choices(list(RECORD_TYPES), shares)[0]
        kind = RECORD_TYPES[type_]
        if rng.random() < kind.births or not self._ids[type_]:
            own, base = kind.make(rng, self.estate, at)
            self._ids[type_].append(own["id"])
            self._schedule(type_, own, base, at)
        elif kind.change is not None:
            self._change_one(type_, kind.change, at)

    def _change_one(self, type_: str, change: Change, at: int) -> None:
        rng = self._changes
        known = self._latest(type_, pick(rng, self._ids[type_]))
        if known is None:
            return
        fields = change(rng, known.full(), at, self.estate)
        if fields is None:
            self._schedule_end(type_, known.id, at)
        elif fields:
            self._schedule(type_, {**known.own, **fields}, known.base, at)
            self._change_back(known, fields, at)

    def _change_back(self, before: Version, fields: Json, at: int) -> None:
        if len(fields) == 1 and (place := next(iter(fields))) in {"entitySnapshot", "vulnerableAsset"}:
            self._count += 1
            back = at + int(self._changes.expovariate(1 / 60) * SECOND)
            heapq.heappush(self._agenda, (back, self._count, before.type, before.id, {place: before.own[place]}))

    def _latest(self, type_: str, id_: str) -> Version | None:
        return self._ahead.get(id_) or self.tables[type_].current.get(id_)

    def _schedule(self, type_: str, own: Json, base: Json, at: int, *, delay: int | None = None) -> Version:
        known = self._latest(type_, own["id"])
        number = 1 if known is None else known.number + 1
        seen = self._seen_at(at, delay, known)
        version = Version(type=type_, id=own["id"], number=number, visible_us=seen, own=own, base=base)
        self._ahead[version.id] = version
        self._wait(_Pending(visible_us=seen, order=self._count, type=type_, id=version.id, version=version))
        return version

    def _schedule_end(self, type_: str, id_: str, at: int, *, delay: int | None = None) -> None:
        seen = self._seen_at(at, delay, self._latest(type_, id_))
        self._ending.add(id_)
        self._leave_alone(type_, id_)
        self._wait(_Pending(visible_us=seen, order=self._count, type=type_, id=id_))

    def _leave_alone(self, type_: str, id_: str) -> None:
        ids = self._ids[type_]
        if id_ in ids:
            ids[ids.index(id_)] = ids[-1]
            ids.pop()

    def _wait(self, pending: _Pending) -> None:
        self._count += 1
        if pending.visible_us <= self._through:
            self._appear(pending)
        else:
            heapq.heappush(self._pending, pending)

    def _seen_at(self, at: int, delay: int | None, known: Version | None) -> int:
        if delay is None:
            delay = int(self._changes.expovariate(1 / self.late) * SECOND) if self.late else 0
        return max(at + delay, known.visible_us if known is not None else 0)

    def _appear(self, pending: _Pending) -> None:
        table = self.tables[pending.type]
        if pending.version is None:
            table.drop(pending.id)
            self._ahead.pop(pending.id, None)
            self._ending.discard(pending.id)
            self.truth.note(Gone(type=pending.type, id=pending.id, visible_us=pending.visible_us))
            return
        table.put(pending.version)
        if self._ahead.get(pending.id) is pending.version:
            del self._ahead[pending.id]
        self.truth.note(pending.version)
