"""How faults change what an answer says of its records: fields nulled, errors beside data, values that do not fit."""

from collections.abc import Mapping
from itertools import compress
from typing import Any
from zlib import crc32

from wizsim.faults import Fault
from wizsim.instants import SECOND, parse
from wizsim.listings import Listing
from wizsim.plans import RootField
from wizsim.refusals import OOPS, Refusal, error
from wizsim.tables import Version

Json = dict[str, Any]

ODD: Mapping[str, bytes] = {
    "bad-timestamp": b'"yesterday"',
    "wrong-type": b'{"not": ["what", "was", "expected"]}',
    "null-required": b"null",
    "huge-integer": b"9" * 400,
    "nan": b"NaN",
    "infinity": b"-Infinity",
    "surrogate": b'"\\ud800"',
    "invalid-utf8": b'"\xff\xfe"',
    "deep": b"[" * 2_000 + b"]" * 2_000,
}
LONG = 50_000_000
LATE = 10**18
CODES: Mapping[str, tuple[str, str]] = {
    "forbidden": ("access denied", "FORBIDDEN"),
    "not-found": ("Resource not found", "NOT_FOUND"),
    "bad-input": ("bad value", "BAD_USER_INPUT"),
}
"""What an answer with data null says: message, code."""


class Mischief:
    """The faults about the records of one answer."""

    def __init__(self, faults: Mapping[str, Fault]) -> None:
        self.faults = faults
        self.completions: list[Json] = []
        """What the answer says, beside its errors, of values that were left out."""
        self.wire: dict[str, Fault] = {}
        """Faults of the wire that the answer meets because of what it shows."""
        self._odd: dict[bytes, bytes] = {}

    def named(self, name: str) -> list[Fault]:
        """Return every fault of that name: several records can be bad at once."""
        return [fault for fault in self.faults.values() if fault.name == name]

    def refuse(self, root: RootField, versions: list[Version]) -> None:
        """Raise Refusal where a fault takes the page as a whole."""
        heavy = self.faults.get("heavy-page")
        if heavy is not None and len(versions) > heavy.number("above", 100):
            if heavy.args.get("as") == "null":
                raise Refusal(OOPS, code="INTERNAL", path=[root.key])
            raise Refusal("upstream request timeout", code="TIMEOUT", status=504)
        if any(marked(bad, root, versions) is not None for bad in self.named("bad-record-null")):
            raise Refusal(OOPS, code="INTERNAL", path=[root.key])
        for bad in self.named("bad-record-answer"):
            if (at := marked(bad, root, versions)) is not None:
                self._answer_as(bad, root, versions[at].id)

    def refuse_stretch(self, root: RootField, asked: Json | None, now: int) -> None:
        """Raise Refusal, or have the answer spoilt, if a filter by dates meets a stretch that always errs."""
        for bad in self.named("bad-time-range"):
            if bad.type not in {None, root.type}:
                continue
            begins = bad.args.setdefault("begins", now - int(bad.number("ago", 7200) * SECOND))
            ends = begins + int(bad.number("seconds", 600) * SECOND)
            if all(after < ends and before > begins for after, before in _stretches(asked)):
                self._answer_as(bad, root, None)

    def _answer_as(self, fault: Fault, root: RootField, id_: str | None) -> None:
        how = str(fault.args.get("as", "500"))
        if how.isdigit():
            raise Refusal("the request cannot be processed", code="INTERNAL", status=int(how))
        if how in CODES:
            message, code = CODES[how]
            raise Refusal(message, code=code, path=[root.key])
        if how == "cut":
            self.wire["cut-json"] = Fault(name="cut-json")
        elif how == "timeout":
            self.wire["slow-body"] = Fault(name="slow-body", args={"seconds": fault.args.get("seconds", 60)})
        else:
            text = (id_ or "data").encode()
            self._odd[text] = text[:1] + b'"' + text[1:]

    def miscount(self, root: RootField, listing: Listing, connection: Json, versions: list[Version]) -> list[Version]:
        """Let the connection count records that it does not show; return what it shows."""
        for wrong in self.named("overcount"):
            wanted = wrong.args.get("id")
            if wrong.type in {None, root.type} and (wanted is None or listing.holds(wanted)):
                connection["totalCount"] += int(wrong.number("by", 1))
        for hidden in self.named("hidden-records"):
            if hidden.type in {None, root.type}:
                wanted, every = hidden.args.get("id"), int(hidden.number("every", 100))
                kept = [v.id != wanted if wanted else crc32(v.id.encode()) % every != 0 for v in versions]
                versions = list(compress(versions, kept))
                for name in ("nodes", "edges"):
                    if connection.get(name) is not None:
                        connection[name] = list(compress(connection[name], kept))
        return versions

    def set_odd(self, record: Json, key: str, kind: str) -> None:
        """Put a value that does not fit at `key`; `spoil` writes it."""
        if kind == "missing-required":
            record.pop(key, None)
            return
        record[key] = stand_in = f"@@odd value {len(self._odd)}@@"
        if kind == "long":
            value = b'"' + b"x" * LONG + b'"'
        elif kind == "duplicate-key":
            value = b'"first","' + key.encode() + b'":"second"'
        else:
            value = ODD[kind]
        self._odd[stand_in.encode()] = value

    def spoil(self, body: bytes) -> bytes:
        """Write the values that no JSON encoder would."""
        for stand_in, value in self._odd.items():
            body = body.replace(b'"' + stand_in + b'"', value if stand_in.startswith(b"@@") else b'"' + value + b'"')
        return body


def without_dates(asked: Json | None) -> Json | None:
    """Return a filter that lets records of all time through."""
    return {name: value for name, value in (asked or {}).items() if not _is_stretch(value)} if asked else asked


def _is_stretch(value: Any) -> bool:
    return isinstance(value, dict) and bool(value) and value.keys() <= {"after", "before"}


def _stretches(asked: Json | None) -> list[tuple[int, int]]:
    """Return the stretches of time that a filter asks for."""
    return [
        (
            parse(str(value["after"])) if value.get("after") else 0,
            parse(str(value["before"])) if value.get("before") else LATE,
        )
        for value in (asked or {}).values()
        if _is_stretch(value)
    ]


def marked(fault: Fault, root: RootField, versions: list[Version]) -> int | None:
    """Return where the fault's record is on the page; with no id=, the first record it meets is it from then on."""
    if fault.type not in {None, root.type} or not versions:
        return None
    wanted = fault.args.get("id")
    if wanted is None:
        wanted = fault.args["id"] = min(versions, key=lambda v: crc32(v.id.encode())).id
    return next((at for at, version in enumerate(versions) if version.id == wanted), None)


def twist_records(
    mischief: Mischief, root: RootField, rendered: Json, versions: list[Version], request_id: str
) -> list[Json]:
    """Change the records of one connection in place as the faults say; return the errors to put beside them."""
    faults = mischief.faults
    errors: list[Json] = []
    records = _records(root, rendered)
    if not records:
        return errors
    for odd in mischief.named("odd-record"):
        _odd_record(mischief, odd, root, records, versions)
    for partial in mischief.named("partial"):
        errors += _partial(mischief, partial, root, records, request_id)
    if "error-beside-data" in faults:
        for record in records:
            record.update(dict.fromkeys(_nullable(root)))
        errors.append(error(OOPS, code="INTERNAL", request_id=request_id, path=[root.key]))
    for bad in mischief.named("bad-record"):
        if (at := marked(bad, root, versions)) is None:
            continue
        records[at].update(dict.fromkeys(_nullable(root)))
        errors.append(error(OOPS, code="INTERNAL", request_id=request_id, path=[*root.records_path[:2], at]))
    _leave_out(mischief.named("absent-keys"), root, records)
    if "null-entry" in faults and root.records_path[1:] and len(root.records_path) == 3:
        rendered[root.records_path[1]][0] = None
    if "null-nodes" in faults:
        rendered[root.records_path[1]] = None
    return errors


def _records(root: RootField, rendered: Json) -> list[Json]:
    path = root.records_path
    if not path or rendered.get(path[1]) is None:
        return []
    listed = rendered[path[1]]
    return [edge[path[3]] for edge in listed] if len(path) > 3 else listed


def _nullable(root: RootField) -> list[str]:
    depth = len(root.records_path)
    return [
        u.path[depth]
        for u in root.uses
        if len(u.path) == depth + 1 and u.path[:depth] == root.records_path and u.nullable
    ]


def _leave_out(faults: list[Fault], root: RootField, records: list[Json]) -> None:
    nullable = frozenset(_nullable(root))
    for wanted in [fault.args.get("field") for fault in faults]:
        for record in records:
            for key in [k for k, value in record.items() if k == wanted or (wanted is None and value is None)]:
                if key in nullable:
                    del record[key]


def _partial(mischief: Mischief, fault: Fault, root: RootField, records: list[Json], request_id: str) -> list[Json]:
    nullable = _nullable(root)
    carried = (key for key in nullable if any(record.get(key) is not None for record in records))
    key = str(fault.args.get("field") or next(carried, ""))
    if key not in nullable:
        return []
    nth = fault.args.get("nth")
    struck = records if nth is None else records[nth : nth + 1]
    if not struck:
        return []
    for record in struck:
        record[key] = None
    path: list[Any] = [*root.records_path, key]
    if nth is not None:
        path[2] = nth
    mischief.completions.append({"message": "null", "path": path})
    return [error("could not complete the value", code="INTERNAL", request_id=request_id, path=path)]


def _odd_record(
    mischief: Mischief, fault: Fault, root: RootField, records: list[Json], versions: list[Version]
) -> None:
    at = marked(fault, root, versions) if "id" in fault.args else 0
    if at is None:
        return
    kind = str(fault.args.get("kind", "bad-timestamp"))
    record = records[at]
    key = fault.args.get("key") or _fitting(kind, record, _nullable(root))
    mischief.set_odd(record, str(key), kind)


def _fitting(kind: str, record: Json, nullable: list[str]) -> str:
    if kind == "bad-timestamp":
        return next((k for k in record if k == "timestamp" or k.endswith("At")), "id")
    if kind in {"null-required", "missing-required"}:
        return next((k for k in ("createdAt", "timestamp", "id") if k in record), "id")
    if kind in {"huge-integer", "nan", "infinity"}:
        return next((k for k, v in record.items() if isinstance(v, float)), next(iter(nullable), "id"))
    if kind == "deep":
        return next((k for k in ("actionParameters", "sourceRule", "layerMetadata") if k in record), "id")
    return next((k for k in ("description", "userAgent", "name", "type") if k in record), "id")
