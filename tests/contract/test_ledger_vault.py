"""Secrets are sealed in the ledger, each to its row, and open with the right key alone."""

from pathlib import Path

import pytest
from sqlalchemy import select, update

from bookkeeping.records import source_row
from ocelog.errors import ConfigError, HomeError
from ocelog.ledger import tables
from ocelog.ledger.ledger import Ledger
from ocelog.ledger.vault import Vault
from ocelog.secrets.secret import Secret

KEY, OTHER_KEY = bytes(range(32)), bytes(32)
SHOWN = Secret("wiz-client-secret ünï")


def put(ledger: Ledger, vault: Vault, secret: Secret, reference: str | None = None) -> None:
    ledger.sources.save(source_row(), [vault.kept("acme", "client_secret", secret, reference)])


@pytest.fixture
def vault(ledger: Ledger) -> Vault:
    ledger.sources.add(source_row())
    return ledger.vault(KEY)


def test_a_secret_comes_back_and_is_nowhere_in_the_ledger(ledger: Ledger, vault: Vault) -> None:
    put(ledger, vault, SHOWN)
    assert vault.get("acme", "client_secret") == SHOWN
    with ledger._database.read() as tx:
        (row,) = tx.execute(select(tables.secrets)).all()
    assert SHOWN.reveal().encode() not in row.sealed
    assert KEY not in row.sealed


def test_a_secret_is_replaced_and_forgotten(ledger: Ledger, vault: Vault) -> None:
    put(ledger, vault, SHOWN)
    put(ledger, vault, Secret("new"))
    assert vault.get("acme", "client_secret") == Secret("new")
    vault.forget("acme", "client_secret")
    with pytest.raises(HomeError, match="source rotate"):
        vault.get("acme", "client_secret")


def test_one_secret_is_never_sealed_the_same_way_twice(ledger: Ledger, vault: Vault) -> None:
    sealed = set()
    for _ in range(3):
        put(ledger, vault, SHOWN)
        with ledger._database.read() as tx:
            sealed.add(tx.execute(select(tables.secrets.c.sealed)).scalar_one())
    assert len({one[:12] for one in sealed}) == len(sealed) == 3


@pytest.mark.parametrize("column", ["source_id", "name"])
def test_a_sealed_secret_does_not_open_in_another_row(ledger: Ledger, vault: Vault, column: str) -> None:
    ledger.sources.add(source_row("other"))
    put(ledger, vault, SHOWN)
    with ledger._database.write() as tx:
        tx.execute(update(tables.secrets).values({column: "other"}))
    row = {"source_id": "acme", "name": "client_secret"} | {column: "other"}
    with pytest.raises(HomeError):
        vault.get(row["source_id"], row["name"])


@pytest.mark.parametrize("spoilt", [b"", b"x" * 5, b"x" * 40])
def test_a_spoilt_secret_is_told_apart_from_a_good_one(ledger: Ledger, vault: Vault, spoilt: bytes) -> None:
    put(ledger, vault, SHOWN)
    with ledger._database.write() as tx:
        tx.execute(update(tables.secrets).values(sealed=spoilt))
    with pytest.raises(HomeError, match="No data is lost"):
        vault.get("acme", "client_secret")


def test_another_key_says_what_to_do_and_opens_nothing(ledger: Ledger, vault: Vault) -> None:
    put(ledger, vault, SHOWN)
    stranger = ledger.vault(OTHER_KEY)
    with pytest.raises(HomeError, match=r"ocelog source rotate acme\. No data is lost") as caught:
        stranger.get("acme", "client_secret")
    assert SHOWN.reveal() not in str(caught.value)
    put(ledger, stranger, Secret("again"))
    assert stranger.get("acme", "client_secret") == Secret("again")


def test_a_key_of_another_length_is_refused(ledger: Ledger) -> None:
    with pytest.raises(HomeError, match="32 bytes"):
        ledger.vault(b"short")


def test_a_file_reference_is_read_anew_each_time(ledger: Ledger, vault: Vault, tmp_path: Path) -> None:
    file = tmp_path / "secret file"
    file.write_text("one\n")
    put(ledger, vault, SHOWN)
    put(ledger, vault, SHOWN, f"file:{file}")
    assert vault.get("acme", "client_secret") == Secret("one")
    file.write_text("two\r\n")
    assert vault.get("acme", "client_secret") == Secret("two")


def test_a_variable_reference_is_read_anew_each_time(
    ledger: Ledger, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(ledger, vault, SHOWN, "env:A_SECRET")
    monkeypatch.setenv("A_SECRET", "one")
    assert vault.get("acme", "client_secret") == Secret("one")
    monkeypatch.delenv("A_SECRET")
    with pytest.raises(HomeError, match="A_SECRET holds no secret"):
        vault.get("acme", "client_secret")


def test_a_referenced_file_that_is_no_secret_says_what_to_do(ledger: Ledger, vault: Vault, tmp_path: Path) -> None:
    put(ledger, vault, SHOWN, f"file:{tmp_path}/absent")
    with pytest.raises(HomeError, match="absent cannot be read"):
        vault.get("acme", "client_secret")
    for name, content, told in (
        ("empty", b"\n", "no secret"),
        ("bytes", b"\xff", "UTF-8"),
        ("long", b"x" * 70_000, "long"),
    ):
        (tmp_path / name).write_bytes(content)
        put(ledger, vault, SHOWN, f"file:{tmp_path}/{name}")
        with pytest.raises(HomeError, match=f"{told}.*ocelog source rotate acme"):
            vault.get("acme", "client_secret")


@pytest.mark.parametrize("reference", ["plain-secret", "file:", "env:", "http://x", ""])
def test_only_files_and_variables_can_be_referenced(ledger: Ledger, vault: Vault, reference: str) -> None:
    with pytest.raises(HomeError, match="file:PATH or env:VARIABLE"):
        put(ledger, vault, SHOWN, reference)


def test_removing_a_source_forgets_its_secrets(ledger: Ledger, vault: Vault) -> None:
    put(ledger, vault, SHOWN)
    ledger.sources.remove("acme")
    with pytest.raises(HomeError):
        vault.get("acme", "client_secret")


def test_a_source_that_was_removed_meanwhile_gets_no_secret(ledger: Ledger, vault: Vault) -> None:
    ledger.sources.remove("acme")
    with pytest.raises(ConfigError, match="no source named 'acme' any more"):
        put(ledger, vault, SHOWN)
    assert ledger.sources.secret_kept("acme", "client_secret") is None


def test_neither_key_nor_secret_is_in_any_repr(ledger: Ledger, vault: Vault) -> None:
    shown = repr(vault) + repr(ledger) + repr(SHOWN) + str(SHOWN) + f"{SHOWN}" + f"{[SHOWN]!r}"
    assert "wiz-client" not in shown
    assert KEY.hex() not in shown
