"""From HTTP to the ledger, against an API with records that always fail, totals that lie and dates that it ignores."""

import json
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import pytest

from hostile import DAY, FINDINGS, SINCE, Api, Behaviour, Pull, Record, entry, finding, ids, issue, spread, wiz
from ocelog.model import Origin, Slice, SliceState, StreamFaults
from ocelog.pull import slices
from ocelog.sources.wiz.streams import KINDS
from ocelog.times import rfc3339

UNTIL = SINCE + 2 * DAY
HOUR = timedelta(hours=1)
RECORDS = spread(180, SINCE, UNTIL)
MOST_REQUESTS = 100
Answer = tuple[int, bytes] | None


def errors(code: str, **more: Any) -> bytes:
    return json.dumps({"errors": [{"message": "oops", "extensions": {"code": code}}], **more}).encode()


def cut(nodes: list[Record], answer: dict[str, Any]) -> Answer:
    del nodes
    return 200, json.dumps(answer).encode()[:-20]


def refused(status: int, nodes: list[Record], answer: dict[str, Any]) -> Answer:
    del nodes, answer
    return status, b"oops"


FAILURES: dict[str, Callable[[list[Record], dict[str, Any]], Answer]] = {
    # One of each meaning: 504 is taken as 413 is, and 503 as 500 is.
    **{str(status): partial(refused, status) for status in (403, 404, 413, 500, 502)},
    "429": partial(refused, 429),
    "null, RATE_LIMIT_EXCEEDED": lambda _, __: (200, errors("RATE_LIMIT_EXCEEDED", data=None)),
    "400 with errors": lambda _, __: (400, errors("INTERNAL")),
    "null, INTERNAL": lambda _, __: (200, errors("INTERNAL", data=None)),
    "null, NOT_FOUND": lambda _, __: (200, errors("NOT_FOUND", data=None)),
    "null, BAD_USER_INPUT": lambda _, __: (200, errors("BAD_USER_INPUT", data=None)),
    "null, FORBIDDEN": lambda _, __: (200, errors("FORBIDDEN", data=None)),
    "cut": cut,
    "a list": lambda _, __: (200, b'{"data": []}'),
    "a page of a proxy": lambda _, __: (200, b"<html>blocked</html>"),
    "too large": lambda _, __: (200, b" " * 600_000),
}


def poisoned(bad: set[str], failure: str) -> Behaviour:
    def behave(_: dict[str, Any], nodes: list[Record], answer: dict[str, Any]) -> Answer:
        return FAILURES[failure](nodes, answer) if bad & ids(nodes) else None

    return behave


@contextmanager
def pulling(
    records: list[Record],
    behave: Behaviour | None = None,
    *,
    log_type: str = FINDINGS,
    page_size: int = 100,
    **api: Any,
) -> Iterator[tuple[Api, Pull]]:
    with Api(records, behave, log_type=log_type, **api) as served:
        source = wiz(served, page_size=page_size, most_bytes=500_000)
        served.asked.clear()
        pull = Pull(source=source, log_type=log_type, page_size=page_size)
        try:
            yield served, pull
        finally:
            pull.ledger.close()
            source.close()


@pytest.mark.slow
@pytest.mark.parametrize("failure", FAILURES)
def test_one_record_that_fails_costs_its_neighbours_nothing(failure: str) -> None:
    with pulling(RECORDS, poisoned({"v90"}, failure)) as (api, pull):
        pull.plan(SINCE, UNTIL)
        pull.run()
        assert pull.ids() == ids(RECORDS) - {"v90"}
        (parked,) = pull.slices(SliceState.PARKED)
        assert parked.until - parked.since < timedelta(seconds=4)
        assert parked.reason
        # That it is one record of which the API complains, and not the rate, is proven for each piece.
        throttled = "429" in failure or "RATE" in failure
        assert len(api.asked) <= MOST_REQUESTS + (40 if throttled else 0)


def lies_ahead(asked: dict[str, Any]) -> bool:
    return bool(asked["filterBy"]["updatedAt"]["after"] > rfc3339(UNTIL + 365 * DAY))


@pytest.mark.slow
@pytest.mark.parametrize("refusal", ["null, BAD_USER_INPUT", "400 with errors", "500"])
def test_an_api_that_refuses_dates_that_lie_ahead_is_not_taken_for_one_that_is_down(refusal: str) -> None:
    broken = poisoned({"v90"}, "500")

    def behave(asked: dict[str, Any], nodes: list[Record], answer: dict[str, Any]) -> Answer:
        return FAILURES[refusal](nodes, answer) if lies_ahead(asked) else broken(asked, nodes, answer)

    with pulling(RECORDS, behave) as (_, pull):
        pull.plan(SINCE, UNTIL)
        pull.run()
        assert pull.ids() == ids(RECORDS) - {"v90"}
        assert [found.state for found in pull.slices() if found.state is SliceState.PARKED] == [SliceState.PARKED]


def test_an_api_that_refuses_most_requests_as_too_many_is_not_taken_for_one_with_a_bad_record() -> None:
    chance = random.Random(4)

    def behave(_: dict[str, Any], __: list[Record], ___: dict[str, Any]) -> Answer:
        return (429, b"") if chance.random() < 0.7 else None

    with pulling(RECORDS, behave) as (_, pull):
        pull.plan(SINCE, UNTIL)
        pull.run()
        assert pull.ids() == ids(RECORDS)
        assert pull.slices(SliceState.PARKED) == []


ORDERS: dict[str, Callable[[list[Record]], list[Record]]] = {
    "oldest first": list,
    "newest first": lambda records: records[::-1],
    "no order": lambda records: random.Random(1).sample(records, len(records)),
}


@pytest.mark.slow
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(
    ("bad", "failure"),
    [({"v0"}, "500"), ({"v179"}, "null, FORBIDDEN"), ({"v3", "v4", "v90", "v150"}, "500")],
    ids=["first", "last", "several"],
)
def test_so_it_is_wherever_they_are_and_in_whatever_order(failure: str, bad: set[str], order: str) -> None:
    with pulling(ORDERS[order](RECORDS), poisoned(bad, failure)) as (api, pull):
        pull.plan(SINCE, UNTIL)
        pull.run()
        assert pull.ids() == ids(RECORDS) - bad
        assert len(api.asked) <= MOST_REQUESTS * len(bad)
        assert len(pull.slices(SliceState.PARKED)) == len(bad)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("log_type", "make", "by"),
    [("Wiz.Audit", entry, None), ("Wiz.Issues", issue, "createdAt"), (FINDINGS, finding, "firstSeenAt")],
)
def test_so_it_is_in_each_log_type_and_by_other_dates(
    log_type: str, make: Callable[..., Record], by: str | None
) -> None:
    records = spread(180, SINCE, UNTIL, make)
    bad = {records[90]["id"]}
    with pulling(records, poisoned(bad, "502"), log_type=log_type) as (api, pull):
        pull.plan(SINCE, UNTIL, by=by, origin=Origin.SWEEP if by == "firstSeenAt" else Origin.LIVE)
        pull.run()
        assert pull.ids() == ids(records) - bad
        assert len(api.asked) <= MOST_REQUESTS


def test_a_record_beside_an_error_becomes_a_rejection_and_its_neighbours_land() -> None:
    def behave(_: dict[str, Any], nodes: list[Record], answer: dict[str, Any]) -> Answer:
        return (200, errors("INTERNAL", **answer)) if {"v7", "v90"} & ids(nodes) else None

    with pulling(RECORDS, behave) as (api, pull):
        pull.plan(SINCE, UNTIL)
        pull.run()
        assert pull.ids() == ids(RECORDS) - {"v7", "v90"}
        assert sorted(map(str, pull.rejected())) == ["v7", "v90"]
        assert pull.slices(SliceState.PARKED) == []
        assert len(api.asked) <= MOST_REQUESTS


@pytest.mark.slow
@pytest.mark.parametrize("failure", ["500", "400 with errors"])
def test_ten_minutes_that_always_fail_are_parked_as_one_and_retried_rarely(failure: str) -> None:
    low, high = SINCE + timedelta(hours=20), SINCE + timedelta(hours=20, minutes=10)

    def behave(variables: dict[str, Any], nodes: list[Record], _: dict[str, Any]) -> Answer:
        del variables
        broken = any(low.isoformat()[:19] <= row["updatedAt"][:19] < high.isoformat()[:19] for row in nodes)
        return FAILURES[failure](nodes, {}) if broken else None

    records = [*spread(150, SINCE, UNTIL), *(finding(1000 + s, low + timedelta(seconds=s)) for s in range(600))]
    with pulling(records, behave) as (api, pull):
        pull.plan(SINCE, UNTIL)
        pull.run()
        outside = {row["id"] for row in records if not low <= datetime.fromisoformat(row["updatedAt"]) < high}
        assert outside <= pull.ids()
        (parked,) = pull.slices(SliceState.PARKED)
        assert high - low <= parked.until - parked.since < high - low + timedelta(seconds=8)
        assert len(api.asked) <= 100
        before = len(api.asked)
        for _ in range(5):
            pull.now = pull.slices(SliceState.PARKED)[0].due_at
            pull.run()
        assert len(api.asked) - before <= 5 * 9
        assert len(pull.slices(SliceState.PARKED)) == 1
        assert pull.now - pull.drained[0].slice_.due_at > timedelta(hours=2)


def test_records_of_the_second_of_one_that_fails_land_up_to_it() -> None:
    crowd = [finding(1000 + number, RECORDS_AT_90) for number in range(40)]
    with pulling([*RECORDS, *crowd], poisoned({"v1039"}, "500")) as (_, pull):
        pull.plan(SINCE, UNTIL)
        pull.run()
        assert pull.ids() == ids([*RECORDS, *crowd]) - {"v1039"}


RECORDS_AT_90 = SINCE + DAY


@pytest.mark.slow
@pytest.mark.parametrize(
    ("bad", "ignored"),
    [("v1150", set[str]()), ("v1299", {"firstSeenAt", "firstDetectedAt"}), ("v1000", {"firstSeenAt", "status"})],
)
def test_a_crowd_in_one_second_with_one_record_that_fails_is_split_by_another_filter(
    bad: str, ignored: set[str]
) -> None:
    at = RECORDS_AT_90
    crowd = [
        finding(
            1000 + number,
            at,
            firstDetectedAt=(at - timedelta(days=number % 90)).isoformat(),
            status=("OPEN", "RESOLVED")[number % 2],
            severity=("LOW", "MEDIUM", "HIGH", "CRITICAL")[number % 4],
        )
        for number in range(300)
    ]
    with pulling([*RECORDS, *crowd], poisoned({bad}, "500")) as (api, pull):
        api.ignored |= ignored
        pull.plan(SINCE, UNTIL)
        pull.run()
        missing = ids([*RECORDS, *crowd]) - {bad} - pull.ids()
        assert len(missing) < 75
        assert len(api.asked) <= 6 * MOST_REQUESTS


@pytest.mark.slow
def test_ten_bad_records_at_regular_distances_cost_their_neighbours_nothing() -> None:
    bad = {f"v{number}" for number in range(3, 180, 18)}
    with pulling(RECORDS, poisoned(bad, "502")) as (_, pull):
        pull.plan(SINCE, UNTIL)
        pull.run()
        assert pull.ids() == ids(RECORDS) - bad
        assert all(found.until - found.since < HOUR for found in pull.slices(SliceState.PARKED))


@pytest.mark.slow
@pytest.mark.parametrize("is_last", [False, True])
def test_one_record_that_empties_its_page_costs_its_neighbours_nothing(*, is_last: bool) -> None:
    def behave(_: dict[str, Any], nodes: list[Record], answer: dict[str, Any]) -> Answer:
        if "v90" in ids(nodes):
            answer["data"]["vulnerabilityFindings"]["nodes"] = []
            if is_last:
                answer["data"]["vulnerabilityFindings"]["pageInfo"] = {"hasNextPage": False, "endCursor": None}
        return None

    with pulling(RECORDS, behave) as (api, pull):
        pull.plan(SINCE, UNTIL)
        pull.run()
        missing = ids(RECORDS) - {"v90"} - pull.ids()
        assert len(missing) <= (slices.MANY if is_last else 0)
        assert len(api.asked) <= 2.5 * MOST_REQUESTS


def test_a_parked_record_lands_once_the_api_shows_it() -> None:
    with pulling(RECORDS, poisoned({"v90"}, "500")) as (api, pull):
        pull.plan(SINCE, UNTIL)
        pull.run()
        api.behave = None
        pull.now = pull.slices(SliceState.PARKED)[0].due_at
        pull.run()
        assert pull.ids() == ids(RECORDS)
        assert pull.slices(SliceState.PARKED) == []


@pytest.mark.parametrize("failure", ["500", "400 with errors", "null, FORBIDDEN", "null, INTERNAL"])
def test_a_source_that_fails_on_everything_is_blamed_as_a_stream_and_nothing_is_parked(failure: str) -> None:
    down = True

    def behave(_: dict[str, Any], nodes: list[Record], answer: dict[str, Any]) -> Answer:
        return FAILURES[failure](nodes, answer) if down else None

    with pulling(RECORDS, behave) as (api, pull):
        pull.plan(SINCE, UNTIL)
        with pytest.raises(AssertionError, match="wait"):
            pull.run(most_waits=12)
        assert pull.drained[-1].blames == "stream"
        assert [found.state for found in pull.slices()] == [SliceState.WAITING]
        assert len(api.asked) <= 40
        down = False
        pull.run()
        assert pull.ids() == ids(RECORDS)


@pytest.mark.slow
@pytest.mark.parametrize("lie", [1, 7, 5_000])
def test_a_total_that_is_too_high_costs_a_few_requests_a_day_whatever_it_says(lie: int) -> None:
    def behave(_: dict[str, Any], nodes: list[Record], answer: dict[str, Any]) -> Answer:
        del nodes
        answer["data"]["vulnerabilityFindings"]["totalCount"] += lie
        return None

    with pulling(spread(450, SINCE, UNTIL), behave) as (api, pull):
        pull.plan(SINCE, UNTIL)
        pull.run()
        assert pull.ids() == ids(api.records)
        assert [found.short_by for found in pull.slices()] == [lie]
        assert len(api.asked) <= 5 + 50
        api.asked.clear()
        count = 288 if lie == 7 else 20
        polls(pull, count)
        assert len(api.asked) <= count + 50
        assert sum(bool(found.short_by) for found in pull.slices()) == 1
        assert len(pull.slices()) == 1 + count
        api.behave = None
        polls(pull, 1)
        assert pull.ledger.pulling.streams()[0].total_off_by is None


@pytest.mark.parametrize(("days", "asks"), [(0, False), (2, True), (-30, True)])
def test_what_is_known_of_totals_spares_requests_for_a_day(days: int, *, asks: bool) -> None:
    def behave(_: dict[str, Any], nodes: list[Record], answer: dict[str, Any]) -> Answer:
        del nodes
        answer["data"]["vulnerabilityFindings"]["totalCount"] += 2 * slices.FULL_SLICE
        return None

    with pulling(spread(150, SINCE, UNTIL), behave) as (api, pull):
        pull.plan(SINCE, UNTIL)
        found = StreamFaults(total_off_by=3 * slices.FULL_SLICE, total_off_at=pull.now - days * DAY)
        pull.ledger.pulling.save_stream_faults(pull.slices()[0], found)
        pull.run()
        assert pull.ids() == ids(api.records)
        assert (api.asked[1]["first"] == 1) is asks, "before anything is split, a request where nothing can be"


def polls(pull: Pull, count: int) -> None:
    """Poll every five minutes, over the records' time again and again."""
    for number in range(count):
        pull.now += timedelta(minutes=5)
        since = SINCE + timedelta(minutes=5 * number)
        pull.plan(since - timedelta(minutes=5), since + timedelta(minutes=5), origin=Origin.LIVE)
        pull.run()


@pytest.mark.slow
def test_hidden_records_in_every_poll_are_told_once_and_cost_nothing_more() -> None:
    shown, hidden = spread(100, SINCE, SINCE + DAY / 4), {f"v{number}" for number in range(0, 100, 3)}

    def behave(_: dict[str, Any], nodes: list[Record], answer: dict[str, Any]) -> Answer:
        nodes[:] = [row for row in nodes if row["id"] not in hidden]
        answer["data"]["vulnerabilityFindings"]["nodes"] = nodes
        return None

    with pulling(shown, behave) as (api, pull):
        polls(pull, 72)
        assert pull.ids() == ids(shown) - hidden
        assert len(api.asked) <= 72 + 12
        assert 1 <= sum(bool(found.short_by) for found in pull.slices()) <= 3
        assert pull.ledger.pulling.streams()[0].total_off_by


def test_one_id_that_is_counted_twice_is_no_reason_to_split() -> None:
    records = spread(450, SINCE, UNTIL)
    with pulling([*records, records[7]]) as (api, pull):
        pull.plan(SINCE, UNTIL)
        pull.run()
        assert pull.ids() == ids(records)
        assert len(pull.slices()) == 1
        assert len(api.asked) <= 5 + 12


@pytest.mark.slow
def test_a_source_that_ignores_dates_is_read_once_a_day_and_its_polls_are_parked_as_one() -> None:
    with pulling(RECORDS) as (api, pull):
        api.ignored.add("updatedAt")
        pull.plan(SINCE + DAY, SINCE + DAY + timedelta(hours=1))
        pull.run()
        assert pull.ids() == ids(RECORDS)
        api.asked.clear()
        polls(pull, 60)
        assert len(api.asked) <= 60 + 10
        (parked,) = pull.slices(SliceState.PARKED)
        assert "ignores the dates" in (parked.reason or "")
        api.records.append(finding(999, UNTIL))
        pull.now = parked.due_at
        pull.run()
        assert "v999" in pull.ids()
        assert pull.slices(SliceState.PARKED) == []


def test_what_is_asked_by_another_date_or_of_open_records_alone_has_a_daily_turn_of_its_own() -> None:
    with pulling(RECORDS) as (api, pull):
        api.ignored |= {"updatedAt", "firstSeenAt"}
        early, late = (SINCE + DAY, SINCE + DAY + HOUR), (UNTIL - HOUR, UNTIL)
        for since, until in (early, late):
            pull.plan(since, until)
            pull.plan(since, until, by="firstSeenAt")
            pull.plan(since, until, by="firstSeenAt", origin=Origin.SWEEP)
            pull.run()
        parked = pull.slices(SliceState.PARKED)
        assert sorted((each.by, each.origin) for each in parked) == [
            ("firstSeenAt", Origin.BACKFILL),
            ("firstSeenAt", Origin.SWEEP),
            ("updatedAt", Origin.BACKFILL),
        ]
        pull.now = max(each.due_at for each in parked)
        pull.run()
        assert pull.slices(SliceState.PARKED) == []


def test_ranges_that_wait_for_the_daily_reading_become_one_wherever_they_lie() -> None:
    with pulling(RECORDS) as (api, pull):
        api.ignored.add("updatedAt")
        for hours in (1, 20, 40):
            pull.plan(SINCE + hours * HOUR, SINCE + (hours + 1) * HOUR)
        pull.run()
        (parked,) = pull.slices(SliceState.PARKED)
        pull.now = parked.due_at
        pull.run()
        assert pull.slices(SliceState.PARKED) == []


def test_a_source_whose_ignoring_of_dates_shows_only_where_nothing_can_be_is_read_once_a_day() -> None:
    def behave(_: dict[str, Any], nodes: list[Record], answer: dict[str, Any]) -> Answer:
        del nodes
        answer["data"]["vulnerabilityFindings"]["totalCount"] = slices.FULL_SLICE + 1
        return None

    with pulling(RECORDS, behave, page_size=10) as (api, pull):
        api.ignored.add("updatedAt")
        for _ in range(2):
            pull.plan(SINCE, UNTIL)
            pull.run()
        assert pull.ids() == ids(RECORDS)
        assert len(pull.slices(SliceState.PARKED)) == 1


def test_a_source_that_ignores_dates_and_has_too_many_records_is_parked_not_split() -> None:
    def behave(_: dict[str, Any], nodes: list[Record], answer: dict[str, Any]) -> Answer:
        del nodes
        answer["data"]["vulnerabilityFindings"]["totalCount"] = slices.MOST_WHOLE + 1
        return None

    with pulling(RECORDS, behave) as (api, pull):
        api.ignored.add("updatedAt")
        pull.plan(SINCE + DAY, UNTIL)
        pull.run()
        assert len(api.asked) == 1
        assert [found.state for found in pull.slices()] == [SliceState.PARKED]


@pytest.mark.slow
@pytest.mark.parametrize("ahead", ["answered", "null, BAD_USER_INPUT", "400 with errors", "500"])
def test_a_total_that_ignores_dates_does_not_split_a_stretch_into_seconds(ahead: str) -> None:
    def behave(asked: dict[str, Any], nodes: list[Record], answer: dict[str, Any]) -> Answer:
        if ahead != "answered" and lies_ahead(asked):
            return FAILURES[ahead](nodes, answer)
        answer["data"]["vulnerabilityFindings"]["totalCount"] = 50_000
        return None

    with pulling(RECORDS, behave, page_size=10) as (api, pull):
        pull.plan(SINCE, UNTIL)
        pull.run()
        assert pull.ids() == ids(RECORDS)
        assert len(api.asked) <= 18 + 60


def test_a_total_known_to_be_wrong_splits_nothing_even_if_empty_ranges_are_refused() -> None:
    refuses = False

    def behave(_: dict[str, Any], nodes: list[Record], answer: dict[str, Any]) -> Answer:
        if refuses and not nodes:
            return FAILURES["500"](nodes, answer)
        answer["data"]["vulnerabilityFindings"]["totalCount"] = 50_000
        return None

    with pulling(RECORDS, behave) as (_, pull):
        pull.plan(SINCE, UNTIL)
        pull.run()
        refuses = True
        pull.plan(SINCE, UNTIL)
        pull.run()
        assert all(found.state is SliceState.DRAINED for found in pull.slices())


def test_a_slice_whose_total_is_capped_is_cut() -> None:
    def behave(asked: dict[str, Any], nodes: list[Record], answer: dict[str, Any]) -> Answer:
        since, until = (datetime.fromisoformat(asked["filterBy"]["updatedAt"][edge]) for edge in ("after", "before"))
        if nodes and until - since > DAY:
            answer["data"]["vulnerabilityFindings"] |= {"totalCount": slices.FULL_SLICE, "maxCountReached": True}
        return None

    with pulling(RECORDS, behave, page_size=10) as (_, pull):
        pull.plan(SINCE, UNTIL)
        pull.run()
        assert pull.ids() == ids(RECORDS)
        assert SliceState.RETIRED in {found.state for found in pull.slices()}
        assert not any(found.checkpoint.whole for found in pull.slices())


def crowd_of_300() -> list[Record]:
    at, severities = SINCE + DAY, ["LOW", "MEDIUM", "HIGH", "CRITICAL"]
    return [
        finding(
            1000 + number,
            at,
            firstDetectedAt=(at - timedelta(days=number % 90)).isoformat(),
            status="OPEN" if number % 2 else "RESOLVED",
            severity=severities[number % 4],
        )
        for number in range(300)
    ]


@pytest.mark.slow
@pytest.mark.parametrize("ignored", [set[str](), {"firstSeenAt"}, {"firstSeenAt", "status"}])
def test_records_of_one_second_that_a_cursor_skips_are_found_by_another_filter(ignored: set[str]) -> None:
    with pulling([*RECORDS, *crowd_of_300()], keyset="updatedAt") as (api, pull):
        api.ignored |= ignored
        pull.plan(SINCE, UNTIL)
        pull.run()
        assert pull.ids() == ids(api.records)
        assert not any(found.short_by for found in pull.slices())
        assert len(api.asked) <= 180


def test_a_search_for_a_filter_ends_when_it_is_asked_to_and_begins_again(monkeypatch: pytest.MonkeyPatch) -> None:
    with pulling(crowd_of_300(), keyset="updatedAt") as (api, pull):
        pull.plan(SINCE + DAY, SINCE + DAY + timedelta(seconds=1))
        narrowed = [0]

        def is_narrowed() -> bool:
            narrowed.append(sum("firstSeenAt" in each["filterBy"] for each in api.asked))
            return narrowed[-1] > 1

        held = pull.ledger.pulling.take("one", now=pull.now)
        assert held is not None
        kept = list[Slice]()
        move = pull.ledger.pulling.move

        def moved(before: Slice, after: Slice) -> None:
            kept.append(after)
            move(before, after)

        monkeypatch.setattr(pull.ledger.pulling, "move", moved)
        drained = pull.puller.drain(held, stop=is_narrowed)
        pull.ledger.pulling.release(drained.slice_)
        assert (drained.error, drained.slice_.state) == (None, SliceState.WAITING)
        assert narrowed[-1] == 2, "it asked once more at most"
        assert kept[-2:] == [drained.slice_] * 2, "each question extends the lease"
        pull.run()
        assert pull.ids() == ids(api.records)
        assert not any(found.short_by for found in pull.slices())


def test_a_second_that_no_filter_tells_apart_is_drained_short_and_told_once() -> None:
    crowd = [finding(1000 + number, SINCE + DAY) for number in range(300)]
    with pulling(crowd, keyset="updatedAt") as (api, pull):
        pull.plan(SINCE + DAY, SINCE + DAY + timedelta(seconds=1))
        pull.run()
        assert [found.short_by for found in pull.slices()] == [231]
        assert len(api.asked) <= 40


def test_filters_of_the_log_types_that_it_shows_are_this_apis() -> None:
    kinds = [KINDS[name] for name in ("Wiz.Audit", "Wiz.Issues", "Wiz.VulnerabilityFinding")]
    assert {name for kind in kinds for name in kind.split_values} == {"status", "severity"}
