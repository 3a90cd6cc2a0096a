"""What correlation rules find in the matches of other rules, around each match that is new.

A match may land long after its event: a tenant was not reachable, or a backfill reads the past. So a run looks at the
range of event time around each match that has landed since the run before, not at the last minutes.
"""

import json
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import msgspec
import pyarrow as pa
from msgspec import Struct
from msgspec.structs import replace

from ocelog.alert.judged import TOO_MUCH, Event, JudgedBy, Judgement, Match, RuleError
from ocelog.app.log_types import kinds
from ocelog.app.loops.scheduled_rows import RunRows, digest, link_of, match_source, plain
from ocelog.detect.correlation import CorrelatedMatches, StepMatch, correlate, may_hold, split
from ocelog.detect.evaluate import Verdict
from ocelog.detect.paths import Path, parse_path
from ocelog.detect.rule import Correlation, CorrelationRule
from ocelog.model import table_name
from ocelog.times import to_us

_SECOND_US = 1_000_000
_OVERLAP_US = 900 * _SECOND_US
"""A match carries when it was judged, and lands some time after: so much is looked at again. It finds nothing twice."""
_MOST_SECONDS = 60.0
_MOST_ROWS = 100_000
"""Matches that a run looks at: about 1 kB each."""
_MOST_BYTES = 64 << 20
"""Of matches that are read at a time."""
_MOST_HELD = 500_000
"""Members of what belongs together, each as often as it is in something: about 40 MB."""
_COLUMNS = (
    *("p_row_id", "event_row_id", "rule_id", "title", "alert_id"),
    *("p_log_type", "p_source_id", "p_event_time", "p_parse_time"),
)
"""What is kept of a match, besides its p_any_ columns."""
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


class _Bounds(Struct):
    """What a run may take, and what it left out since that was not enough."""

    until: float
    monotonic: Callable[[], float]
    held: int = 0
    """Members of all that was found by now."""
    why: str = ""
    """Why something was left out."""
    left: dict[str, Event] = msgspec.field(default_factory=dict)
    """New matches that were not looked at, or not with all that is around them, by p_row_id."""

    def check(self, held: int) -> None:
        """Raise TooMuchError if the time is up, or more is held than may be."""
        if self.monotonic() > self.until:
            raise TooMuchError(f"looking for what belongs together took more than {_MOST_SECONDS:g} s")
        if self.held + held > _MOST_HELD:
            raise TooMuchError("more of them belong together than a run can hold")


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
    ) -> tuple[Judgement, RunRows]:
        """Return what `rule` finds around the matches that have landed since `fired_us`.

        `others` are the correlation rules that there are: what they found is none of the matches that a rule looks at,
        or it would find what it found itself. Nor are those of other sources than `sources`. If there is more to look
        at than a run can, it looks at the newest first, and an error says of which matches nothing is known. Raises
        TooMuchError if it cannot tell even that.
        """
        bounds = self._bounds()

        def centres(correlation: Correlation, rules: Collection[str]) -> set[int]:
            new = self._times(rules, "p_parse_time", fired_us - _OVERLAP_US, None, now_us, bounds)
            if any(step.absent for step in correlation.steps):
                # What was too early to be called absent may be so by now.
                since = fired_us - 2 * correlation.lookback_minutes * 60 * _SECOND_US - _OVERLAP_US
                new |= self._times(rules, "p_event_time", since, now_us, now_us, bounds)
            return new

        told: Sequence[set[str]] = [set() for _ in rule.correlations]
        said, found = self._find(rule, revision, others, centres, now_us, lambda _: now_us, sources, told, bounds)
        if not bounds.left:
            return said, found
        error = RuleError(
            rule=said.rules[rule.id], type=TOO_MUCH, message=bounds.why, events=list(bounds.left.values())
        )
        return replace(said, errors=[error]), found

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
    ) -> tuple[Judgement, RunRows]:
        """Return what `rule` finds around the matches of events of [since, until), whenever they landed.

        `told` is, of each correlation of the rule, which matches are in something that was found: whoever looks at one
        time range after the other hands on the same. The last of its matches says when one was there to be found.
        Raises TooMuchError if there is more than it can look at.
        """
        bounds = self._bounds()

        def centres(_correlation: Correlation, rules: Collection[str]) -> set[int]:
            return self._times(rules, "p_event_time", since_us, until_us - 1, now_us, bounds)

        def observed(members: Sequence[Mapping[str, Any]]) -> int:
            return max(to_us(each["p_parse_time"]) for each in members)

        said, found = self._find(rule, revision, others, centres, now_us, observed, sources, told, bounds)
        if bounds.left:
            raise TooMuchError(bounds.why)
        return said, found

    def _bounds(self) -> _Bounds:
        return _Bounds(until=self.monotonic() + _MOST_SECONDS, monotonic=self.monotonic)

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
        bounds: _Bounds,
    ) -> tuple[Judgement, RunRows]:
        by = JudgedBy(about=rule.about, revision=revision, on_schedule=True)
        found = dict[str, tuple[CorrelatedMatches, list[dict[str, Any]]]]()
        for correlation, mine in zip(rule.correlations, told, strict=True):
            rules = {step.rule for step in correlation.steps}.difference(others)
            around = sorted(centres(correlation, rules))
            for together, members in self._around(correlation, rules, around, now_us, mine, sources, bounds):
                found.setdefault(digest("members", *sorted(each["p_row_id"] for each in members)), (together, members))
        events, rows, matches = list[Event](), list[dict[str, Any]](), list[Match]()
        pages = self._pages(members for _, members in found.values())
        for name, (together, members) in found.items():
            last = members[-1]
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
        named = {each["p_source_id"] for _, members in found.values() for each in members}
        judged = Judgement(events=events, rules={rule.id: by}, matches=matches, names_sources=named)
        return judged, RunRows(plain=rows, events=events, rows=match_source(events, rows))

    def _around(
        self,
        correlation: Correlation,
        rules: Collection[str],
        centres: Sequence[int],
        now_us: int,
        told: set[str],
        sources: Collection[str],
        bounds: _Bounds,
    ) -> Iterable[tuple[CorrelatedMatches, list[dict[str, Any]]]]:
        """Yield what belongs together with the matches at `centres`: those that may have something in common together.

        Of these, those with the newest matches come first.
        """
        if not centres:
            return
        # Each finding reaches over two windows from any of its matches, and looks one further for what must be absent.
        reach = (3 if any(step.absent for step in correlation.steps) else 2) * correlation.lookback_minutes * 60
        rows, steps, whole_us = self._near(correlation, rules, _spans(centres, reach * _SECOND_US), sources, bounds)
        wanted = set(centres)
        new = {name for name, row in rows.items() if to_us(row["p_event_time"]) in wanted and name not in told}
        if whole_us is not None:
            cut = {name for name in new if to_us(rows[name]["p_event_time"]) < whole_us + reach * _SECOND_US}
            bounds.left |= {name: _left(rows[name]) for name in cut}
            unread = {at for at in wanted if at < whole_us}.difference(
                to_us(rows[name]["p_event_time"]) for name in cut
            )
            bounds.left |= {name: _left_at(name, at) for at in unread for name in [digest("unread", str(at))]}
            if any(step.absent for step in correlation.steps):
                # What was not read may be what must be absent.
                new -= cut
        groups = list[tuple[float, list[StepMatch]]]()
        for group in split(correlation, steps):
            newest = max((one.at for one in group if one.id in new), default=None)
            if newest is not None and may_hold(correlation, group):
                groups.append((newest, group))
        groups.sort(key=lambda each: each[0], reverse=True)
        for at, (_, group) in enumerate(groups):
            held = 0
            try:
                bounds.check(0)
                for together in correlate(correlation, group, new=new, now=now_us / _SECOND_US, check=bounds.check):
                    members = [rows[name] for name in dict.fromkeys(one.id for one in together.members)]
                    held += len(members)
                    told |= {each["p_row_id"] for each in members}
                    yield together, members
            except TooMuchError as error:
                left = {one.id for _, each in groups[at:] for one in each if one.id in new and one.id not in told}
                bounds.left |= {name: _left(rows[name]) for name in left}
                bounds.why = f"{len(rows):,} matches of its rules lie around {len(centres):,} new ones: {error}"
                return
            bounds.held += held

    def _near(
        self,
        correlation: Correlation,
        rules: Collection[str],
        spans: Sequence[tuple[int, int]],
        sources: Collection[str],
        bounds: _Bounds,
    ) -> tuple[dict[str, dict[str, Any]], list[StepMatch], int | None]:
        """Return the matches in some time ranges, the newest first, as long as they are not too many.

        The last is since when all were read, if some were left out.
        """
        rows, steps = dict[str, dict[str, Any]](), list[StepMatch]()
        whole_us = spans[-1][1] + 1
        for low, high in reversed(spans):
            for table, since_us in self._pieces(rules, "p_event_time", low, high, high, bounds):
                if table is None:
                    return rows, steps, since_us
                room = _MOST_ROWS - len(rows)
                if is_cut := table.num_rows > room:
                    table = table.sort_by([("p_event_time", "descending")]).slice(0, room)  # noqa: PLW2901 - its newest
                read = {row["p_row_id"]: row for row in table.to_pylist()}
                there = {name: row for name, row in read.items() if row["p_source_id"] in sources}
                steps += self._step_matches(correlation, there)
                rows |= {name: _kept(row) for name, row in there.items()}
                if is_cut:
                    bounds.why = f"more than {_MOST_ROWS:,} matches of its rules lie around the new ones"
                    # Of the last instant there may be more.
                    oldest = min((to_us(row["p_event_time"]) + 1 for row in read.values()), default=whole_us)
                    return rows, steps, oldest
                whole_us = since_us
        return rows, steps, None

    def _pieces(
        self, rules: Collection[str], by: str, since_us: int, until_us: int | None, latest_us: int, bounds: _Bounds
    ) -> Iterator[tuple[pa.Table | None, int]]:
        """Yield the matches of a time range in pieces that can be held, the newest first, and since when each is.

        The last may be none, if the time is up or one instant has too many: then none is from before its instant.
        """
        left: list[tuple[int, int | None]] = [(since_us, until_us)]
        while left:
            since, until = left.pop()
            if self.monotonic() > bounds.until:
                bounds.why = f"reading the matches of its rules took more than {_MOST_SECONDS:g} s"
                yield None, (latest_us if until is None else until) + 1
                return
            found = self.lake.matches(rules, by, since_us=since, until_us=until, most_bytes=_MOST_BYTES)
            if found.nbytes <= _MOST_BYTES:
                yield found, since
                continue
            last = max(latest_us, since) if until is None else until
            if last <= since:
                bounds.why = f"the matches of its rules of one instant are larger than {_MOST_BYTES:,} bytes"
                yield None, since + 1
                return
            middle = (since + last) // 2
            left += [(since, middle), (middle + 1, until)]

    def _times(
        self,
        rules: Collection[str],
        by: str,
        since_us: int,
        until_us: int | None,
        latest_us: int,
        bounds: _Bounds,
    ) -> set[int]:
        """Return when the events were of the matches of a time range. Raises TooMuchError."""
        found = set[int]()
        for table, _ in self._pieces(rules, by, since_us, until_us, latest_us, bounds):
            if table is None:
                raise TooMuchError(bounds.why)
            found |= {to_us(at) for at in table.column("p_event_time").to_pylist()}
        return found

    def _step_matches(self, correlation: Correlation, matches: Mapping[str, dict[str, Any]]) -> list[StepMatch]:
        wanted = _paths(correlation)
        every = {text for texts in wanted.values() for text in texts}
        for text in every:
            self.paths.setdefault(text, parse_path(text))
        by_rule = dict[str, list[dict[str, Any]]]()
        for row in matches.values():
            by_rule.setdefault(row["rule_id"], []).append(row)
        records = self._records(matches.values(), every)
        return [
            StepMatch(
                step=step.id,
                at=to_us(row["p_event_time"]) / _SECOND_US,
                id=row["p_row_id"],
                values={
                    text: self._values(text, records.get(row["event_row_id"]), row) for text in wanted.get(step.id, ())
                },
            )
            for step in correlation.steps
            for row in by_rule.get(step.rule, ())
        ]

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
        """Return the values at a path: of the event, else of what the match keeps of it, else of its context.

        Rules for Panther name the context as `p_alert_context.NAME`.
        """
        context = _parsed(row["alert_context"])
        for data in (record, row, {"p_alert_context": context}, context):
            if isinstance(data, Mapping):
                read = {name: _parsed(each) for name, each in data.items() if each is not None}
                if values := frozenset(_texts(self.paths[text](read))):
                    return values
        return frozenset()


def _spans(centres: Sequence[int], reach: int) -> list[tuple[int, int]]:
    """Return the time ranges that lie within `reach` of any centre; the centres are in order."""
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


def _kept(match: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is needed of a match once it is known what its steps say: its context may be long."""
    return {
        name: value
        for name, value in match.items()
        if name in _COLUMNS or (name.startswith("p_any_") and value is not None)
    }


def _left(match: Mapping[str, Any]) -> Event:
    return _left_at(match["p_row_id"], to_us(match["p_event_time"]))


def _left_at(name: str, at_us: int) -> Event:
    """Return what stands for a match that was not looked at. It is of no source, as the run is that left it out."""
    return Event(
        row_id=name,
        log_type="",
        source_id="",
        source_label="",
        event_us=at_us,
        version_us=at_us,
        observed_us=at_us,
    )


def _event_row(match: Mapping[str, Any]) -> str:
    return match["event_row_id"] or ""


def _parsed(value: Any) -> Any:
    """Return a value of the lake as rules see it: free JSON is kept as text.

    Any text of an event may look like JSON. What no rule could read, as it is nested too deep, stays text.
    """
    try:
        is_json = isinstance(value, str) and value[:1] in {"{", "["}
        return plain({"": json.loads(value) if is_json else value})[""]
    except (ValueError, RecursionError):
        return value if isinstance(value, str) else None


def _texts(values: Iterable[Any]) -> Iterable[str]:
    for value in values:
        if isinstance(value, list):
            yield from _texts(value)
        elif isinstance(value, str | int | float | bool):
            yield str(value)


def _indicators(members: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return what all members name: so that the search for an address finds what they add up to."""
    names = sorted({name for each in members for name in each if name.startswith("p_any_")})
    return {name: sorted({text for each in members for text in each.get(name) or ()}) or None for name in names}


def _verdict(rule: CorrelationRule, together: CorrelatedMatches, members: Sequence[Mapping[str, Any]]) -> Verdict:
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
