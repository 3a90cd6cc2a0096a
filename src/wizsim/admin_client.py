"""How a running tenant is asked to change: a client of its admin API."""

import json
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException
from typing import Any
from uuid import uuid4

from wizsim.record_types import RECORD_TYPES

Json = dict[str, Any]


class RefusedError(Exception):
    """The tenant did not do it; the text says why."""


def put(host: str, port: int, token: str, type_: str, fields: Mapping[str, Any]) -> str:
    """Show a new record now, and return its id. What `fields` leaves out is as in the newest record of its type."""
    admin, born = _Admin(host, port, token), RECORD_TYPES[type_].born
    records: list[Json] = [record for _, record in admin.call("GET", "current")[type_].values()]
    newest = max(records, key=lambda record: str(record[born]), default={})
    now = admin.call("GET", "state")["now"]
    new = {"id": str(uuid4()), born: now} | ({"updatedAt": now} if "updatedAt" in newest else {})
    return str(admin.call("POST", "put", {"type": type_, "record": {**newest, **new, **fields}})["id"])


class _Admin:
    def __init__(self, host: str, port: int, token: str) -> None:
        self._host, self._port, self._token = host, port, token

    def call(self, method: str, name: str, said: Json | None = None) -> Json:
        """Return the answer to one call. Raises RefusedError."""
        connection = HTTPConnection(self._host, self._port, timeout=30)
        try:
            body = None if said is None else json.dumps(said)
            connection.request(method, f"/admin/{name}", body, {"Authorization": f"Bearer {self._token}"})
            answer = connection.getresponse()
            content = answer.read().decode(errors="replace")
        except (OSError, HTTPException) as wrong:
            raise RefusedError(f"no tenant answers at {self._host} port {self._port}: {wrong}") from wrong
        finally:
            connection.close()
        if answer.status != 200:
            raise RefusedError(f"the tenant refused it ({answer.status}): {content[:500]}")
        found: Json = json.loads(content)
        return found
