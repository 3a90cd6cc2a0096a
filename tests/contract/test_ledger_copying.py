"""A ledger's copy holds all of it, whichever database it comes from, and begins again in either."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from bookkeeping.races import everything
from bookkeeping.records import landing, planned, slice_of, source_row, taken
from ocelog.access import Deed, Role, Session, User
from ocelog.app.maintenance.backup import back_up, restore
from ocelog.app.users import users
from ocelog.app.users.users import Origin
from ocelog.errors import HomeError, LedgerUnavailableError
from ocelog.installation import home as homes
from ocelog.installation.making import make
from ocelog.installation.opening import opened
from ocelog.ledger.ledger import Ledger
from ocelog.secrets.secret import Secret

KEY = bytes(range(32))
PASSWORD, HERE = Secret("correct horse battery staple"), Origin(address="127.0.0.1")


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return where a copy may begin again."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/again.db"
    new_database: Callable[[], str] = request.getfixturevalue("postgresql")
    return new_database()


@pytest.fixture
def filled(ledger: Ledger) -> Ledger:
    """Hold a source, its secret, slices in several states, a part and a stream's counts."""
    moving = taken(ledger, slice_of(), slice_of(narrowed={"severity": ("HIGH",)}))
    ledger.pulling.land(landing(moving))
    secret = ledger.vault(KEY).kept("acme", "client_secret", Secret("wiz-client-secret"))
    ledger.sources.save(source_row(), [secret])
    return ledger


@pytest.fixture
def again(target: str) -> Iterator[Ledger]:
    found = Ledger.open(target, durable=False)
    yield found
    found.close()


def test_a_copy_begins_again_in_either_database_with_every_row(filled: Ledger, again: Ledger, tmp_path: Path) -> None:
    before = everything(filled)
    filled.copy_to(tmp_path / "copy.db")
    again.fill_from(tmp_path / "copy.db")
    assert everything(again) == before
    assert again.vault(KEY).get("acme", "client_secret") == Secret("wiz-client-secret")
    numbers = {slice_.id for slice_ in again.pulling.slices()}
    again.outrun(1_000)
    (new,) = planned(again, slice_of())
    assert new.id > max(numbers) + 1_000


def test_users_and_the_trail_come_along_and_nobody_is_signed_in(ledger: Ledger, again: Ledger, tmp_path: Path) -> None:
    ann = User(id="1", name="ann", role=Role.ADMIN, added_us=1)
    session = Session(mark="m", user_id="1", since_us=1, seen_us=1, ends_us=2**60, address="::1", browser="b")
    ledger.users.add(ann, "hash", Deed(at_us=1, who="ann", what="user.added"))
    ledger.users.begin(session, Deed(at_us=2, who="ann", what="user.signed_in"))
    ledger.copy_to(tmp_path / "copy.db")
    again.fill_from(tmp_path / "copy.db")
    again.outrun(1_000)
    assert ledger.users.sessions("1") == [session]
    assert again.users.sessions("1") == [], "who was signed in may have been disabled since"
    assert again.users.find("ann") == (ann, "hash")
    again.users.note(Deed(at_us=3, who="ann", what="user.signed_in"))
    assert [each.what for each in again.users.trail()] == ["user.signed_in", "user.signed_in", "user.added"]


def test_whoever_was_signed_in_signs_in_again_after_a_restore(tmp_path: Path, target: str) -> None:
    make(tmp_path / "home", ledger_url=None)
    with opened(tmp_path / "home") as installation:
        users.add_first(installation, "ann", PASSWORD, HERE)
        kept = users.sign_in(installation, "ann", PASSWORD, origin=HERE).secret
        back_up(installation, tmp_path / "kept", with_key=False)
        assert users.signed_in(installation, kept) is not None
    restore(tmp_path / "kept", tmp_path / "moved", ledger_url=target)
    with opened(tmp_path / "moved") as installation:
        assert users.signed_in(installation, kept) is None
        assert users.sign_in(installation, "ann", PASSWORD, origin=HERE).secret != kept


def test_a_ledger_that_holds_users_alone_is_not_overwritten(ledger: Ledger, tmp_path: Path) -> None:
    ledger.users.add(User(id="1", name="ann", role=Role.ADMIN, added_us=1), "hash", Deed(at_us=1, who="", what="x"))
    make(tmp_path / "home", ledger_url=None)
    with opened(tmp_path / "home") as installation:
        back_up(installation, tmp_path / "kept", with_key=False)
    with pytest.raises(HomeError, match="in use"):
        restore(tmp_path / "kept", tmp_path / "other", ledger_url=ledger.url)


def test_a_restore_that_was_killed_is_called_again_and_no_ledger_in_use_is_overwritten(
    tmp_path: Path, postgresql: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second, kept = postgresql(), postgresql(), tmp_path / "kept"
    make(tmp_path / "home", ledger_url=first)
    with opened(tmp_path / "home") as installation:
        planned(installation.ledger, slice_of())
        back_up(installation, kept, with_key=False)

    with monkeypatch.context() as patch:
        patch.setattr(homes, "finish", lambda *_, **__: pytest.fail("killed"))
        with pytest.raises(pytest.fail.Exception, match="killed"):
            restore(kept, tmp_path / "moved", ledger_url=second)
    for url in (first, second):
        with pytest.raises(HomeError, match="in use"):
            restore(kept, tmp_path / "other", ledger_url=url)
    with pytest.raises(LedgerUnavailableError):
        restore(kept, tmp_path / "other", ledger_url="postgresql://nobody@127.0.0.1:1/none")
    assert not (tmp_path / "other").exists()
    restore(kept, tmp_path / "moved", ledger_url=second)
    with opened(tmp_path / "moved") as installation:
        (slice_,) = installation.ledger.pulling.slices()
        assert slice_.fence == 1_000_000
    assert sorted(path.name for path in (tmp_path / "moved" / "tmp").iterdir()) == []


def test_a_restored_ledger_is_found_from_every_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path / "home", ledger_url=None)
    with opened(tmp_path / "home") as installation:
        back_up(installation, tmp_path / "kept", with_key=False)
    monkeypatch.chdir(tmp_path)
    restore(tmp_path / "kept", tmp_path / "moved", ledger_url="sqlite:///elsewhere.db")
    monkeypatch.chdir("/")
    with opened(tmp_path / "moved") as installation:
        assert str(tmp_path / "elsewhere.db") in installation.ledger.url


def test_a_ledger_with_a_damaged_page_is_not_copied(tmp_path: Path) -> None:
    file = tmp_path / "ledger.db"
    ledger = Ledger.open(f"sqlite:///{file}")
    planned(ledger, slice_of())
    ledger.close()
    with closing(sqlite3.connect(file)) as connection:
        ((page,),) = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'slices'")
        ((size,),) = connection.execute("PRAGMA page_size")
    with file.open("r+b") as content:
        content.seek((page - 1) * size)
        content.write(b"\x2a" * size)
    ledger = Ledger.open(f"sqlite:///{file}", create=False)
    with pytest.raises(HomeError, match="is damaged; if there is a backup"):
        ledger.copy_to(tmp_path / "copy.db")
    ledger.close()
