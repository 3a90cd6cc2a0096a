"""Log schema files: what loads, and what a bad one is told."""

from pathlib import Path

import pytest

from ocelog.errors import SchemaError
from ocelog.schema.language.fields import Array, Field, Integer, Json, Object, Text, Timestamp, Validate
from ocelog.schema.language.parse import parse_schema, read_schema

WHOLE = """\
schema: Acme.Door
description: Who went
  through which door.
referenceURL: https://acme.example/doors
version: 3
fields:
  - name: id
    type: string
    required: true
    indicators: [trace_id]
    validate: {allow: [a, b], deny: [c]}
  - {name: small, type: smallint}
  - {name: whole, type: int}
  - {name: big, type: bigint}
  - {name: share, type: float}
  - {name: open, type: boolean}
  - {name: at, type: timestamp, timeFormats: [unix_ms, '%Y-%m-%d'], isEventTime: true}
  - {name: rest, type: json}
  - name: doors
    type: array
    element:
      type: object
      fields:
        - {name: door, type: string, validate: {ip: any, cidr: ipv4}}
        - name: tags
          type: array
          element: {type: string, indicators: [aws_tag]}
"""


def refused(text: str) -> str:
    with pytest.raises(SchemaError) as caught:
        parse_schema(text, "doors.yml")
    return str(caught.value)


def with_field(field: str) -> str:
    return f"schema: A\nfields:\n  - {{name: id, type: string}}\n  - {field}\n"


def test_every_type_of_the_language_is_read() -> None:
    schema = parse_schema(WHOLE, "doors.yml")
    assert (schema.log_type, schema.version, schema.reference_url) == ("Acme.Door", 3, "https://acme.example/doors")
    assert schema.description == "Who went through which door."
    by_name = {field.name: field for field in schema.fields}
    validate = Validate(allow=frozenset("ab"), deny=frozenset("c"))
    assert by_name["id"] == Field(name="id", type=Text(indicators=("trace_id",), validate=validate), required=True)
    assert [by_name[name].type for name in ("small", "whole", "big")] == [Integer(bits=bits) for bits in (16, 32, 64)]
    assert by_name["at"].type == Timestamp(formats=("unix_ms", "%Y-%m-%d"), event_time=True)
    assert by_name["rest"].type == Json()
    door = Field(name="door", type=Text(validate=Validate(ip="any", cidr="ipv4")))
    tags = Field(name="tags", type=Array(element=Text(indicators=("aws_tag",))))
    assert by_name["doors"].type == Array(element=Object(fields=(door, tags)))


def test_yaml_aliases_are_read() -> None:
    text = "schema: A\nfields:\n  - {name: a, type: object, fields: &f [{name: id, type: string}]}\n"
    schema = parse_schema(text + "  - {name: b, type: object, fields: *f}\n", "a.yml")
    assert schema.fields[0].type == schema.fields[1].type


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("schema: A\nfeilds: []\n", "doors.yml:2: unknown key 'feilds'; did you mean 'fields'?"),
        ("schema: A\n", "doors.yml:1: `fields` is missing"),
        ("fields:\n  - {name: id, type: string}\n", "doors.yml:1: `schema` is missing"),
        ("schema: A\nfields: []\n", "doors.yml:2: expected at least one field, found an empty list"),
        ("schema: A\nfields: {}\n", "doors.yml:2: expected a list, found a mapping"),
        ("schema: A\nschema: B\nfields: []\n", "doors.yml:2: the key 'schema' appears twice"),
        ("schema: [A]\nfields:\n  - {name: id, type: string}\n", "doors.yml:1: expected text, found a list"),
        ("schema: A\nversion: one\nfields:\n  - {name: id, type: string}\n", "doors.yml:2: expected a whole number"),
        ("", "doors.yml:1: the file is empty"),
        ("schema: A\nfields: [\n", "doors.yml:2: this is not YAML"),
        ("[" * 500_000, "doors.yml:1: nested more than 200 deep"),
        (with_field("{name: x, type: strin}"), "doors.yml:4: unknown type 'strin'; did"),
        (with_field("{name: x, type: strin}"), "did you mean 'string'?"),
        (
            with_field("{name: x, type: string, requird: true}"),
            "unknown key 'requird' of type string; did you mean 'req",
        ),
        (with_field("{name: x, type: string, required: maybe}"), "doors.yml:4: expected true or false, found 'maybe'"),
        (with_field("{name: x, type: int, indicators: [ip]}"), "doors.yml:4: unknown key 'indicators' of type int"),
        (with_field("{name: x, type: string, indicators: [IP]}"), "did you mean 'ip'?"),
        (with_field("{name: x, type: timestamp, timeFormats: [rfc339]}"), "did you mean 'rfc3339'?"),
        (with_field("{name: x, type: string, validate: {ipv4: true}}"), "doors.yml:4: unknown key 'ipv4'"),
        (with_field("{name: ID, type: string}"), "doors.yml:4: the field 'ID' appears twice (as 'id'"),
        (with_field("{name: p_row_id, type: string}"), "names that begin with p_ are reserved"),
        (
            with_field("{name: a.b, type: string}"),
            "'a.b' is not a valid name for a field: use letters, digits, spaces and _@$:/-",
        ),
        (with_field("{name: x, type: array}"), "doors.yml:4: `element` is missing"),
        (with_field("{type: string}"), "doors.yml:4: `name` is missing"),
        ("schema: ''\nfields:\n  - {name: id, type: string}\n", "doors.yml:1: '' is not a valid name for a log type"),
        (
            "schema: ../x\nfields:\n  - {name: id, type: string}\n",
            "doors.yml:1: '../x' is not a valid name for a log type",
        ),
        (
            'schema: "A\\n"\nfields:\n  - {name: id, type: string}\n',
            "doors.yml:1: 'A\\n' is not a valid name for a log type",
        ),
        (
            with_field("{name: x, type: object, fields: []}"),
            "doors.yml:4: expected at least one field (`json` takes any",
        ),
        (with_field("{name: x, type: timestamp, timeFormats: []}"), "doors.yml:4: expected at least one format"),
        (
            with_field("{name: x, type: timestamp, timeFormats: ['%Y', '%Q']}"),
            "no date can be read with '%Q': 'Q' is a bad",
        ),
        (with_field("{name: x, type: timestamp, timeFormats: ['%']}"), "no date can be read with '%': "),
        (with_field("{name: x, type: timestamp, timeFormats: ['%d %d']}"), "no date can be read with '%d %d': "),
        (with_field("{name: x, type: string, validate: {allow: []}}"), "doors.yml:4: expected at least one text"),
        ("schema: A\n\0", "doors.yml:2: this is not YAML: control characters are not allowed"),
        (with_field("{name: , type: string}"), "doors.yml:4: `name` is missing"),
    ],
)
def test_a_bad_file_is_told_where_what_is_wrong(text: str, complaint: str) -> None:
    assert complaint in refused(text)


@pytest.mark.parametrize(
    "field",
    [
        "{name: x, ref: Other}",
        "{name: x, type: string, rename: {from: y}}",
        "{name: x, type: string, mask: {type: sha256}}",
        "{name: x, type: json, isEmbeddedJSON: true}",
    ],
)
def test_parts_of_the_language_that_come_later_are_refused_as_such(field: str) -> None:
    assert "doors.yml:4:" in refused(with_field(field))
    assert "is not supported yet" in refused(with_field(field))


def test_a_small_file_cannot_describe_a_huge_schema() -> None:
    lines = ["schema: A", "fields:", "  - {name: a, type: object, fields: &f0 [{name: x, type: string}]}"]
    for n in range(1, 20):
        twice = f"[{{name: l, type: object, fields: *f{n - 1}}}, {{name: r, type: object, fields: *f{n - 1}}}]"
        lines.append(f"  - {{name: b{n}, type: object, fields: &f{n} {twice}}}")
    assert "5,000 fields" in refused("\n".join(lines))


def test_a_file_that_cannot_be_read_is_told_as_such(tmp_path: Path) -> None:
    with pytest.raises(SchemaError, match=r"missing\.yml:1: the file cannot be read"):
        read_schema(tmp_path / "missing.yml")
    (tmp_path / "latin.yml").write_bytes(b"schema: \xff\n")
    with pytest.raises(SchemaError, match="not UTF-8 text"):
        read_schema(tmp_path / "latin.yml")
    (tmp_path / "large.yml").write_bytes(b"#" * 1_000_001)
    with pytest.raises(SchemaError, match="at most 1,000,000 bytes"):
        read_schema(tmp_path / "large.yml")


def test_a_file_of_the_disk_reads_like_its_text(tmp_path: Path) -> None:
    (tmp_path / "doors.yml").write_text(WHOLE, encoding="utf-8")
    assert read_schema(tmp_path / "doors.yml") == parse_schema(WHOLE, "doors.yml")
