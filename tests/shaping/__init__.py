"""Records, shapers and stamps for tests of shaping."""

import json
from collections.abc import Sequence
from typing import Any

from ocelog.model import Kind, Origin, Stamp
from ocelog.schema.language.packaged import packaged_schemas
from ocelog.schema.language.parse import parse_schema
from ocelog.schema.shape import ShapedPage, Shaper, compile_shaper

STAMP = Stamp(
    source_id="aa11", source_label="내 Wiz 로그", origin=Origin.LIVE, observed_us=1_780_000_000_000_000, parsed_us=7
)

AUDIT = Kind(log_type="Wiz.Audit", cursor_field="timestamp", created_field="timestamp", version_times=("timestamp",))
ISSUES = Kind(
    log_type="Wiz.Issues",
    cursor_field="statusChangedAt",
    created_field="createdAt",
    version_times=("updatedAt",),
    version_fields=("id", "status", "projects", "sourceRule", "notes", "dueAt", "entitySnapshot", "statusChangedAt"),
    set_like=frozenset({"projects", "notes"}),
)
FINDINGS = Kind(
    log_type="Wiz.VulnerabilityFinding",
    cursor_field="updatedAt",
    created_field="firstDetectedAt",
    version_times=("updatedAt",),
    version_fields=("id", "status", "score", "validatedInRuntime", "vulnerableAsset", "projects", "updatedAt"),
    set_like=frozenset({"projects"}),
)
KINDS = (AUDIT, ISSUES, FINDINGS)

TINY = """\
schema: Tiny
fields:
  - {name: id, type: string, required: true}
  - {name: at, type: timestamp, timeFormats: [rfc3339], isEventTime: true}
  - {name: text, type: string}
  - {name: small, type: smallint}
  - {name: whole, type: int}
  - {name: big, type: bigint}
  - {name: share, type: float}
  - {name: open, type: boolean}
  - {name: free, type: json}
  - name: who
    type: object
    fields:
      - {name: id, type: string, required: true}
      - {name: since, type: timestamp}
  - {name: words, type: array, element: {type: string}}
  - {name: things, type: array, element: {type: object, fields: [{name: id, type: string}, {name: free, type: json}]}}
"""
TINY_KIND = Kind(
    log_type="Tiny",
    cursor_field="at",
    created_field="at",
    version_times=("at",),
    version_fields=("id", "text", "big", "share", "free", "who", "words", "things"),
    set_like=frozenset({"words", "things"}),
)


def shaper_of(kind: Kind) -> Shaper:
    """Compile the packaged schema of `kind`."""
    return compile_shaper(packaged_schemas()[kind.log_type], kind)


def tiny(text: str = TINY) -> Shaper:
    """Compile a schema with one field of each kind."""
    return compile_shaper(parse_schema(text, "tiny.yml"), TINY_KIND)


def page(records: Sequence[Any]) -> bytes:
    """Return records as an answer holds them."""
    return json.dumps(records).encode()


def rows(shaped: ShapedPage) -> list[dict[str, Any]]:
    """Return all events as rows."""
    names = [f"{at:032x}" for at in range(len(shaped.ids))]
    found: list[dict[str, Any]] = shaped.table(range(len(names)), names, STAMP).to_pylist()
    return found
