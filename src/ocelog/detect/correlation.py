"""Which matches of other rules belong together: groups of them, and sequences.

Times are seconds since some start. Matches count together only if all lie within the lookback window, whichever run of
the schedule would see them. A step of a group or a sequence that must be absent is looked for as far around, or behind,
as the lookback window reaches.
"""

import math
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, pairwise, product
from typing import TypeAlias

import msgspec
from msgspec import Struct

from ocelog.detect.rule import Correlation, CorrelationStep, CorrelationTest, Transition

_MOST_KEYS = 64
"""Combinations of values by which one match may be looked up."""
_Links: TypeAlias = list[list[tuple[str, str]]]
"""Sets of (step, field): what belongs together has a value in common there."""
_Window: TypeAlias = Mapping[str, tuple[int, int]]
"""Step -> which of its matches are in it, from the first to before the last."""


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


class CorrelatedMatches(Struct, frozen=True, kw_only=True):
    """Matches that belong together."""

    members: tuple[StepMatch, ...]
    """In order of time."""
    values: Mapping[str, str] = msgspec.field(default_factory=dict)
    """What they have in common: match criterion, or field, -> value."""


def correlate(
    correlation: Correlation,
    matches: Iterable[StepMatch],
    *,
    new: Container[str] | None = None,
    now: float | None = None,
    check: Callable[[int], None] = lambda _held: None,
) -> Iterator[CorrelatedMatches]:
    """Yield what `correlation` finds in `matches`.

    Each match that belongs to a finding is in at least one finding; few are in two.

    `new` are the ids of those that matter: what holds none of them is left out. None: all do.
    `now`: until when matches have been seen; nothing is said to be absent before its time is over. None: all were seen.
    `check` is called time and again, with how many members are held, and ends it by raising.
    """
    ordered: dict[str, list[StepMatch]] = {step.id: [] for step in correlation.steps}
    for match in sorted(matches, key=lambda one: (one.at, one.id)):
        if match.step in ordered:
            ordered[match.step].append(match)
    if correlation.is_sequence:
        yield from _Sequence(correlation, ordered, new, now, check).find()
    else:
        yield from _find_groups(correlation, ordered, new, now, check)


def split(correlation: Correlation, matches: Sequence[StepMatch]) -> list[list[StepMatch]]:
    """Return the matches in sets such that nothing belongs together with what is in another: those of one user, say.

    They can be searched one by one, and most hold too little to be searched at all.
    """
    links = _sequence_links(correlation) if correlation.is_sequence else _group_links(correlation)
    if links is None:
        return [list(matches)]
    root = list(range(len(matches)))

    def find(at: int) -> int:
        while root[at] != at:
            root[at] = root[root[at]]
            at = root[at]
        return at

    paths: dict[str, list[tuple[int, str]]] = {}
    for link, pairs in enumerate(links):
        for step, path in pairs:
            paths.setdefault(step, []).append((link, path))
    having: dict[tuple[int, str], int] = {}
    for at, match in enumerate(matches):
        for link, path in paths.get(match.step, ()):
            for value in match.values.get(path, ()):
                root[find(at)] = find(having.setdefault((link, value), at))
    found: dict[int, list[StepMatch]] = {}
    for at, match in enumerate(matches):
        found.setdefault(find(at), []).append(match)
    return list(found.values())


def may_hold(correlation: Correlation, matches: Iterable[StepMatch]) -> bool:
    """Return whether enough steps have enough matches, wherever these lie."""
    count = Counter(match.step for match in matches)
    wanted = [step for step in correlation.steps if not step.absent]
    return sum(count[step.id] >= step.least for step in wanted) >= _least(correlation, wanted)


def steps_in_vain(correlation: Correlation, seeing: Container[str]) -> tuple[str, ...]:
    """Return the rules that are missing if only those in `seeing` can match; none if something may be found."""
    wanted = [step for step in correlation.steps if not step.absent]
    missing = tuple(step.rule for step in wanted if step.rule not in seeing)
    return missing if len(wanted) - len(missing) < _least(correlation, wanted) else ()


def _least(correlation: Correlation, wanted: Sequence[CorrelationStep]) -> int:
    return len(wanted) if correlation.is_sequence else min(correlation.least_steps or len(wanted), len(wanted))


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
    return any(any(True for _ in correlate(correlation, matches)) for correlation in correlations)


def _group_links(correlation: Correlation) -> _Links | None:
    """Return what parts the matches of a group; None: anything may belong together."""
    every = {step.id for step in correlation.steps}
    whole = (pairs for pairs in correlation.criteria.values() if every <= {step for step, _ in pairs})
    return next(([list(pairs)] for pairs in whole), None)


def _sequence_links(correlation: Correlation) -> _Links | None:
    """Return what parts the matches of a sequence; None: anything may belong together."""
    found: _Links = []
    for transition in _Course(correlation).joins():
        if transition is None or not transition.match:
            return None
        start, end = transition.match[0]
        found.append([(transition.start, start), (transition.end, end)])
    return found


def _covering(
    windows: Iterable[_Window], times: Mapping[str, Sequence[float]], new: Mapping[str, Sequence[int]]
) -> Iterator[_Window]:
    """Yield as many of `windows`, which move on, as it takes to have each that is `new` and in any of them.

    Of those that have the first that is left, the last one is taken: so each match is in two that are taken, or few
    more, however many lie close together.
    """
    taken = dict.fromkeys(times, 0)

    def first_left(window: _Window) -> tuple[str, int] | None:
        left = []
        for step, (low, high) in window.items():
            at = bisect_left(new[step], max(low, taken[step]))
            if at < len(new[step]) and new[step][at] < high:
                left.append((times[step][new[step][at]], step, new[step][at]))
        return min(left)[1:] if left else None

    pending: tuple[_Window, tuple[str, int]] | None = None
    for window in windows:
        if pending is not None:
            step, at = pending[1]
            low, high = window.get(step, (0, 0))
            if low <= at < high:
                pending = window, (step, at)
                continue
            taken |= {name: span[1] for name, span in pending[0].items()}
            yield pending[0]
        target = first_left(window)
        pending = None if target is None else (window, target)
    if pending is not None:
        yield pending[0]


def _find_groups(
    correlation: Correlation,
    matches: Mapping[str, list[StepMatch]],
    new: Container[str] | None,
    now: float | None,
    check: Callable[[int], None],
) -> Iterator[CorrelatedMatches]:
    window = 60.0 * correlation.lookback_minutes
    wanted = [step for step in correlation.steps if not step.absent]
    absent = [step for step in correlation.steps if step.absent]
    least = _least(correlation, wanted)
    held = 0
    for values, chosen in _by_criteria(list(correlation.criteria.items()), matches, {}):
        check(held)
        times = {step.id: [one.at for one in chosen[step.id]] for step in correlation.steps}
        news = {
            step.id: [at for at, one in enumerate(chosen[step.id]) if new is None or one.id in new] for step in wanted
        }

        def nothing_absent_occurs(spans: _Window, times: Mapping[str, Sequence[float]] = times) -> bool:
            """Whether no step that must be absent has a match near those of `spans`."""
            if not absent:
                return True
            first = min(times[step][low] for step, (low, _) in spans.items())
            last = max(times[step][high - 1] for step, (_, high) in spans.items())
            return (now is None or first + window <= now) and not any(
                bisect_left(times[step.id], last - window) < bisect_right(times[step.id], first + window)
                for step in absent
            )

        some = {step.id: times[step.id] for step in wanted}
        for spans in _covering(filter(nothing_absent_occurs, _windows(wanted, some, least, window)), some, news):
            check(held)
            members = [one for step, (low, high) in spans.items() for one in chosen[step][low:high]]
            held += len(members)
            check(held)
            yield CorrelatedMatches(members=tuple(sorted(members, key=lambda one: (one.at, one.id))), values=values)


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


def _windows(
    steps: Sequence[CorrelationStep], times: Mapping[str, Sequence[float]], least: int, window: float
) -> Iterator[_Window]:
    """Yield each window, as it moves on from match to match, in which at least `least` of `steps` are there."""
    low, high = dict.fromkeys(times, 0), dict.fromkeys(times, 0)
    for start in sorted({at for each in times.values() for at in each}):
        spans: dict[str, tuple[int, int]] = {}
        for step in steps:
            mine = times[step.id]
            low[step.id] = bisect_left(mine, start, low[step.id])
            high[step.id] = bisect_right(mine, start + window, high[step.id])
            if high[step.id] - low[step.id] >= step.least:
                spans[step.id] = (low[step.id], high[step.id])
        if len(spans) >= least:
            yield spans


class _Chain(Struct, frozen=True, eq=False):
    """A match, and the chains of the step before that lead to it: those of `bucket` from `low` to before `high`."""

    match: StepMatch
    first: float
    new: bool
    """Whether any match in it is new."""
    invalidated: bool
    """Whether something comes after a match in it that must not come."""
    bucket: Sequence["_Chain"] = ()
    low: int = 0
    high: int = 0


def _members(chains: Iterable[_Chain]) -> set[StepMatch]:
    """Return all matches of some chains: each chain is looked at once, however many it leads to."""
    found: set[StepMatch] = set()
    while chains := list(chains):
        found.update(one.match for one in chains)
        spans: dict[int, tuple[Sequence[_Chain], list[tuple[int, int]]]] = {}
        for one in chains:
            if one.bucket:
                spans.setdefault(id(one.bucket), (one.bucket, []))[1].append((one.low, one.high))
        before: dict[int, _Chain] = {}
        for bucket, each in spans.values():
            done = 0
            for low, high in sorted(each):
                before |= {id(one): one for one in bucket[max(low, done) : high]}
                done = max(done, high)
        chains = before.values()
    return found


class _Bucket:
    """Chains with a value in common, in order of time."""

    def __init__(self) -> None:
        self.chains: list[_Chain] = []
        self.ends: list[float] = []
        """For each chain: the instant at which a step that must be absent follows it."""
        self.firsts: list[float] = []
        self.times: list[float] = []
        self._news: list[int] = [0]
        self._invalidated: list[int] = [0]
        self.is_ordered = True
        """Whether later chains never end earlier: then those that lead to a match are next to each other."""

    def add(self, chain: _Chain, ends: float) -> None:
        if self.chains and (chain.first < self.chains[-1].first or ends < self.ends[-1]):
            self.is_ordered = False
        self._news.append(self._news[-1] + chain.new)
        self._invalidated.append(self._invalidated[-1] + chain.invalidated)
        self.chains.append(chain)
        self.ends.append(ends)
        self.firsts.append(chain.first)
        self.times.append(chain.match.at)

    def has_new(self, low: int, high: int) -> bool:
        return self._news[high] > self._news[low]

    def has_invalidated(self, low: int, high: int) -> bool:
        return self._invalidated[high] > self._invalidated[low]


class _Index:
    """The matches of a step by the values of their fields, each in order of time."""

    def __init__(self, matches: Sequence[StepMatch], paths: Sequence[str]) -> None:
        def keys(match: StepMatch, depth: int) -> int:
            return math.prod(len(match.values.get(path, ())) for path in paths[:depth])

        few = (depth for depth in range(len(paths), 1, -1) if all(keys(one, depth) <= _MOST_KEYS for one in matches))
        self.depth = next(few, min(len(paths), 1))
        """By how many of the fields: all of them, unless lists would make too many combinations of their values."""
        self.having: dict[tuple[str, ...], tuple[list[float], list[StepMatch]]] = {}
        for match in matches:
            for key in product(*(match.values.get(path, ()) for path in paths[: self.depth])):
                times, having = self.having.setdefault(key, ([], []))
                times.append(match.at)
                having.append(match)


class _Course:
    """The steps of a sequence in their order, and the transitions between them."""

    def __init__(self, correlation: Correlation) -> None:
        self._steps = correlation.steps
        self.transitions = correlation.transitions
        self.wanted = [step for step in correlation.steps if not step.absent]

    def joins(self) -> Iterator[Transition | None]:
        """Yield each transition by which what belongs together is told from the rest."""
        first, last = self.wanted[0], self.wanted[-1]
        for start, end in pairwise(self.wanted):
            yield self.effective_transition(start, end)
            yield from (self.transition(start.id, absent.id) for absent in self.absent(start, end))
        yield from (self.transition(absent.id, first.id) for absent in self.absent(None, first))
        for absent in self.absent(last, None):
            yield next((one for one in self.transitions if one.end == absent.id), None)
        yield self.into(last)

    def into(self, last: CorrelationStep) -> Transition | None:
        repeated = self.transition(last.id, last.id)
        return repeated or next((one for one in self.transitions if one.end == last.id), None)

    def absent(self, after: CorrelationStep | None, before: CorrelationStep | None) -> list[CorrelationStep]:
        """Return the steps between two that are wanted, all of which must be absent."""
        low = self._steps.index(after) + 1 if after else 0
        high = self._steps.index(before) if before else len(self._steps)
        return list(self._steps[low:high])

    def transition(self, start: str, end: str) -> Transition | None:
        return next((one for one in self.transitions if (one.start, one.end) == (start, end)), None)

    def effective_transition(self, start: CorrelationStep, end: CorrelationStep) -> Transition | None:
        """Return the transition between two steps, also if it is given by way of one that must be absent."""
        if (direct := self.transition(start.id, end.id)) is not None:
            return direct
        for absent in self.absent(start, end):
            there, back = self.transition(start.id, absent.id), self.transition(absent.id, end.id)
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


class _Sequence:
    """Follows a sequence from step to step: which matches of each have what they need before them."""

    def __init__(
        self,
        correlation: Correlation,
        matches: Mapping[str, list[StepMatch]],
        new: Container[str] | None,
        now: float | None,
        check: Callable[[int], None],
    ) -> None:
        self._matches = matches
        self._new = new
        self._check = check
        self._held = 0
        """Members of all chains and findings so far."""
        self._indexes: dict[tuple[str, tuple[str, ...]], _Index] = {}
        """Of the matches of a step that must be absent, by fields."""
        self._levels: dict[str, list[_Chain]] = {}
        """Of each step so far, in their order."""
        self._now = now
        self._lookback = 60.0 * correlation.lookback_minutes
        self._course = _Course(correlation)
        self._after: dict[str, list[tuple[CorrelationStep, Transition | None]]] = {}
        """Step -> what must not come after its matches, once all that is wanted has come."""
        for absent in self._course.absent(self._course.wanted[-1], None):
            transition = next((one for one in self._course.transitions if one.end == absent.id), None)
            named = transition.start if transition else self._course.wanted[-1].id
            self._after.setdefault(named, []).append((absent, transition))

    def find(self) -> Iterator[CorrelatedMatches]:
        first, last = self._course.wanted[0], self._course.wanted[-1]
        before = [(absent, self._course.transition(absent.id, first.id)) for absent in self._course.absent(None, first)]
        chains: list[_Chain] = []
        for match in self._matches[first.id]:
            self._check(self._held)
            if not any(self._is_before(*each, match) for each in before):
                chains.append(_Chain(match, match.at, self._is_new(match), self._invalidates(match)))
        for start, end in pairwise(self._course.wanted):
            self._levels[start.id] = chains
            chains = self._next(start, end, chains)
        yield from self._enough(last, [one for one in chains if not one.invalidated])

    def _is_new(self, match: StepMatch) -> bool:
        return self._new is None or match.id in self._new

    def _next(self, start: CorrelationStep, end: CorrelationStep, chains: list[_Chain]) -> list[_Chain]:
        """Return the matches of `end` that have enough matches of `start` before them, within the time frame."""
        transition = self._course.effective_transition(start, end)
        pair = transition.match[0] if transition and transition.match else None
        within = self._within(transition)
        others = [one for one in self._course.transitions if one.end == end.id and one.start not in {start.id, end.id}]
        others = [one for one in others if any(step.id == one.start for step in self._course.wanted)]
        absent = [(each, self._course.transition(start.id, each.id)) for each in self._course.absent(start, end)]
        buckets: dict[str, _Bucket] = {}
        for chain in chains:
            self._check(self._held)
            ends = min((self._first_after(*each, chain.match) for each in absent), default=math.inf)
            for key in chain.match.values.get(pair[0], ()) if pair else ("",):
                buckets.setdefault(key, _Bucket()).add(chain, ends)
        is_plain = not others and (transition is None or len(transition.match) <= 1)
        found: list[_Chain] = []
        for match in self._matches[end.id]:
            led = [self._chains_through(other, match) for other in others]
            # Those before must have one value in common, not each another one of this match's.
            for key in sorted(match.values.get(pair[1], ())) if pair else ("",):
                if (bucket := buckets.get(key)) is None:
                    continue
                self._check(self._held)
                low = bisect_left(bucket.times, match.at - within)
                high = bisect_right(bucket.times, match.at)
                if is_plain and bucket.is_ordered:
                    low = max(low, self._reaching(bucket, match.at))
                    if high - low >= start.least:
                        new = self._is_new(match) or bucket.has_new(low, high)
                        invalidated = bucket.has_invalidated(low, high) or self._invalidates(match)
                        found.append(
                            _Chain(match, bucket.chains[low].first, new, invalidated, bucket.chains, low, high)
                        )
                        break
                    continue
                group = [
                    one
                    for one, ends in zip(bucket.chains[low:high], bucket.ends[low:high], strict=True)
                    if match.at - one.first <= self._lookback
                    and ends > match.at
                    and _agree(transition, one.match, match)
                    and all(id(one) in each for each in led)
                ]
                if len(group) >= start.least:
                    self._held += len(group)
                    new = self._is_new(match) or any(one.new for one in group)
                    invalidated = any(one.invalidated for one in group) or self._invalidates(match)
                    found.append(_Chain(match, min(one.first for one in group), new, invalidated, group, 0, len(group)))
                    break
        return found

    def _reaching(self, bucket: _Bucket, at: float) -> int:
        """Return the first chain of an ordered bucket that reaches an instant, with nothing absent between."""
        return max(bisect_left(bucket.firsts, at - self._lookback), bisect_right(bucket.ends, at))

    def _chains_through(self, transition: Transition, match: StepMatch) -> set[int]:
        """Return which chains of the step before `match` lead through the start of another transition to it, by id."""
        levels = list(self._levels)
        if transition.start not in levels:
            return set()
        first, *others = levels[levels.index(transition.start) :]
        within = self._within(transition)
        self._check(self._held)
        led = {
            id(one)
            for one in self._levels[first]
            if 0 <= match.at - one.match.at <= within and _agree(transition, one.match, match)
        }
        for level in others:
            self._check(self._held)
            sums: dict[int, list[int]] = {}
            for one in self._levels[level]:
                if id(one.bucket) not in sums:
                    sums[id(one.bucket)] = list(accumulate((id(each) in led for each in one.bucket), initial=0))
            led = {
                id(one) for one in self._levels[level] if sums[id(one.bucket)][one.high] > sums[id(one.bucket)][one.low]
            }
        return led

    def _is_before(self, absent: CorrelationStep, transition: Transition | None, end: StepMatch) -> bool:
        """Whether a step that must be absent has a match before one."""
        pairs = transition.match if transition else ()
        low = end.at - self._within(transition)
        for times, matches in self._like(absent, [pair[0] for pair in pairs], end, [pair[1] for pair in pairs]):
            inside = range(bisect_left(times, low), bisect_right(times, end.at))
            if any(_agree(transition, matches[at], end) for at in self._checked(inside)):
                return True
        return False

    def _first_after(self, absent: CorrelationStep, transition: Transition | None, start: StepMatch) -> float:
        """Return when a step that must be absent has its first match at or after one; infinity: never."""
        pairs = transition.match if transition else ()
        found = math.inf
        for times, matches in self._like(absent, [pair[1] for pair in pairs], start, [pair[0] for pair in pairs]):
            later = self._checked(range(bisect_left(times, start.at), len(times)))
            found = min(found, next((times[at] for at in later if _agree(transition, start, matches[at])), math.inf))
        return found

    def _checked(self, each: Iterable[int]) -> Iterator[int]:
        for count, one in enumerate(each):
            if count % 1_000 == 999:
                self._check(self._held)
            yield one

    def _like(
        self, step: CorrelationStep, paths: Sequence[str], match: StepMatch, its_paths: Sequence[str]
    ) -> Iterator[tuple[list[float], list[StepMatch]]]:
        """Yield the matches of a step, in order of time, that may have in `paths` what a match has in `its_paths`."""
        index = self._indexes.get((step.id, tuple(paths)))
        if index is None:
            index = self._indexes[step.id, tuple(paths)] = _Index(self._matches[step.id], paths)
        for key in product(*(sorted(match.values.get(path, ())) for path in its_paths[: index.depth])):
            if key in index.having:
                yield index.having[key]

    def _invalidates(self, match: StepMatch) -> bool:
        """Whether something comes after a match that must not, or may still come."""
        for absent, transition in self._after.get(match.step, ()):
            last = match.at + self._within(transition)
            if (self._now is not None and last > self._now) or self._first_after(absent, transition, match) <= last:
                return True
        return False

    def _enough(self, last: CorrelationStep, chains: list[_Chain]) -> Iterator[CorrelatedMatches]:
        """Yield the matches of the last step that are enough, and what leads to them, per value they have in common."""
        into, repeated = self._course.into(last), self._course.transition(last.id, last.id)
        window = self._within(repeated) if repeated else self._lookback
        name = into.match[0][1] if into and into.match else ""
        by_value: dict[str, list[_Chain]] = {}
        for chain in chains:
            for key in chain.match.values.get(name, ()) if name else ("",):
                by_value.setdefault(key, []).append(chain)
        told: set[frozenset[StepMatch]] = set()
        for key in sorted(by_value):
            group = by_value[key]
            times = {last.id: [one.match.at for one in group]}
            news = {last.id: [at for at, one in enumerate(group) if one.new]}
            for spans in _covering(_windows([last], times, 1, window), times, news):
                self._check(self._held)
                low, high = spans[last.id]
                members = frozenset(_members(group[low:high]))
                if members not in told:
                    self._held += len(members)
                    self._check(self._held)
                    told.add(members)
                    ordered = sorted(members, key=lambda one: (one.at, one.id))
                    yield CorrelatedMatches(members=tuple(ordered), values={name: key} if name else {})

    def _within(self, transition: Transition | None) -> float:
        minutes = transition.within_minutes if transition else None
        return 60.0 * minutes if minutes is not None else self._lookback


def _agree(transition: Transition | None, start: StepMatch, end: StepMatch) -> bool:
    """Whether two matches have a value in common in each pair of fields that the transition names."""
    if transition is None:
        return True
    empty = frozenset[str]()
    return all(start.values.get(one, empty) & end.values.get(other, empty) for one, other in transition.match)
