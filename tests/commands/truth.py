"""Whether a lake holds what its tenant does: each version that was seen once, and the right one as the current."""

import json
from collections.abc import Collection, Iterator
from typing import Any

from commands import Ocelog
from ocelog.model import table_name
from ocelog.schema.language.packaged import packaged_schemas
from ocelog.schema.shape import compile_shaper
from ocelog.sources.wiz.streams import KINDS, ROOTS
from wizsim.server import Server
from wizsim.tables import Version
from wizsim.truth import project
from wizsim.world import World

EVER = ("--since", "2000-01-01T00:00:00Z", "--until", "2100-01-01T00:00:00Z")
"""What a pull is given to read everything again."""
_SHAPERS = {log_type: compile_shaper(packaged_schemas()[log_type], kind) for log_type, kind in KINDS.items()}


def settle(world: World) -> None:
    """Let nothing more happen, and everything that has happened be seen."""
    with world.lock:
        world.rate, world._next = 0, 1 << 62
        world._agenda.clear()
    world.advance(5)


def differences(ocelog: Ocelog, tenant: Server, landed: Collection[str]) -> Iterator[str]:
    """Yield what is wrong in the lake of `ocelog`, which has read all of the settled `tenant`.

    `landed` are the request ids of answers of which it is known that they landed.
    """
    for log_type, root in ROOTS.items():
        table = table_name(log_type)
        rows = ocelog(
            *("query", "-o", "ndjson"),
            f"FROM {table} SELECT id, p_version, p_row_id ORDER BY id, p_version_time, p_observed_at, p_row_id",
        ).lines
        yield from _doubles(rows)
        yield from _lost(rows, tenant, landed, log_type, root.short)
        current = ocelog("query", f"FROM {table}_current SELECT id, p_version", "-o", "ndjson").lines
        yield from _stale(current, tenant, log_type, root.short)


def _doubles(rows: list[dict[str, Any]]) -> Iterator[str]:
    if len({row["p_row_id"] for row in rows}) != len(rows):
        yield "a p_row_id is there twice"
    for one, other in zip(rows, rows[1:], strict=False):
        if (one["id"], one["p_version"]) == (other["id"], other["p_version"]):
            yield f"{one} landed twice"


def _lost(
    rows: list[dict[str, Any]], tenant: Server, landed: Collection[str], log_type: str, short: str
) -> Iterator[str]:
    there = {(row["id"], row["p_version"]) for row in rows}
    truth = tenant.world.truth
    versions = {(version.id, version.number): version for version in truth.versions(short)}
    answers = [answer for answer in truth.answers() if answer.type == short and answer.request_id in landed]
    if not answers:
        yield f"no answer of {short} landed before something happened to its reader: this proves nothing"
    shown = {pair for answer in answers for pair in answer.shown}
    missing = [pair for pair in shown if (pair[0], _digest(log_type, versions[pair])) not in there]
    if missing:
        yield f"{len(missing)} of {len(shown)} versions that landed answers showed are gone: {missing[:3]}"


def _stale(rows: list[dict[str, Any]], tenant: Server, log_type: str, short: str) -> Iterator[str]:
    current = {row["id"]: row["p_version"] for row in rows}
    if len(current) != len(rows):
        yield f"{short}: an id is current twice"
    for record_id, version in tenant.world.current(short).items():
        if current.get(record_id) != _digest(log_type, version):
            yield f"{short}: {record_id} is not as it is in the tenant"


def _digest(log_type: str, version: Version) -> str:
    """Return the p_version of a state of a record, as our query shows it."""
    root = ROOTS[log_type]
    shown = project(root.document(), root.root, version.full())
    shaped = _SHAPERS[log_type].shape(json.dumps([shown]).encode())
    assert shaped.ids, shaped.rejections
    return shaped.versions[0]
