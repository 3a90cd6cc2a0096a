"""Durations, sizes and instants as people write them."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocelog.errors import ConfigError
from ocelog.suggest import suggest
from ocelog.units import about, duration, instant, size, write_duration, write_instant, write_list, write_size

NOW = datetime(2026, 8, 1, 12, tzinfo=UTC)


@given(st.integers(min_value=0, max_value=10**9))
def test_a_duration_reads_back_as_it_was_written(seconds: int) -> None:
    assert duration(write_duration(timedelta(seconds=seconds))) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "5", "m5", "5 minutes", "-5m", "5.5h", "9999999999d", "99999999w", "٣d"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        duration(text)


def test_sizes_are_read_in_both_kinds_of_units() -> None:
    assert [size("64MB"), size("1 GiB"), size("500000"), size("3kb")] == [64_000_000, 2**30, 500_000, 3000]
    with pytest.raises(ConfigError):
        size("64 floppies")


def test_an_instant_is_rfc_3339_a_utc_date_or_so_long_ago() -> None:
    assert instant("2026-07-01T02:00:00+02:00", now=NOW) == datetime(2026, 7, 1, tzinfo=UTC)
    assert instant("2026-07-01", now=NOW) == datetime(2026, 7, 1, tzinfo=UTC)
    assert instant("7d", now=NOW) == NOW - timedelta(days=7)


@pytest.mark.parametrize(
    "text",
    [
        *("2026-07-01T02:00:00", "yesterday", "2026-13-01", "", "20260701T00"),
        *("0001-01-01T00:00:00+14:00", "9999-12-31T23:00:00-14:00", "9999999999w", "200000d"),
    ],
)
def test_what_is_no_instant_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        instant(text, now=NOW)


def test_what_people_read_is_short() -> None:
    assert about(timedelta(days=2, hours=4, minutes=3)) == "2d 4h"
    assert about(timedelta(seconds=-3)) == "0s"
    assert about(timedelta(hours=1, seconds=5)) == "1h"
    assert write_size(123_456_789) == "123.5 MB"
    assert write_instant(NOW.replace(microsecond=5)) == "2026-08-01T12:00:00Z"


def test_the_nearest_name_is_offered_whatever_its_case() -> None:
    assert suggest("WIZ_isues", ["wiz_issues", "wiz_audit"]) == "; did you mean 'wiz_issues'?"
    assert suggest("zebra", ["wiz_issues"]) == ""
    assert suggest("Ocelog.Wiz.Nope", ["Ocelog.Wiz.Tokens", "Ocelog.Wiz.Login"]) == ""
    assert suggest("Ocelog.Wiz.Tokes", ["Ocelog.Wiz.Tokens", "Ocelog.Wiz"]) == "; did you mean 'Ocelog.Wiz.Tokens'?"
    assert suggest("Ocelog.Wizz.Tokens", ["Ocelog.Wiz.Tokens"]) == "; did you mean 'Ocelog.Wiz.Tokens'?"


@pytest.mark.parametrize(
    ("words", "written"),
    [([], ""), (["a"], "a"), (["a", "b"], "a and b"), (["a", "b", "c"], "a, b and c")],
)
def test_words_are_listed_as_in_a_sentence(words: list[str], written: str) -> None:
    assert write_list(words) == written
    assert write_list(words, "or") == written.replace(" and ", " or ")
