"""What correlation rules find in the matches of other rules, around each match that is new.

A match may land long after its event: a tenant was not reachable, or a backfill reads the past. So a run looks at the
stretch of event time around each match that has landed since the run before, not at the last minutes.
"""

import json
import time
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import pyarrow as pa
from msgspec import Struct

from ocelog.alert.judged import Event, Judged, JudgedBy, Match
from ocelog.app.log_types import kinds
from ocelog.app.loops.scheduled_rows import Found, digest, link_of, match_source, plain
from ocelog.detect.correlation import Found as Together
from ocelog.detect.correlation import StepMatch, correlate
from ocelog.detect.evaluate import Verdict
from ocelog.detect.paths import Path, parse_path
from ocelog.detect.rule import Correlation, CorrelationRule
from ocelog.model import table_name
from ocelog.times import to_us

_SECOND_US = 1_000_000
_OVERLAP_US = 900 * _SECOND_US
"""A match carries when it was judged, and lands some time after: so much is looked at again. It finds nothing twice."""
_MOST_SECONDS = 60.0
_MOST_ROWS = 50_000
"""Matches that a run looks at."""
_MOST_BYTES = 64 << 20
"""Of matches that are read at a time."""
_MOST_HELD = 500_000
"""Members of what belongs together around one match, each as often as it is in something: about 40 MB."""
MOST_NAMED = 100
"""Members that the context of a match names."""


class MatchReader(Protocol):
    """What correlating needs of the lake."""

    schemas: Mapping[str, pa.Schema]

    def matches(
        self, rules: Collection[str], by: str, *, since_us: int, until_us: int | None = None, most_bytes: int
    ) -> pa.Table:
        """Return the rows of `rule_matches` of these rules whose date `by` lies in [since, until], both included.

        Where they have more than `most_bytes`, some may be left out, and those that are returned have more than that.
        """
        ...

    def rows(self, table: str, row_ids: Collection[str], columns: Collection[str]) -> dict[str, dict[str, Any]]:
        """Return whole values of some columns by p_row_id."""
        ...


class TooMuchError(Exception):
    """There are more matches around the new ones than a run can look at in its time."""


@dataclass(slots=True, kw_only=True)
class Correlator:
    """Looks for what belongs together in the matches of a lake."""

    lake: MatchReader
    monotonic: Callable[[], float] = time.monotonic
    paths: dict[str, Path] = field(default_factory=dict)

    def find(
        self,
        rule: CorrelationRule,
        revision: str,
        *,
        others: Collection[str],
        fired_us: int,
        now_us: int,
        sources: Mapping[str, str],
    ) -> tuple[Judged, Found]:
        """Return what `rule` finds around the matches that have landed since `fired_us`.

        `others` are the correlation rules that there are: what they found is none of the matches that a rule looks at,
        or it would find what it found itself. Raises TooMuchError.
        """

        def centres(correlation: Correlation, rules: Collection[str]) -> set[int]:
            new = _times(self._read(rules, "p_parse_time", fired_us - _OVERLAP_US))
            if any(step.absent for step in correlation.steps):
                # What was too early to be called absent may be so by now.
                since = fired_us - 2 * correlation.lookback_minutes * 60 * _SECOND_US - _OVERLAP_US
                new |= _times(self._read(rules, "p_event_time", since, now_us))
            return new

        told: Sequence[set[str]] = [set() for _ in rule.correlations]
        return self._find(rule, revision, others, centres, now_us, lambda _: now_us, sources, told)

    def find_past(
        self,
        rule: CorrelationRule,
        revision: str,
        *,
        others: Collection[str],
        since_us: int,
        until_us: int,
        now_us: int,
        sources: Mapping[str, str],
        told: Sequence[set[str]],
    ) -> tuple[Judged, Found]:
        """Return what `rule` finds around the matches of events of [since, until), whenever they landed.

        `told` is, of each correlation of the rule, which matches are in something that was found: whoever looks at one
        stretch of time after the other hands on the same. The last of its matches says when one was there to be found.
        Raises TooMuchError.
        """

        def centres(_correlation: Correlation, rules: Collection[str]) -> set[int]:
            return _times(self._read(rules, "p_event_time", since_us, until_us - 1))

        def observed(members: Sequence[Mapping[str, Any]]) -> int:
            return max(to_us(each["p_parse_time"]) for each in members)

        return self._find(rule, revision, others, centres, now_us, observed, sources, told)

    def _find(
        self,
        rule: CorrelationRule,
        revision: str,
        others: Collection[str],
        centres: Callable[[Correlation, Collection[str]], set[int]],
        now_us: int,
        observed: Callable[[Sequence[Mapping[str, Any]]], int],
        sources: Mapping[str, str],
        told: Sequence[set[str]],
    ) -> tuple[Judged, Found]:
        until = self.monotonic() + _MOST_SECONDS
        by = JudgedBy(about=rule.about, revision=revision, on_schedule=True)
        found = dict[str, tuple[Together, list[dict[str, Any]]]]()
        for correlation, mine in zip(rule.correlations, told, strict=True):
            rules = {step.rule for step in correlation.steps}.difference(others)
            around = sorted(centres(correlation, rules))
            for together, members in self._around(correlation, rules, around, now_us, until, mine):
                found.setdefault(digest("members", *sorted(each["p_row_id"] for each in members)), (together, members))
        events, rows, matches = list[Event](), list[dict[str, Any]](), list[Match]()
        pages = self._pages(members for _, members in found.values())
        for name, (together, members) in found.items():
            last = members[-1]
            if last["p_source_id"] not in sources:
                continue
            event = Event(
                row_id=name,
                log_type=last["p_log_type"] or "",
                source_id=last["p_source_id"],
                source_label=sources[last["p_source_id"]],
                event_us=to_us(last["p_event_time"]),
                # What was complete before its source was set up is history, as each of its matches is.
                version_us=to_us(last["p_event_time"]),
                observed_us=observed(members),
                link=next((pages[row] for row in map(_event_row, reversed(members)) if row in pages), None),
            )
            events.append(event)
            rows.append(_indicators(members))
            matches.append(Match(rule=by, event=event, verdict=_verdict(rule, together, members)))
        judged = Judged(events=events, rules={rule.id: by}, matches=matches)
        return judged, Found(plain=rows, events=events, rows=match_source(events, rows))

    def _around(
        self,
        correlation: Correlation,
        rules: Collection[str],
        centres: Sequence[int],
        now_us: int,
        until: float,
        told: set[str],
    ) -> Iterable[tuple[Together, list[dict[str, Any]]]]:
        window_us = correlation.lookback_minutes * 60 * _SECOND_US
        if not centres:
            return
        matches = dict[str, dict[str, Any]]()
        for low, high in _spans(centres, 2 * window_us):
            read = self._read(rules, "p_event_time", low, high)
            if len(matches) + read.num_rows > _MOST_ROWS:
                raise TooMuchError(
                    f"more than {_MOST_ROWS:,} matches of its rules lie around {len(centres):,} new ones"
                )
            matches |= {row["p_row_id"]: row for row in read.to_pylist()}
        steps = self._step_matches(correlation, matches)
        around = f"{len(matches):,} matches of its rules lie around {len(centres):,} new ones: "

        def check(held: int) -> None:
            if self.monotonic() > until:
                raise TooMuchError(f"{around}looking for what belongs together took more than {_MOST_SECONDS:g} s")
            if held > _MOST_HELD:
                raise TooMuchError(f"{around}more of them belong together than a run can hold")

        for centre in centres:
            check(0)
            near = steps.around(centre, window_us, told)
            if near is None:
                continue
            for together in correlate(correlation, near, now=now_us / _SECOND_US, check=check):
                members = [matches[name] for name in dict.fromkeys(one.id for one in together.members)]
                told |= {each["p_row_id"] for each in members}
                yield together, members

    def _read(self, rules: Collection[str], by: str, since_us: int, until_us: int | None = None) -> pa.Table:
        found = self.lake.matches(rules, by, since_us=since_us, until_us=until_us, most_bytes=_MOST_BYTES)
        if found.nbytes > _MOST_BYTES:
            raise TooMuchError(f"the matches of its rules are larger than {_MOST_BYTES:,} bytes")
        return found

    def _step_matches(self, correlation: Correlation, matches: Mapping[str, dict[str, Any]]) -> "_Steps":
        wanted = _paths(correlation)
        for text in {text for texts in wanted.values() for text in texts}:
            self.paths.setdefault(text, parse_path(text))
        by_rule = dict[str, list[dict[str, Any]]]()
        for row in matches.values():
            by_rule.setdefault(row["rule_id"], []).append(row)
        records = self._records(matches.values(), {text for texts in wanted.values() for text in texts})
        found = dict[str, list[tuple[int, StepMatch]]]()
        for step in correlation.steps:
            mine = [
                (
                    to_us(row["p_event_time"]),
                    StepMatch(
                        step=step.id,
                        at=to_us(row["p_event_time"]) / _SECOND_US,
                        id=row["p_row_id"],
                        values={
                            text: self._values(text, records.get(row["event_row_id"]), row)
                            for text in wanted.get(step.id, ())
                        },
                    ),
                )
                for row in by_rule.get(step.rule, ())
            ]
            found[step.id] = sorted(mine, key=lambda each: (each[0], each[1].id))
        return _Steps(correlation, found)

    def _records(self, rows: Iterable[Mapping[str, Any]], texts: Collection[str]) -> dict[str, dict[str, Any]]:
        """Return the columns of the events that paths begin with, by p_row_id."""
        heads = {text.removeprefix("$.").split(".")[0].split("[")[0].lower() for text in texts}
        ids = dict[str, list[str]]()
        for row in rows:
            if row["p_log_type"] and row["event_row_id"]:
                ids.setdefault(table_name(row["p_log_type"]), []).append(row["event_row_id"])
        found = dict[str, dict[str, Any]]()
        for table, some in ids.items():
            if (schema := self.lake.schemas.get(table)) is not None:
                columns = [name for name in schema.names if name.lower() in heads]
                if columns:
                    found |= self.lake.rows(table, some, columns)
        return found

    def _pages(self, every: Iterable[Sequence[Mapping[str, Any]]]) -> dict[str, str]:
        """Return the address of the page of events by p_row_id: of each group, the last of each log type that has any.

        Entries of the audit log have none.
        """
        wanted = dict[str, set[str]]()
        for members in every:
            last = {each["p_log_type"]: each["event_row_id"] for each in members if each["event_row_id"]}
            for log_type, row_id in last.items():
                wanted.setdefault(log_type or "", set()).add(row_id)
        found = dict[str, str]()
        for log_type, row_ids in wanted.items():
            kind = kinds().get(log_type)
            if kind is not None and kind.page is not None:
                records = self.lake.rows(table_name(log_type), row_ids, [kind.page])
                found |= {name: link for name, row in records.items() if (link := link_of(row)) is not None}
        return found

    def _values(self, text: str, record: Mapping[str, Any] | None, row: Mapping[str, Any]) -> frozenset[str]:
        """Return the values at a path: of the event, else of what the match keeps of it, else of its context."""
        for data in (record, row, _parsed(row["alert_context"])):
            if isinstance(data, Mapping):
                read = plain({name: _parsed(each) for name, each in data.items() if each is not None})
                if values := frozenset(_texts(self.paths[text](read))):
                    return values
        return frozenset()


class _Steps(Struct, frozen=True):
    """The matches of each step in order of time."""

    correlation: Correlation
    matches: Mapping[str, Sequence[tuple[int, StepMatch]]]

    def around(self, centre: int, window_us: int, told: Collection[str]) -> list[StepMatch] | None:
        """Return what may belong together with the matches at `centre`; None: nothing that is not told already."""
        wanted = [step for step in self.correlation.steps if not step.absent]
        least = len(wanted) if self.correlation.is_sequence else self.correlation.least_steps or len(wanted)
        near, there = list[StepMatch](), 0
        for step in self.correlation.steps:
            reach = 2 * window_us if step.absent else window_us
            mine = self.matches[step.id]
            low = bisect_left(mine, centre - reach, key=lambda each: each[0])
            high = bisect_right(mine, centre + reach, key=lambda each: each[0])
            near += [each for _, each in mine[low:high]]
            there += not step.absent and high - low >= step.least
        at = centre / _SECOND_US
        here = [each.id for each in near if each.at == at]
        if there < min(least, len(wanted)) or (here and all(name in told for name in here)):
            return None
        return near


def _spans(centres: Sequence[int], reach: int) -> list[tuple[int, int]]:
    """Return the stretches of time that lie within `reach` of any centre; the centres are in order."""
    found = list[tuple[int, int]]()
    for centre in centres:
        if found and centre - reach <= found[-1][1]:
            found[-1] = (found[-1][0], centre + reach)
        else:
            found.append((centre - reach, centre + reach))
    return found


def _paths(correlation: Correlation) -> dict[str, set[str]]:
    """Return which paths count of the matches of each step."""
    found = dict[str, set[str]]()
    for pairs in correlation.criteria.values():
        for step, path in pairs:
            found.setdefault(step, set()).add(path)
    for transition in correlation.transitions:
        for start, end in transition.match:
            found.setdefault(transition.start, set()).add(start)
            found.setdefault(transition.end, set()).add(end)
    return found


def _times(matches: pa.Table) -> set[int]:
    return {to_us(at) for at in matches.column("p_event_time").to_pylist()}


def _event_row(match: Mapping[str, Any]) -> str:
    return match["event_row_id"] or ""


def _parsed(value: Any) -> Any:
    """Return a value of the lake as rules see it: free JSON is kept as text."""
    if isinstance(value, str) and value[:1] in {"{", "["}:
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value
    return value


def _texts(values: Iterable[Any]) -> Iterable[str]:
    for value in values:
        if isinstance(value, list):
            yield from _texts(value)
        elif isinstance(value, str | int | float | bool):
            yield str(value)


def _indicators(members: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return what all members name: so that the search for an address finds what they add up to."""
    names = [name for name in members[0] if name.startswith("p_any_")]
    return {name: sorted({text for each in members for text in each.get(name) or ()}) or None for name in names}


def _verdict(rule: CorrelationRule, together: Together, members: Sequence[Mapping[str, Any]]) -> Verdict:
    about, values = rule.about, sorted(set(together.values.values()))
    named = ", ".join(values)
    return Verdict(
        matched=True,
        title=f"{about.name}: {named}"[:1_000] if named else about.name[:1_000],
        description=about.description,
        reference=about.reference,
        runbook=about.runbook,
        severity=about.severity,
        destinations=about.output_ids or None,
        dedup=f"{about.id}:{named}"[:1_000],
        context={
            "values": dict(together.values),
            "matches": [
                {
                    "match": each["p_row_id"],
                    "rule": each["rule_id"],
                    "title": each["title"],
                    "at": each["p_event_time"].isoformat(),
                    "alert": each["alert_id"],
                }
                for each in members[:MOST_NAMED]
            ],
        },
    )
