"""By which instant rows expire: by none that a wrong clock tells."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from ocelog.app.expiry import expiry_now
from ocelog.app.sources.sources import row_of
from ocelog.errors import HomeError
from ocelog.ledger.ledger import Ledger
from ocelog.sources.wiz.settings import from_mapping

NOW = datetime(2026, 8, 1, 12, tzinfo=UTC)
DAY, MINUTE = timedelta(days=1), timedelta(minutes=1)
SETTINGS = from_mapping(
    {"token_url": "cognito", "client_id": "x", "log_types": ["issues"], "rate": 2.0, "page_size": 100}
)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    opened = Ledger.open(f"sqlite:///{tmp_path / 'ledger.db'}", durable=False)
    opened.sources.add(row_of("prod", SETTINGS, {}))
    yield opened
    opened.close()


def planned(ledger: Ledger, edge: datetime, *, offset: timedelta = timedelta(0), source: str = "prod") -> None:
    """Let Wiz have said `edge` when a stream was last planned, and our clock so much less."""
    if ledger.sources.find(source) is None:
        ledger.sources.add(row_of(source, SETTINGS, {}))
    before = ledger.pulling.marks(source, "Wiz.Issues")
    ledger.pulling.plan(before, replace(before, edge=edge, offset=offset), [])


def test_rows_expire_by_what_wiz_said_last_or_by_our_clock_if_that_is_earlier(ledger: Ledger) -> None:
    planned(ledger, NOW - 5 * MINUTE)
    assert expiry_now(ledger, NOW) == NOW - 5 * MINUTE
    planned(ledger, NOW + 2 * MINUTE, source="ahead")
    assert expiry_now(ledger, NOW) == NOW


@pytest.mark.parametrize("ours", [NOW + 370 * DAY, NOW + 3 * DAY, NOW - 370 * DAY, NOW - DAY])
def test_nothing_expires_by_a_clock_that_was_set_wrong_since_wiz_was_read(ledger: Ledger, ours: datetime) -> None:
    planned(ledger, NOW - MINUTE)
    with pytest.raises(HomeError, match=r"a source was last read at 2026-08-01T11:59:00Z.*ocelog pull"):
        expiry_now(ledger, ours)


@pytest.mark.parametrize(("off", "side"), [(370 * DAY, "370d behind"), (-7 * MINUTE, "7m ahead of")])
def test_nothing_expires_by_a_clock_that_wiz_contradicts(ledger: Ledger, off: timedelta, side: str) -> None:
    planned(ledger, NOW, offset=off)
    with pytest.raises(HomeError, match=f"clock is {side} that of the source 'prod'"):
        expiry_now(ledger, NOW - off + MINUTE)


def test_a_clock_that_one_source_contradicts_is_not_trusted_whatever_the_others_say(ledger: Ledger) -> None:
    planned(ledger, NOW)
    planned(ledger, NOW, offset=timedelta(hours=3), source="other")
    with pytest.raises(HomeError, match="3h behind that of the source 'other'"):
        expiry_now(ledger, NOW)


def test_what_a_source_said_that_is_not_read_any_more_does_not_count(ledger: Ledger) -> None:
    planned(ledger, NOW, offset=timedelta(hours=3))
    planned(ledger, NOW, source="other")
    row = ledger.sources.find("prod")
    assert row is not None
    ledger.sources.save(replace(row, paused=True))
    assert expiry_now(ledger, NOW) == NOW
    ledger.sources.save(row)
    ledger.sources.remove("prod")
    assert expiry_now(ledger, NOW) == NOW


def test_a_home_that_reads_no_source_says_how_its_rows_may_expire(ledger: Ledger) -> None:
    with pytest.raises(HomeError, match=r"no source is being read.*ocelog upkeep --trust-clock"):
        expiry_now(ledger, NOW)
