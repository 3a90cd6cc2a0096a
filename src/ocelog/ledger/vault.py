"""Where secrets rest: sealed with a key that is not in the ledger, or left where they are and read again each time."""

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path

from msgspec import Struct
from sqlalchemy import ColumnElement, Connection, Select, Table, bindparam, delete, insert, select

from ocelog.errors import ConfigError, HomeError
from ocelog.languages.phrases import Phrase
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
    there: Select[str]
    """Finds the owner with an id, unless it was removed, and keeps it from being so until the transaction ends."""
    gone: Callable[[str], Phrase]
    """Says of an owner that it was removed."""
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


_s, _c = tables.sources.c, tables.channels.c
SOURCES = SecretOwner(
    table=tables.secrets,
    owner="source_id",
    noun="source",
    enter=lambda owner: f"ocelog source rotate {owner}",
    there=select(_s.id).where(_s.id == bindparam("owner"), _s.removed_us.is_(None)).with_for_update(read=True),
    gone=lambda owner: Phrase("There is no source named %(name)s any more.", name=repr(owner)),
)
CHANNELS = SecretOwner(
    table=tables.channel_secrets,
    owner="channel_id",
    noun="channel",
    enter=lambda owner: f"ocelog channel edit {owner}",
    there=select(_c.id).where(_c.id == bindparam("owner")).with_for_update(read=True),
    gone=lambda owner: Phrase("There is no channel named %(name)s any more.", name=repr(owner)),
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

    def put(self, owner: str, name: str, secret: Secret) -> None:
        """Seal a copy of `secret` in the place of what was there. Raises ConfigError if its owner was removed."""
        sealed = seal(self._key, secret, self._place.row_name(owner, name))
        self._replace(owner, name, {"sealed": sealed})

    def put_reference(self, owner: str, name: str, reference: str) -> None:
        """Remember only where the secret is: `file:PATH` or `env:VARIABLE`. Raises HomeError for anything else.

        Raises ConfigError if its owner was removed.
        """
        _check(reference)
        self._replace(owner, name, {"reference": reference})

    def get(self, owner: str, name: str) -> Secret:
        """Return a secret; a referenced one is read now. Raises HomeError with what to do if that fails."""
        with self._database.read() as tx:
            row = tx.execute(select(self._place.table).where(self._place.this(owner, name))).one_or_none()
        if row is None:
            raise HomeError(f"The ledger has no {name} for this {self._place.noun}. {self._told(owner)}")
        if row.reference is not None:
            return _read(row.reference, self._place, owner)
        return self._unseal(owner, name, row.sealed)

    def forget(self, owner: str, name: str) -> None:
        """Delete a secret, or where it is."""
        with self._database.write() as tx:
            tx.execute(delete(self._place.table).where(self._place.this(owner, name)))

    def _replace(self, owner: str, name: str, values: dict[str, object]) -> None:
        with self._database.write() as tx:
            if tx.execute(self._place.there, {"owner": owner}).first() is None:
                raise ConfigError(self._place.gone(owner))
            tx.execute(delete(self._place.table).where(self._place.this(owner, name)))
            tx.execute(insert(self._place.table).values({self._place.owner: owner, "name": name, **values}))

    def _unseal(self, owner: str, name: str, sealed: bytes) -> Secret:
        try:
            return unseal(self._key, sealed, self._place.row_name(owner, name))
        except ValueError as error:
            raise HomeError(
                f"The key does not open this {self._place.noun}'s {name}: it is another key. {self._told(owner)}"
            ) from error

    def _told(self, owner: str) -> str:
        return f"Put the right key back, or {self._place.enter_again(owner)}. No data is lost, nothing is pulled again."


def kept(tx: Connection, owner: str, place: SecretOwner = SOURCES) -> dict[str, str]:
    """Say by its name how each secret is kept, which needs no key: the reference to it, or that it is a copy."""
    found = select(place.table).where(place.table.c[place.owner] == owner).order_by(place.table.c.name)
    return {row.name: row.reference or COPIED for row in tx.execute(found)}


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
