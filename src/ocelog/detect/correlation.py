"""Which matches of other rules belong together: groups of them, and sequences.

Times are seconds since some start. Matches count together only if all lie within the lookback window, whichever run of
the schedule would see them. A step of a group or a sequence that must be absent is looked for as far around, or behind,
as the lookback window reaches.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import msgspec
from msgspec import Struct

from ocelog.detect.rule import Correlation, CorrelationTest, Step, Transition


@dataclass(frozen=True, slots=True, kw_only=True)
class StepMatch:
    """A match of the rule of one step."""

    step: str
    at: float
    """Event time, in seconds."""
    id: str
    """No other match of the step has it."""
    values: Mapping[str, frozenset[str]] = field(default_factory=dict, compare=False)
    """Field -> the values there: several, if the field is a list."""


class Found(Struct, frozen=True, kw_only=True):
    """Matches that belong together."""

    members: tuple[StepMatch, ...]
    """In order of time."""
    values: Mapping[str, str] = msgspec.field(default_factory=dict)
    """What they have in common: match criterion, or field, -> value."""


def correlate(
    correlation: Correlation,
    matches: Iterable[StepMatch],
    *,
    now: float | None = None,
    check: Callable[[int], None] = lambda _held: None,
) -> list[Found]:
    """Return what `correlation` finds in `matches`.

    `now`: until when matches have been seen; nothing is said to be absent before its time is over. None: all were seen.
    `check` is called time and again, with how many members are held, and ends it by raising.
    """
    ordered: dict[str, list[StepMatch]] = {step.id: [] for step in correlation.steps}
    for match in sorted(matches, key=lambda one: (one.at, one.id)):
        if match.step in ordered:
            ordered[match.step].append(match)
    if correlation.is_sequence:
        return list(_Sequence(correlation, ordered, now, check).find())
    return list(_find_groups(correlation, ordered, now, check))


def run_test(correlations: Sequence[Correlation], test: CorrelationTest) -> bool:
    """Return whether any of `correlations` finds something in the matches that `test` gives."""
    matches: list[StepMatch] = []
    for output in test.outputs:
        # The same instant under two fields is one match.
        at: dict[float, dict[str, set[str]]] = {}
        for name, values in output.matches.items():
            for value, times in values.items():
                for time in times:
                    at.setdefault(time, {}).setdefault(name, set()).add(value)
        matches += [
            StepMatch(
                step=output.step,
                at=time,
                values={name: frozenset(values) for name, values in fields.items()},
                id=f"{output.step}@{time}",
            )
            for time, fields in at.items()
        ]
    return any(correlate(correlation, matches) for correlation in correlations)


def _find_groups(
    correlation: Correlation, matches: Mapping[str, list[StepMatch]], now: float | None, check: Callable[[int], None]
) -> Iterator[Found]:
    window = 60.0 * correlation.lookback_minutes
    wanted = [step for step in correlation.steps if not step.absent]
    least = min(correlation.least_steps or len(wanted), len(wanted))
    held = 0
    for values, chosen in _by_criteria(list(correlation.criteria.items()), matches, {}):
        check(held)
        if members := _fullest_window(wanted, chosen, least, window):
            first, last = members[0].at, members[-1].at
            if any(step.absent for step in correlation.steps):
                if now is not None and first + window > now:
                    continue
                if any(
                    last - window <= one.at <= first + window
                    for step in correlation.steps
                    if step.absent
                    for one in chosen[step.id]
                ):
                    continue
            held += len(members)
            yield Found(members=tuple(members), values=values)


def _by_criteria(
    criteria: Sequence[tuple[str, tuple[tuple[str, str], ...]]],
    matches: Mapping[str, list[StepMatch]],
    values: Mapping[str, str],
) -> Iterator[tuple[Mapping[str, str], Mapping[str, list[StepMatch]]]]:
    """Yield each choice of a value per criterion, with the matches that have it."""
    if not criteria:
        yield values, matches
        return
    (name, pairs), rest = criteria[0], criteria[1:]
    by_value: dict[str, dict[str, list[StepMatch]]] = {}
    for step, path in pairs:
        for match in matches[step]:
            for value in match.values.get(path, ()):
                by_value.setdefault(value, {}).setdefault(step, []).append(match)
    for value in sorted(by_value):
        chosen = {**matches, **{step: by_value[value].get(step, []) for step, _ in pairs}}
        yield from _by_criteria(rest, chosen, {**values, name: value})


def _fullest_window(
    steps: Sequence[Step], matches: Mapping[str, list[StepMatch]], least: int, window: float
) -> list[StepMatch]:
    """Return the matches of the first window, as it moves on, in which at least `least` of `steps` are there."""
    times = {step.id: [one.at for one in matches[step.id]] for step in steps}
    for start in sorted({at for each in times.values() for at in each}):
        spans: list[tuple[str, int, int]] = []
        for step in steps:
            low = bisect_left(times[step.id], start)
            high = bisect_right(times[step.id], start + window)
            if high - low >= step.least:
                spans.append((step.id, low, high))
        if len(spans) >= least:
            inside = [one for step_id, low, high in spans for one in matches[step_id][low:high]]
            return sorted(inside, key=lambda one: (one.at, one.id))
    return []


class _Chain(Struct, frozen=True):
    """A match, and the matches of earlier steps that lead to it."""

    match: StepMatch
    before: frozenset[StepMatch]
    first: float


class _Buckets:
    """Chains by the value that the first pair of fields of a transition joins them by, each in order of time."""

    def __init__(self, transition: Transition | None, chains: list[_Chain]) -> None:
        self._pair = transition.match[0] if transition and transition.match else None
        self._chains: dict[str, list[_Chain]] = {}
        for chain in chains:
            for key in chain.match.values.get(self._pair[0], ()) if self._pair else [""]:
                self._chains.setdefault(key, []).append(chain)
        self._times = {key: [one.match.at for one in each] for key, each in self._chains.items()}

    def before(self, match: StepMatch, within: float) -> Iterator[list[_Chain]]:
        """Yield, for each value that `match` has, the chains that have it too and end at most `within` before it."""
        for key in sorted(match.values.get(self._pair[1], ())) if self._pair else [""]:
            if (times := self._times.get(key)) is not None:
                yield self._chains[key][bisect_left(times, match.at - within) : bisect_right(times, match.at)]


class _Sequence:
    """Follows a sequence from step to step: which matches of each have what they need before them."""

    def __init__(
        self,
        correlation: Correlation,
        matches: Mapping[str, list[StepMatch]],
        now: float | None,
        check: Callable[[int], None],
    ) -> None:
        self._matches = matches
        self._check = check
        self._held = 0
        """Members of all chains and findings so far."""
        self._times = {step: [one.at for one in each] for step, each in matches.items()}
        self._now = now
        self._lookback = 60.0 * correlation.lookback_minutes
        self._steps = correlation.steps
        self._transitions = correlation.transitions
        self._wanted = [step for step in correlation.steps if not step.absent]

    def find(self) -> Iterator[Found]:
        first, last = self._wanted[0], self._wanted[-1]
        chains = [_Chain(one, frozenset((one,)), one.at) for one in self._matches[first.id]]
        for absent in self._absent(None, first):
            transition = self._transition(absent.id, first.id)
            chains = [one for one in chains if not self._is_there(absent, transition, None, one.match)]
        for start, end in pairwise(self._wanted):
            chains = self._next(start, end, chains)
        for absent in self._absent(last, None):
            chains = [one for one in chains if self._is_absent_after(absent, last, one)]
        repeated = self._transition(last.id, last.id)
        into = repeated or next((one for one in self._transitions if one.end == last.id), None)
        yield from self._enough(last, chains, into, repeated)

    def _absent(self, after: Step | None, before: Step | None) -> list[Step]:
        """Return the steps between two that are wanted, all of which must be absent."""
        low = self._steps.index(after) + 1 if after else 0
        high = self._steps.index(before) if before else len(self._steps)
        return list(self._steps[low:high])

    def _transition(self, start: str, end: str) -> Transition | None:
        return next((one for one in self._transitions if (one.start, one.end) == (start, end)), None)

    def _joined(self, start: Step, end: Step) -> Transition | None:
        """Return the transition between two steps, also if it is given by way of one that must be absent."""
        if (direct := self._transition(start.id, end.id)) is not None:
            return direct
        for absent in self._absent(start, end):
            there, back = self._transition(start.id, absent.id), self._transition(absent.id, end.id)
            if there and back:
                minutes = [one.within_minutes for one in (there, back) if one.within_minutes is not None]
                return Transition(
                    id="",
                    start=start.id,
                    end=end.id,
                    within_minutes=sum(minutes) if len(minutes) == 2 else None,
                    match=tuple(
                        (one, other) for one, via in there.match for again, other in back.match if via == again
                    ),
                )
        return None

    def _next(self, start: Step, end: Step, chains: list[_Chain]) -> list[_Chain]:
        """Return the matches of `end` that have enough matches of `start` before them, within the time frame."""
        transition = self._joined(start, end)
        within = self._within(transition)
        others = [one for one in self._transitions if one.end == end.id and one.start not in {start.id, end.id}]
        others = [one for one in others if any(step.id == one.start for step in self._wanted)]
        absent = self._absent(start, end)
        buckets = _Buckets(transition, chains)
        found: list[_Chain] = []
        for match in self._matches[end.id]:
            # Those before must have one value in common, not each another one of this match's.
            for bucket in buckets.before(match, within):
                group = [
                    one
                    for one in bucket
                    if match.at - one.first <= self._lookback
                    and _agree(transition, one.match, match)
                    and all(self._follows(other, one, match) for other in others)
                    and not any(
                        self._is_there(each, self._transition(start.id, each.id), one.match, match) for each in absent
                    )
                ]
                self._check(self._held)
                if len(group) >= start.least:
                    members = frozenset(one for chain in group for one in chain.before) | {match}
                    self._held += len(members)
                    found.append(_Chain(match, members, min(chain.first for chain in group)))
                    break
        return found

    def _follows(self, transition: Transition, chain: _Chain, match: StepMatch) -> bool:
        within = self._within(transition)
        starts = (one for one in chain.before if one.step == transition.start)
        return any(0 <= match.at - one.at <= within and _agree(transition, one, match) for one in starts)

    def _is_there(self, absent: Step, transition: Transition | None, start: StepMatch | None, end: StepMatch) -> bool:
        """Whether a step that must be absent has a match between two, or, without a start, before one."""
        if start is not None:
            return any(_agree(transition, start, one) for one in self._between(absent, start.at, end.at))
        low = end.at - self._within(transition)
        return any(_agree(transition, one, end) for one in self._between(absent, low, end.at))

    def _between(self, step: Step, low: float, high: float) -> list[StepMatch]:
        times = self._times[step.id]
        return self._matches[step.id][bisect_left(times, low) : bisect_right(times, high)]

    def _is_absent_after(self, absent: Step, last: Step, chain: _Chain) -> bool:
        transition = next((one for one in self._transitions if one.end == absent.id), None)
        within = self._within(transition)
        name = transition.start if transition else last.id
        starts = [one for one in chain.before if one.step == name]
        if self._now is not None and any(one.at + within > self._now for one in starts):
            return False
        return not any(
            _agree(transition, start, one)
            for start in starts
            for one in self._between(absent, start.at, start.at + within)
        )

    def _enough(
        self, last: Step, chains: list[_Chain], into: Transition | None, repeated: Transition | None
    ) -> Iterator[Found]:
        """Yield the matches of the last step that are enough, and what leads to them, per value they have in common."""
        window = self._within(repeated) if repeated else self._lookback
        by_value: dict[str, list[_Chain]] = {}
        for chain in chains:
            keys = sorted(chain.match.values.get(into.match[0][1], ())) if into and into.match else [""]
            for key in keys:
                by_value.setdefault(key, []).append(chain)
        told: set[frozenset[StepMatch]] = set()
        for key in sorted(by_value):
            group = by_value[key]
            times = [one.match.at for one in group]
            for at, start in enumerate(times):
                inside = group[at : bisect_right(times, start + window)]
                self._check(self._held)
                if len(inside) >= last.least:
                    members = frozenset(one for each in inside for one in each.before)
                    if members not in told:
                        self._held += len(members)
                        told.add(members)
                        ordered = sorted(members, key=lambda one: (one.at, one.id))
                        name = into.match[0][1] if into and into.match else ""
                        yield Found(members=tuple(ordered), values={name: key} if name else {})
                    break

    def _within(self, transition: Transition | None) -> float:
        minutes = transition.within_minutes if transition else None
        return 60.0 * minutes if minutes is not None else self._lookback


def _agree(transition: Transition | None, start: StepMatch, end: StepMatch) -> bool:
    """Whether two matches have a value in common in each pair of fields that the transition names."""
    if transition is None:
        return True
    empty = frozenset[str]()
    return all(start.values.get(one, empty) & end.values.get(other, empty) for one, other in transition.match)
