"""Which faults the API can have, and which of them strike the exchange at hand: seeded, set by option, call or test.

A fault is written `NAME[:PROBABILITY][:key=value]...`, such as `throttled:0.1:retry_after=5` or `heavy-page:above=100`.
A value runs to the next `:key=` or to the end, so that a URL can be one: `redirect:to=https://elsewhere.example:8443/`.
Every fault takes `type` (audit, issues, findings, token: only exchanges about it), `times` (strikes left), and the
seconds of the tenant's time `after` which it begins and `for` which it lasts, counted from the first exchange after it
was set: an outage of ten minutes is `server-error:for=600`, a clock that lies for three days `date-jump:for=259200`.
"""

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from wizsim import arguments
from wizsim.dice import dice
from wizsim.instants import SECOND
from wizsim.nearest import did_you_mean, shown

MEANINGS: Mapping[str, str] = {
    "token-lapsed": "401; the token that was sent is revoked, a new one works",
    "unauthorized": "401 whatever the token; with type=token: the credentials are refused",
    "forbidden": "403 with code FORBIDDEN_IP",
    "throttled": "429 with Retry-After (retry_after=1)",
    "throttled-silent": "429 without Retry-After",
    "rate-limit": "200 with errors that say RATE_LIMIT_EXCEEDED",
    "server-error": "a 5xx (status=502), HTML as proxies write it",
    "redirect": "307 to another host (to=https://elsewhere.example/graphql; any URL, colons and all)",
    "heavy-page": "504 for pages above `above`=100 records; as=null: 200, data null and an internal error instead",
    "internal-error": "200, data null, `oops! an internal error has occurred` with a request id",
    "partial": "errors in addition to data: a nullable field (field=) is null and named by a path; "
    "nth=K: in that record only, counted from 0; a page without it is whole",
    "error-beside-data": "errors in addition to data that name no record, while nullable fields of all are null",
    "bad-record": "one record (id=) that always fails: any page with it has an error in addition to its data",
    "bad-record-null": "one record (id=) that always fails: any page with it has data null",
    "bad-record-answer": "one record (id=) that always fails: any page with it is answered as=500, 502, 503, 504, 400, "
    "413, 422, or with 200, data null and as=forbidden, not-found, bad-input, or as=cut, garbled, timeout (seconds=60)",
    "bad-time-range": "a time range of the past that always fails: `seconds`=600 long, that began `ago`=7200 s before "
    "the first request; any request that includes it is answered as= (as for bad-record-answer; default 500)",
    "dates-ignored": "date filters are ignored: records of all time are listed",
    "overcount": "totalCount is too high `by`=1; id=: only where that record is listed, as if it were counted twice",
    "hidden-records": "one record of `every`=100, or id=, is counted and never shown",
    "cut-body": "the connection ends in the middle of the body (at=0.5)",
    "cut-json": "the body ends early and its Content-Length agrees (at=0.5)",
    "cut-gzip": "as cut-json, in the middle of the gzip stream",
    "slow-body": "the body takes `seconds`=2 to come",
    "html": "200 with a page of HTML",
    "cursor-repeated": "the end cursor is the one of the request",
    "cursor-missing": "hasNextPage without a cursor",
    "cursor-foreign": "an end cursor of another listing, refused when used",
    "cursor-forgotten": "a request with a cursor is refused: the cursor has expired",
    "empty-page": "no records, hasNextPage true, and a cursor that leads on",
    "overlap": "a page begins `by`=3 records before where the last one ended",
    "descending": "listings run backwards",
    "shuffled": "listings are in no order of time",
    "null-nodes": "the list of records is null",
    "null-entry": "the first record of the page is null",
    "odd-record": "the first record (or id=) holds a value that does not fit: kind=bad-timestamp, wrong-type, "
    "null-required, missing-required, huge-integer, nan, infinity, surrogate, invalid-utf8, duplicate-key, deep, long",
    "absent-keys": "requested fields that are null are left out of their records, without an "
    "error; field=: that field, whatever it holds",
    "hidden-field": 'field=Type.name is unknown: 400 `Cannot query field "name" on type "Type".`; type names hide too',
    "refused-field": "field=Type.name needs scope=admin:all: null, with an error in addition to the data",
    "date-jump": "the Date header is `seconds`=3600 off",
}
"""Every fault, and what a client meets."""

WIRE = frozenset({"cut-body", "cut-json", "cut-gzip", "slow-body", "html", "date-jump"})
REFUSALS = frozenset(
    {
        "token-lapsed",
        "unauthorized",
        "forbidden",
        "throttled",
        "throttled-silent",
        "rate-limit",
        "server-error",
        "redirect",
        "internal-error",
    }
)
SPOILS = frozenset({"cut-body", "cut-json", "cut-gzip", "html"})
"""After these a client cannot have read the answer."""


class UnknownFaultError(ValueError):
    """The name is none of MEANINGS, or an argument does not fit."""


@dataclass(slots=True, kw_only=True)
class Fault:
    """One fault that is set."""

    name: str
    probability: float = 1.0
    times: int | None = None
    type: str | None = None
    after: float = 0.0
    lasts: float | None = None
    """Seconds; None: until it is taken away."""
    begun_us: int | None = None
    """The tenant's time at the first exchange since it was set."""
    args: dict[str, Any] = field(default_factory=dict)

    def number(self, name: str, otherwise: float) -> float:
        """Return a numeric argument."""
        return float(self.args.get(name, otherwise))

    def key(self) -> tuple[str, str]:
        """Return what tells two faults of like effect from others."""
        return self.name, repr(sorted(self.args.items()))


class Faults:
    """The faults that are set, and the dice that say when they strike."""

    def __init__(self, seed: int = 0) -> None:
        self._rng = dice(seed, "faults")
        self._lock = threading.Lock()
        self._set: list[Fault] = []

    def add(self, name: str, probability: float | str = 1.0, /, **given: Any) -> Fault:
        """Set a fault; `given` are `type`, `times` and the arguments of its own. Raises UnknownFaultError."""
        if not isinstance(name, str) or name not in MEANINGS:
            raise UnknownFaultError(f"there is no fault {shown(name)}{did_you_mean(name, MEANINGS)}")
        try:
            chance = arguments.probability(probability)
        except ValueError as wrong:
            raise UnknownFaultError(f"{name}: the probability {wrong}") from wrong
        try:
            args = arguments.checked(name, given)
        except ValueError as wrong:
            raise UnknownFaultError(str(wrong)) from wrong
        if args.get("type") == "token" and name not in WIRE | REFUSALS:
            raise UnknownFaultError(f"{name} is about records: its type is audit, issues or findings, not token")
        fault = Fault(
            name=name,
            probability=chance,
            times=args.pop("times", None),
            type=args.pop("type", None),
            after=args.pop("after", 0.0),
            lasts=args.pop("for", None),
            args=args,
        )
        with self._lock:
            self._set.append(fault)
        return fault

    def add_written(self, written: str) -> Fault:
        """Set a fault written as NAME[:PROBABILITY][:key=value]... Raises UnknownFaultError."""
        try:
            name, probability, given = arguments.split(written)
        except ValueError as wrong:
            raise UnknownFaultError(str(wrong)) from wrong
        return self.add(name, probability, **given)

    def clear(self, name: str | None = None) -> None:
        """Take away the faults called `name`, or all. Raises UnknownFaultError."""
        if name is not None and name not in MEANINGS:
            raise UnknownFaultError(f"there is no fault {shown(name)}{did_you_mean(name, MEANINGS)}")
        with self._lock:
            self._set = [f for f in self._set if name not in {None, f.name}]

    def all(self) -> list[Fault]:
        """Return the faults that are set."""
        with self._lock:
            return list(self._set)

    def strike(self, types: frozenset[str], now_us: int) -> dict[str, Fault]:
        """Draw which faults strike an exchange about `types`: by name the last that was set, others by their key."""
        struck: dict[str, Fault] = {}
        with self._lock:
            for fault in self._set:
                if fault.begun_us is None:
                    fault.begun_us = now_us
                passed = (now_us - fault.begun_us) / SECOND - fault.after
                if passed < 0 or (fault.lasts is not None and passed >= fault.lasts):
                    continue
                if fault.type is None and "token" in types and fault.name not in WIRE:
                    continue
                if (fault.type is None or fault.type in types) and self._strikes(fault):
                    if (before := struck.get(fault.name)) is not None:
                        struck[repr(before.key())] = before
                    struck[fault.name] = fault
        return struck

    def _strikes(self, fault: Fault) -> bool:
        if fault.times == 0 or (fault.probability < 1 and self._rng.random() >= fault.probability):
            return False
        if fault.times is not None:
            fault.times -= 1
        return True
