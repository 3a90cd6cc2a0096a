"""A source's id comes from its name, and stays; a source is never without its secret, nor with that of another."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from bookkeeping.crashes import crash_everywhere
from bookkeeping.races import everything
from bookkeeping.records import NOW, begun
from ocelog.app.source_settings import SECRET_NAME, reveal
from ocelog.app.sources import sources
from ocelog.app.sources.source_changes import Listener, SourceChange, edit, rotate
from ocelog.app.sources.sources import GivenSecret, clean_name, row_of, source_id
from ocelog.errors import ConfigError
from ocelog.installation import making
from ocelog.installation.opening import opened
from ocelog.model import SourceRow
from ocelog.pull.ports import HealthItem
from ocelog.secrets.secret import Secret
from ocelog.sources.wiz.settings import from_mapping


def test_a_plain_name_is_its_own_id() -> None:
    assert source_id("prod") == "prod"
    assert source_id("eu-west-2") == "eu-west-2"


def test_any_other_name_gets_what_is_plain_in_it_and_a_hash() -> None:
    assert source_id("내 Wiz 로그") == "wiz-795811b7"
    assert source_id("Prod") != source_id("prod")
    assert source_id("🦉").startswith("source-")


@given(st.text(min_size=1, max_size=200))
def test_an_id_is_safe_in_paths_and_sql_whatever_the_name(name: str) -> None:
    found = source_id(name)
    assert found == source_id(name)
    assert 1 <= len(found) <= 40
    assert set(found) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")


def test_names_that_look_the_same_are_the_same() -> None:
    assert source_id(clean_name("Zu\u0308rich")) == source_id(clean_name("Z\u00fcrich "))


@pytest.mark.parametrize("name", ["", "  ", "a\nb", "a\x1b[31m", "x" * 201, "a\u202eb"])
def test_a_name_that_could_mislead_is_refused(name: str) -> None:
    with pytest.raises(ConfigError):
        clean_name(name)


@pytest.mark.parametrize("change", [None, SourceChange(own={"token_url": "fedramp"}, check=False)])
def test_who_is_killed_saves_a_source_with_its_secret_or_neither(tmp_path: Path, change: SourceChange | None) -> None:
    """A service must find no source without a secret, nor one whose new address it sends the old secret to."""
    making.make(tmp_path / "home", ledger_url=None)
    with opened(tmp_path / "home") as home:
        if change is None:
            crash_everywhere(
                home.ledger, lambda: sources.add(home, described("prod"), GivenSecret(value=Secret("new")))
            )
        else:
            sources.add(home, described("prod"), GivenSecret(value=Secret("old")))
            (before,) = home.ledger.sources.listed()
            wanted = replace(change, secret=GivenSecret(value=Secret("new")))
            crash_everywhere(home.ledger, lambda: edit(home, before, wanted, Listener()))
        (row,) = home.ledger.sources.listed()
        assert reveal(home, row) == Secret("new")


def test_a_rotated_secret_goes_to_no_account_that_it_was_not_tried_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    making.make(tmp_path / "home", ledger_url=None)
    with opened(tmp_path / "home") as home:
        sources.add(home, described("prod"), GivenSecret(value=Secret("old")))
        (before,) = home.ledger.sources.listed()

        def check(*_: object) -> list[HealthItem]:
            edit(home, before, SourceChange(own={"token_url": "fedramp"}, check=False), Listener())
            return []

        monkeypatch.setattr(sources, "check", check)
        with pytest.raises(ConfigError, match="Somebody else"):
            rotate(home, before, SourceChange(), GivenSecret(value=Secret("new")), Listener())
        assert reveal(home, sources.find(home, "prod")) == Secret("old")


US1 = "https://api.us1.app.wiz.io/graphql"


def described(name: str, **settings: object) -> SourceRow:
    plain = {"token_url": "cognito", "client_id": "account", "api_url": US1}
    return row_of(name, from_mapping(plain | settings), {})


@pytest.mark.parametrize(
    ("settings", "twin"),
    [
        ({}, True),
        ({"api_url": None}, True),
        ({"api_url": US1 + "/"}, True),
        ({"log_types": ["issues"], "projects": ["p"], "rate": 1}, True),
        ({"client_id": "another"}, False),
        ({"api_url": US1.replace("us1", "us2")}, False),
        ({"token_url": "fedramp"}, False),
    ],
)
def test_the_same_tenant_under_a_second_name_is_refused_with_the_first_ones_name(
    tmp_path: Path, settings: dict[str, object], twin: bool
) -> None:
    making.make(tmp_path / "home", ledger_url=None)
    with opened(tmp_path / "home") as home:
        sources.add(home, described("first"), GivenSecret(value=Secret("s")))
        second = described("second", **settings)
        if twin:
            with pytest.raises(ConfigError, match=r"'first' reads this tenant .*--anyway"):
                sources.refuse_twin(home, second)
        else:
            sources.refuse_twin(home, second)
        sources.refuse_twin(home, described("first"))
        home.ledger.sources.remove("first")
        sources.refuse_twin(home, second)


@pytest.mark.parametrize("removed", [True, False])
def test_who_changes_a_source_that_another_removes_or_changes_meanwhile_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, removed: bool
) -> None:
    making.make(tmp_path / "home", ledger_url=None)
    with opened(tmp_path / "home") as home:
        sources.add(home, described("prod"), GivenSecret(value=Secret("s")))
        (before,) = home.ledger.sources.listed()

        def check(*_: object) -> list[HealthItem]:
            if removed:
                home.ledger.sources.remove("prod")
            else:
                home.ledger.sources.save(replace(before, paused=True))
            return []

        monkeypatch.setattr(sources, "check", check)
        change = SourceChange(own={"client_id": "another"}, secret=GivenSecret(value=Secret("new")))
        with pytest.raises(ConfigError, match="any more" if removed else "Somebody else"):
            edit(home, before, change, Listener())
        assert [each.paused for each in home.ledger.sources.listed()] == ([] if removed else [True])
        if removed:
            assert home.ledger.sources.secret_kept("prod", SECRET_NAME) is None
        else:
            assert reveal(home, before) == Secret("s")


def test_a_change_that_is_refused_makes_no_record_look_as_if_it_was_read_late(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    making.make(tmp_path / "home", ledger_url=None)
    with opened(tmp_path / "home") as home:
        sources.add(home, described("acme", projects=["p1"]), GivenSecret(value=Secret("s")))
        begun(home.ledger, edge=NOW)
        (before,) = home.ledger.sources.listed()
        home.ledger.sources.save(replace(before, paused=True))
        there = everything(home.ledger)
        monkeypatch.setattr(sources, "check", lambda *_: [])
        change = SourceChange(own={"projects": ["p1", "p2"]})
        with pytest.raises(ConfigError, match="Somebody else"):
            edit(home, before, change, Listener())
        assert everything(home.ledger) == there
        assert edit(home, home.ledger.sources.listed()[0], change, Listener()).sees_more
        assert everything(home.ledger)["streams"] != there["streams"]


def test_who_is_killed_has_what_a_source_sees_more_of_swept_or_changes_nothing(tmp_path: Path) -> None:
    """The next who changes it finds nothing new in that, and would not have it swept."""
    making.make(tmp_path / "home", ledger_url=None)
    with opened(tmp_path / "home") as home:
        sources.add(home, described("acme", projects=["p1"]), GivenSecret(value=Secret("s")))
        swept = replace(begun(home.ledger, edge=NOW), swept_at=NOW, sweep_round=1)
        home.ledger.pulling.plan(begun(home.ledger, edge=NOW), swept, [])
        before = sources.find(home, "acme")
        change = SourceChange(own={"projects": ["p1", "p2"]}, check=False)
        crash_everywhere(home.ledger, lambda: edit(home, before, change, Listener()))
        (stream,) = home.ledger.pulling.streams("acme")
        assert (stream.marks.swept_at, stream.marks.sweep_round, stream.marks.edge) == (None, 1, NOW)


def test_a_change_that_is_made_twice_takes_no_more_records_for_read_late(tmp_path: Path) -> None:
    making.make(tmp_path / "home", ledger_url=None)
    with opened(tmp_path / "home") as home:
        sources.add(home, described("acme", projects=["p1"]), GivenSecret(value=Secret("s")))
        begun(home.ledger, edge=NOW)
        before = sources.find(home, "acme")
        change = SourceChange(own={"projects": ["p1", "p2"]}, check=False)
        edit(home, before, change, Listener())
        there = everything(home.ledger)
        edit(home, before, change, Listener())
        assert everything(home.ledger) == there
