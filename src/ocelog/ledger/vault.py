"""Where secrets rest: sealed with a key that is not in the ledger, or left where they are and read again each time."""

import hashlib
import json
import os
from collections.abc import Callable, Collection, Iterable
from pathlib import Path

from msgspec import Struct
from sqlalchemy import ColumnElement, Connection, Table, delete, insert, select

from ocelog.errors import HomeError
from ocelog.ledger import tables
from ocelog.ledger.database.transactions import Database
from ocelog.secrets.sealing import KEY_BYTES, seal, unseal
from ocelog.secrets.secret import Secret

_LONGEST = 65_536
"""Bytes of a referenced secret: more is a mistaken path."""
COPIED = "copied in, encrypted"
"""How a secret is kept that is sealed in the ledger."""


class SecretOwner(Struct, frozen=True, kw_only=True):
    """Whose secrets are kept in a table."""

    table: Table
    owner: str
    """The column with the id of what a secret belongs to."""
    noun: str
    enter: Callable[[str], str]
    """Returns the command that a secret of an owner is entered with again."""
    bound_to: tuple[str, ...] = ()
    """What a sealed secret is bound to, besides its owner and its name."""

    def this(self, owner: str, name: str) -> ColumnElement[bool]:
        """Return which row holds a secret."""
        return (self.table.c[self.owner] == owner) & (self.table.c.name == name)

    def row_name(self, owner: str, name: str) -> bytes:
        """Bind a sealed secret to its row, so that one copied into another row does not open."""
        return json.dumps([*self.bound_to, owner, name]).encode()

    def enter_again(self, owner: str) -> str:
        """Say what to do if a secret cannot be read."""
        return f"enter the secret again: {self.enter(owner)}"


class KeptSecret(Struct, frozen=True, kw_only=True):
    """A secret as it is kept: sealed, or only where it is."""

    owner: str
    name: str
    sealed: bytes | None = None
    reference: str | None = None


SOURCES = SecretOwner(
    table=tables.secrets, owner="source_id", noun="source", enter=lambda owner: f"ocelog source rotate {owner}"
)
CHANNELS = SecretOwner(
    table=tables.channel_secrets,
    owner="channel_id",
    noun="channel",
    enter=lambda owner: f"ocelog channel edit {owner}",
    bound_to=("channel",),
)


class Vault:
    """The secrets of all sources, or of all channels. A repr shows neither key nor secrets."""

    __slots__ = ("_database", "_key", "_place")

    def __init__(self, database: Database, key: bytes, place: SecretOwner = SOURCES) -> None:
        if len(key) != KEY_BYTES:
            raise HomeError(f"The key must have {KEY_BYTES} bytes; this one has {len(key)}.")
        self._database = database
        self._key = key
        self._place = place

    def kept(self, owner: str, name: str, secret: Secret, reference: str | None = None) -> KeptSecret:
        """Return `secret` as it is kept: a sealed copy, or only where it is, which is `file:PATH` or `env:VARIABLE`.

        It is saved together with its owner: an address that changes with a secret must never be sent the one before.
        Raises HomeError for any other reference.
        """
        if reference is not None:
            _check(reference)
            return KeptSecret(owner=owner, name=name, reference=reference)
        sealed = seal(self._key, secret, self._place.row_name(owner, name))
        return KeptSecret(owner=owner, name=name, sealed=sealed)

    def get(self, owner: str, name: str) -> Secret:
        """Return a secret; a referenced one is read now. Raises HomeError with what to do if that fails."""
        with self._database.read() as tx:
            row = tx.execute(select(self._place.table).where(self._place.this(owner, name))).one_or_none()
        if row is None:
            raise HomeError(f"The ledger has no {name} for this {self._place.noun}. {self._told(owner)}")
        return self._open(owner, name, row.sealed, row.reference)

    def get_all(self, owner: str, *, but: Collection[str] = ()) -> dict[str, Secret]:
        """Return all secrets of an owner, but some, as they were at one instant. Raises what `get` does."""
        with self._database.read() as tx:
            rows = tx.execute(select(self._place.table).where(self._place.table.c[self._place.owner] == owner)).all()
        return {row.name: self._open(owner, row.name, row.sealed, row.reference) for row in rows if row.name not in but}

    def forget(self, owner: str, name: str) -> None:
        """Delete a secret, or where it is."""
        with self._database.write() as tx:
            tx.execute(delete(self._place.table).where(self._place.this(owner, name)))

    def _open(self, owner: str, name: str, sealed: bytes, reference: str | None) -> Secret:
        if reference is not None:
            return _read(reference, self._place, owner)
        try:
            return unseal(self._key, sealed, self._place.row_name(owner, name))
        except ValueError as error:
            raise HomeError(
                f"The key does not open this {self._place.noun}'s {name}: it is another key. {self._told(owner)}"
            ) from error

    def _told(self, owner: str) -> str:
        return f"Put the right key back, or {self._place.enter_again(owner)}. No data is lost, nothing is pulled again."


def keep(tx: Connection, secrets: Iterable[KeptSecret], place: SecretOwner = SOURCES) -> None:
    """Put `secrets` in the place of those of their names."""
    for each in secrets:
        tx.execute(delete(place.table).where(place.this(each.owner, each.name)))
        values = {place.owner: each.owner, "name": each.name, "sealed": each.sealed, "reference": each.reference}
        tx.execute(insert(place.table).values(values))


def kept(tx: Connection, owner: str, place: SecretOwner = SOURCES) -> dict[str, str]:
    """Say by its name how each secret is kept, which needs no key: the reference to it, or that it is a copy."""
    found = select(place.table).where(place.table.c[place.owner] == owner).order_by(place.table.c.name)
    return {row.name: row.reference or COPIED for row in tx.execute(found)}


def enter_again(tx: Connection, place: SecretOwner) -> list[str]:
    """Return the commands by which the secrets are entered again that another key does not open."""
    owner = place.table.c[place.owner]
    found = select(owner).where(place.table.c.sealed.is_not(None)).distinct().order_by(owner)
    return [place.enter(each) for each in tx.execute(found).scalars()]


def marks(tx: Connection, place: SecretOwner = SOURCES) -> dict[str, str]:
    """Return, by owner, what changes whenever a secret of it is put in the place of another; needs no key.

    For a secret that is left in a file, also when that file changes. Never anything of a secret.
    """
    found = dict[str, str]()
    columns = place.table.c
    for row in tx.execute(select(place.table).order_by(columns[place.owner], columns.name)).mappings():
        owner, reference = row[place.owner], row["reference"] or ""
        kept_as = reference or hashlib.blake2b(row["sealed"] or b"", digest_size=16).hexdigest()
        file = reference.removeprefix("file:") if reference.startswith("file:") else None
        found[owner] = f"{found.get(owner, '')} {row['name']}={kept_as} {file_mark(file)}"
    return found


def file_mark(place: str | Path | None) -> str:
    """Return what changes when the file at `place` is written or replaced; empty if there is none."""
    try:
        found = None if place is None else Path(place).stat()
    except OSError:
        return ""
    return "" if found is None else f"{found.st_ino}:{found.st_size}:{found.st_mtime_ns}:{found.st_ctime_ns}"


def _check(reference: str) -> tuple[str, str]:
    kind, _, place = reference.partition(":")
    if kind not in ("file", "env") or not place:
        raise HomeError("A secret's reference is file:PATH or env:VARIABLE.")
    return kind, place


def _read(reference: str, place: SecretOwner, owner: str) -> Secret:
    kind, path = _check(reference)
    another = f"name another: {place.enter(owner)}"
    text = _from_file(path, another) if kind == "file" else os.environ.get(path, "")
    text = text.strip("\r\n")
    if not text:
        raise HomeError(f"{reference} holds no secret; set it, or {another}.")
    return Secret(text)


def _from_file(place: str, another: str) -> str:
    try:
        with Path(place).open("rb") as file:
            raw = file.read(_LONGEST + 1)
        if len(raw) > _LONGEST:
            raise HomeError(f"{place} is too long for a secret; {another}.")
        return raw.decode()
    except OSError as error:
        raise HomeError(
            f"The secret's file {place} cannot be read ({error.strerror}); make it readable to this user, or {another}."
        ) from error
    except UnicodeDecodeError:
        raise HomeError(f"{place} is not UTF-8 text; {another}.") from None
