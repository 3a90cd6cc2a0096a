"""By which filter a second is split that cannot be shown whole."""

from collections.abc import Callable
from datetime import UTC, datetime

from msgspec.structs import replace

from ocelog.model import Kind, Narrowed
from ocelog.pull.narrowing import Crowd, filters
from ocelog.times import to_us

KIND = Kind(
    log_type="Wiz.Issues",
    cursor_field="statusChangedAt",
    created_field="createdAt",
    version_times=("updatedAt",),
    created_filter="createdAt",
    split_values={"status": ("OPEN", "RESOLVED"), "severity": ("LOW", "HIGH", "CRITICAL")},
)
DAY = 86_400_000_000
CREATED = tuple(to_us(datetime(2026, 1, 1, tzinfo=UTC)) + number * DAY for number in range(100))
CROWD = Crowd(
    by="statusChangedAt",
    total=100,
    created_us=CREATED,
    known={},
    size=20,
    latest=datetime(2036, 1, 1, tzinfo=UTC),
)


def counting(created: tuple[int, ...], **by_value: int | None) -> Callable[[Narrowed], int | None]:
    """Count like a source that keeps to a filter by creation, and answers as told for one value."""

    def count(piece: Narrowed) -> int | None:
        ((name, kept),) = piece.items()
        if name == "createdAt":
            return sum(int(kept[0]) <= us <= int(kept[1]) for us in created)
        return by_value[str(kept[0])]

    return count


def test_a_second_is_split_by_when_its_records_were_created() -> None:
    found = filters(CROWD, KIND, counting(CREATED))
    assert len(found) > 4
    for us in CREATED:
        assert any(int(piece["createdAt"][0]) <= us <= int(piece["createdAt"][1]) for piece in found)


def test_what_all_records_share_is_no_filter_and_the_next_is_tried() -> None:
    same = CREATED[:1] * 100
    crowd = replace(CROWD, created_us=same)
    count = counting(same, OPEN=100, RESOLVED=0, LOW=40, HIGH=0, CRITICAL=60)
    assert filters(crowd, KIND, count) == [{"severity": ["LOW"]}, {"severity": ["CRITICAL"]}]


def test_a_filter_that_loses_records_or_is_ignored_is_not_used() -> None:
    crowd = replace(CROWD, created_us=())
    assert filters(crowd, KIND, counting((), OPEN=60, RESOLVED=39, LOW=100, HIGH=100, CRITICAL=100)) == []


def test_a_filter_that_narrows_already_is_not_used_again() -> None:
    crowd = replace(CROWD, created_us=(), known={"status": ["OPEN"]})
    count = counting((), OPEN=50, RESOLVED=50, LOW=50, HIGH=50, CRITICAL=0)
    assert filters(crowd, KIND, count) == [{"severity": ["LOW"]}, {"severity": ["HIGH"]}]


def test_around_a_failure_one_piece_of_many_records_that_is_answered_is_enough() -> None:
    crowd = replace(CROWD, created_us=())
    count = counting((), OPEN=None, RESOLVED=90, LOW=0, HIGH=0, CRITICAL=0)
    assert filters(crowd, KIND, count) == []
    assert filters(crowd, KIND, count, many=91) == []
    assert filters(crowd, KIND, count, many=90) == [{"status": ["OPEN"]}, {"status": ["RESOLVED"]}]
