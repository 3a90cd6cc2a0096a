"""Where secrets rest: sealed with a key that is not in the ledger, or left where they are and read again each time."""

import hashlib
import json
import os
from pathlib import Path

from sqlalchemy import Connection, delete, insert, select

from ocelog.errors import HomeError
from ocelog.ledger import tables
from ocelog.ledger.database.transactions import Database
from ocelog.secret import Secret

KEY_BYTES = 32
_NONCE_BYTES = 12
_LONGEST = 65_536
"""Bytes of a referenced secret: more is a mistaken path."""
COPIED = "copied in, encrypted"
"""How a secret is kept that is sealed in the ledger."""
_t = tables.secrets.c


class Vault:
    """The secrets of all sources. A repr shows neither key nor secrets."""

    __slots__ = ("_database", "_key")

    def __init__(self, database: Database, key: bytes) -> None:
        if len(key) != KEY_BYTES:
            raise HomeError(f"The key must have {KEY_BYTES} bytes; this one has {len(key)}.")
        self._database = database
        self._key = key

    def put(self, source_id: str, name: str, secret: Secret) -> None:
        """Seal a copy of `secret` in the place of what was there."""
        # Imported where it is used: it takes 10 ms, and most commands need no secret.
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415 - see above

        nonce = os.urandom(_NONCE_BYTES)
        sealed = nonce + AESGCM(self._key).encrypt(nonce, secret.reveal().encode(), _row_name(source_id, name))
        with self._database.write() as tx:
            _replace(tx, source_id, name, {"sealed": sealed})

    def put_reference(self, source_id: str, name: str, reference: str) -> None:
        """Remember only where the secret is: `file:PATH` or `env:VARIABLE`. Raises HomeError for anything else."""
        _check(reference)
        with self._database.write() as tx:
            _replace(tx, source_id, name, {"reference": reference})

    def get(self, source_id: str, name: str) -> Secret:
        """Return a secret; a referenced one is read now. Raises HomeError with what to do if that fails."""
        with self._database.read() as tx:
            this = (_t.source_id == source_id, _t.name == name)
            row = tx.execute(select(_t.sealed, _t.reference).where(*this)).one_or_none()
        if row is None:
            raise HomeError(f"The ledger has no {name} for this source. {_enter_again(source_id)}")
        if row.reference is not None:
            return _read(row.reference, source_id)
        return self._unseal(source_id, name, row.sealed)

    def forget(self, source_id: str, name: str) -> None:
        """Delete a secret, or where it is."""
        with self._database.write() as tx:
            _delete(tx, source_id, name)

    def _unseal(self, source_id: str, name: str, sealed: bytes) -> Secret:
        from cryptography.exceptions import InvalidTag  # noqa: PLC0415 - see above
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415 - see above

        try:
            plain = AESGCM(self._key).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], _row_name(source_id, name))
        except (InvalidTag, ValueError) as error:
            raise HomeError(
                f"The key does not open this source's {name}: it is another key. {_enter_again(source_id)}"
            ) from error
        return Secret(plain.decode())


def kept(tx: Connection, source_id: str, name: str) -> str | None:
    """Say how a secret is kept, which needs no key: the reference to it, or that it is a copy; None: there is none."""
    this = (_t.source_id == source_id, _t.name == name)
    row = tx.execute(select(_t.reference).where(*this)).one_or_none()
    return None if row is None else row.reference or COPIED


def marks(tx: Connection) -> dict[str, str]:
    """Return, by source id, what changes whenever a secret of it is put in the place of another; needs no key.

    For a secret that is left in a file, also when that file changes. Never anything of a secret.
    """
    found = dict[str, str]()
    for row in tx.execute(_MARKS):
        kept_as = row.reference or hashlib.blake2b(row.sealed or b"", digest_size=16).hexdigest()
        place = row.reference.removeprefix("file:") if (row.reference or "").startswith("file:") else None
        found[row.source_id] = f"{found.get(row.source_id, '')} {row.name}={kept_as} {file_mark(place)}"
    return found


_MARKS = select(_t.source_id, _t.name, _t.sealed, _t.reference).order_by(_t.source_id, _t.name)


def file_mark(place: str | Path | None) -> str:
    """Return what changes when the file at `place` is written or replaced; empty if there is none."""
    try:
        found = None if place is None else Path(place).stat()
    except OSError:
        return ""
    return "" if found is None else f"{found.st_ino}:{found.st_size}:{found.st_mtime_ns}:{found.st_ctime_ns}"


def _enter_again(source_id: str) -> str:
    return (
        f"Put the right key back, or enter the secret again: ocelog source rotate {source_id}. No data is lost, and "
        "nothing is pulled again."
    )


def _row_name(source_id: str, name: str) -> bytes:
    """Bind a sealed secret to its row, so that one copied into another row does not open."""
    return json.dumps([source_id, name]).encode()


def _replace(tx: Connection, source_id: str, name: str, values: dict[str, object]) -> None:
    _delete(tx, source_id, name)
    tx.execute(insert(tables.secrets).values(source_id=source_id, name=name, **values))


def _delete(tx: Connection, source_id: str, name: str) -> None:
    tx.execute(delete(tables.secrets).where(_t.source_id == source_id, _t.name == name))


def _check(reference: str) -> tuple[str, str]:
    kind, _, place = reference.partition(":")
    if kind not in ("file", "env") or not place:
        raise HomeError("A secret's reference is file:PATH or env:VARIABLE.")
    return kind, place


def _read(reference: str, source_id: str) -> Secret:
    kind, place = _check(reference)
    text = _from_file(place, source_id) if kind == "file" else os.environ.get(place, "")
    text = text.strip("\r\n")
    if not text:
        raise HomeError(f"{reference} holds no secret; set it, or name another: ocelog source rotate {source_id}.")
    return Secret(text)


def _from_file(place: str, source_id: str) -> str:
    try:
        with Path(place).open("rb") as file:
            raw = file.read(_LONGEST + 1)
        if len(raw) > _LONGEST:
            raise HomeError(f"{place} is too long for a secret; name another: ocelog source rotate {source_id}.")
        return raw.decode()
    except OSError as error:
        raise HomeError(
            f"The secret's file {place} cannot be read ({error.strerror}); make it readable for this user, or name "
            f"another: ocelog source rotate {source_id}."
        ) from error
    except UnicodeDecodeError:
        raise HomeError(f"{place} is not UTF-8 text; name another: ocelog source rotate {source_id}.") from None
