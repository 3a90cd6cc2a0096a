"""Which instant a timestamp means."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocelog.schema.decode.timestamps import all_canonical, canonical, instant
from ocelog.times import from_us, to_us

UNUSUAL = [
    "2024-07-29 09:40:15Z",
    "2024-07-29t09:40:15z",
    "2024-07-29T09:40:15.10Z",
    "2024-07-29T09:40:15.0Z",
    "2024-07-29T09:40:15.1234567Z",
    "2024-07-29T09:40:15+00:00",
    "2024-07-29T09:40:15-07:30",
]
REFUSED = [
    "2024-07-29T09:40:15",
    "2024-07-29",
    "2024-07-29T09Z",
    "2024-07-29T09:40Z",
    "2024-07-29T09:40:15+09",
    "2024-07-29T09:40:15.Z",
    "2024-02-30T09:40:15Z",
    "2024-07-29T24:00:00Z",
    "2024-07-29T09:40:60Z",
    "0000-07-29T09:40:15Z",
    "0001-01-01T00:00:00+09:00",
    "9999-12-31T23:59:59-01:00",
    "\u0662\u0660\u0662\u0664-07-29T09:40:15Z",
    " 2024-07-29T09:40:15Z",
    "2024-07-29T09:40:15Z\n",
    "",
]


def counted(texts: list[str | None]) -> list[int | None]:
    found = all_canonical(texts)
    assert found is not None
    return list(found.cast("int64").to_pylist())


def test_digits_beyond_microseconds_are_cut_not_rounded() -> None:
    found = instant("2024-07-29T09:40:15.999999999Z", ["rfc3339"])
    assert found == datetime(2024, 7, 29, 9, 40, 15, 999_999, tzinfo=UTC)
    assert instant("1722246015999999999", ["unix_ns"]) == found
    assert instant("1722246015999.9999", ["unix_ms"]) == found
    assert instant("29/07/2024 09:40:15.999999999", ["%d/%m/%Y %H:%M:%S.%f"]) == found
    assert instant("29/07/2024 09:40:15,999999999 +0000", ["%d/%m/%Y %H:%M:%S,%f %z"]) == found


@pytest.mark.parametrize("digits", [64, 65, 100, 2_000_000])
def test_digits_are_cut_however_many_there_are(digits: int) -> None:
    nines = "9" * digits
    found = datetime(2024, 7, 29, 9, 40, 15, 999_999, tzinfo=UTC)
    assert instant(f"2024-07-29T09:40:15.{nines}Z", ["rfc3339"]) == found
    assert instant(f"1722246015.{nines}", ["unix"]) == found
    assert instant(f"1722246015999999.{nines}", ["unix_us"]) == found
    assert instant(f"20240729094015.{nines}", ["%Y%m%d%H%M%S.%f"]) == found
    assert instant(f"2024-07-29T09:40:15.{nines}", ["rfc3339"]) is None


def test_before_1970_too() -> None:
    assert instant("1969-12-31T23:59:59.1234567Z", ["rfc3339"]) == from_us(-876_544)
    assert instant("-1.5", ["unix"]) == from_us(-1_500_000)


@pytest.mark.parametrize("text", UNUSUAL)
def test_unusual_ways_to_write_rfc_3339_are_understood(text: str) -> None:
    found = instant(text, ["rfc3339"])
    assert found is not None
    assert all_canonical([text]) is None
    assert counted([canonical(found)]) == [to_us(found)]


@pytest.mark.parametrize("text", REFUSED)
def test_what_is_no_instant_is_refused_one_by_one_and_all_at_once(text: str) -> None:
    assert instant(text, ["rfc3339"]) is None
    assert all_canonical(["2024-07-29T09:40:15Z", text]) is None


@pytest.mark.parametrize(
    ("text", "formats", "us"),
    [
        ("1722246015", ["unix"], 1_722_246_015_000_000),
        ("1722246015.25", ["unix"], 1_722_246_015_250_000),
        ("1722246015123", ["unix_ms"], 1_722_246_015_123_000),
        ("1722246015123456", ["unix_us"], 1_722_246_015_123_456),
        ("2024/07/29 09:40", ["unix", "%Y/%m/%d %H:%M"], 1_722_246_000_000_000),
        ("29.07.2024 11:40 +0200", ["%d.%m.%Y %H:%M %z"], 1_722_246_000_000_000),
        ("99999999999999999999", ["unix"], None),
        ("1e9", ["unix"], None),
        ("soon", ["rfc3339", "unix", "%Y"], None),
    ],
)
def test_other_formats_are_tried_in_order(text: str, formats: Any, us: Any) -> None:
    found = instant(text, formats)
    assert (None if found is None else to_us(found)) == us


def test_nulls_stay_null() -> None:
    assert counted([None, "1970-01-01T00:00:00.000001Z"]) == [None, 1]
    assert counted([None, None]) == [None, None]
    assert counted([]) == []


@given(st.datetimes(timezones=st.just(UTC)))
def test_canonical_text_comes_back_as_the_same_instant_both_ways(when: Any) -> None:
    text = canonical(when)
    assert instant(text, ["rfc3339"]) == when
    assert counted([text]) == [to_us(when)]


@given(st.text(alphabet="0123456789-:TZ tz+.", max_size=30))
def test_whatever_is_taken_all_at_once_means_the_same_one_by_one(text: str) -> None:
    at_once = all_canonical([text])
    if at_once is not None:
        found = instant(text, ["rfc3339"])
        assert found is not None
        assert canonical(found) == text
        assert at_once.cast("int64").to_pylist() == [to_us(found)]
