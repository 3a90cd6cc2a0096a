"""Which states of a record are the same version."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from msgspec.structs import replace

from ocelog.model import table_name
from ocelog.schema.language.parse import parse_schema
from ocelog.schema.shape import compile_shaper
from ocelog.schema.versions.canonical import CanonicalJson
from ocelog.sources.wiz.streams import KINDS
from shaping import AUDIT, FINDINGS, ISSUES, STAMP, TINY, TINY_KIND, page, rows, shaper_of, tiny
from shaping.golden import FOLDER

AT = "2026-03-25T05:46:26.681576Z"
ISSUE: dict[str, Any] = {
    "id": "i",
    "createdAt": AT,
    "statusChangedAt": AT,
    "status": "OPEN",
    "projects": [{"id": "1", "name": "a", "riskProfile": {"x": 1, "y": 2}}, {"id": "2", "name": "b"}],
    "sourceRule": {"id": "r", "name": "n" * 1_200},
    "notes": [{"id": 1}, {"id": 2}],
    "entitySnapshot": {"id": "e", "tags": {"k": "v", "l": ["a", "b"]}, "createdAt": AT},
}


def version(shaper: Any, record: Any) -> str:
    raw = record if isinstance(record, bytes) else json.dumps(record).encode()
    at_once = shaper.shape(b"[" + raw + b"]")
    one_by_one = shaper.shape([raw])
    assert at_once.rejections == one_by_one.rejections == []
    assert at_once.versions == one_by_one.versions
    return str(at_once.versions[0])


@pytest.mark.parametrize(
    "change",
    [
        {"status": "RESOLVED"},
        {"status": None},
        {"dueAt": AT},
        {"projects": []},
        {"projects": [{"id": "1", "name": "a", "riskProfile": {"x": 1, "y": 3}}, {"id": "2", "name": "b"}]},
        {"projects": [{"id": "1", "name": "a", "riskProfile": {"x": 1, "y": 2}}]},
        {"sourceRule": {"id": "r", "name": "n" * 1_199 + "m"}},
        {"notes": [{"id": 1}, {"id": 2}, {"id": 2}]},
        {"notes": [{"id": "1"}, {"id": 2}]},
        {"entitySnapshot": {"id": "e", "tags": {"k": "v", "l": ["b", "a"]}, "createdAt": AT}},
        {"entitySnapshot": {"id": "e", "tags": {"k": "V", "l": ["a", "b"]}, "createdAt": AT}},
        {"entitySnapshot": {"id": "e", "tags": {"k": "v", "l": ["a", "b"]}}},
        {"statusChangedAt": "2026-03-25T05:46:26.681577Z"},
        {"id": "j"},
    ],
)
def test_what_a_person_would_call_a_change_is_another_version(change: Any) -> None:
    shaper = shaper_of(ISSUES)
    assert version(shaper, ISSUE) != version(shaper, {**ISSUE, **change})


@pytest.mark.parametrize(
    "same",
    [
        dict(reversed(ISSUE.items())),
        {**ISSUE, "projects": ISSUE["projects"][::-1]},
        {**ISSUE, "notes": ISSUE["notes"][::-1]},
        {**ISSUE, "dueAt": None, "resolvedAt": None},
        {**ISSUE, "entitySnapshot": {"id": "e", "tags": {"l": ["a", "b"], "k": "v", "z": None}, "createdAt": AT}},
        {**ISSUE, "statusChangedAt": AT.replace("Z", "+00:00")},
        {**ISSUE, "statusChangedAt": AT.replace("Z", "999Z")},
        {**ISSUE, "severity": "HIGH"},
        {**ISSUE, "type": "x", "updatedAt": AT},
    ],
)
def test_order_spaces_nulls_and_fields_off_the_list_make_no_version(same: Any) -> None:
    shaper = shaper_of(ISSUES)
    assert version(shaper, ISSUE) == version(shaper, same)
    assert version(shaper, ISSUE) == version(shaper, json.dumps(same, indent=3).encode())


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: str(kind.log_type))
def test_a_key_that_is_absent_is_null_and_nothing_else(kind: Any) -> None:
    lines = (FOLDER / f"{table_name(kind.log_type)}.records.jsonl").read_text().splitlines()
    whole = [json.loads(line) for line in lines]
    absent = [{key: value for key, value in record.items() if value is not None} for record in whole]
    assert absent != whole
    shaper = shaper_of(kind)
    was, now = shaper.shape(page(whole)), shaper.shape(page(absent))
    assert (now.versions, len(now.rejections)) == (was.versions, len(was.rejections))
    typed = [{k: v for k, v in row.items() if k != "raw"} for row in rows(now)]
    assert typed == [{k: v for k, v in row.items() if k != "raw"} for row in rows(was)]


def test_a_boolean_and_its_text_are_the_same() -> None:
    shaper = shaper_of(FINDINGS)
    finding = {"id": "f", "updatedAt": AT, "validatedInRuntime": True}
    assert version(shaper, finding) == version(shaper, {**finding, "validatedInRuntime": "true"})
    assert version(shaper, finding) != version(shaper, {**finding, "validatedInRuntime": "false"})


def test_a_number_is_the_same_however_it_is_written() -> None:
    shaper = shaper_of(FINDINGS)
    texts = [b'{"id":"f","updatedAt":"%b","score":%b}' % (AT.encode(), score) for score in (b"7", b"7.0", b"70e-1")]
    assert len({version(shaper, text) for text in texts}) == 1


def test_a_list_whose_order_counts_is_hashed_in_order() -> None:
    ordered = compile_shaper(parse_schema(TINY, "t.yml"), replace(TINY_KIND, set_like=frozenset()))
    record = {"id": "x", "at": AT, "words": ["a", "b"]}
    assert version(ordered, record) != version(ordered, {**record, "words": ["b", "a"]})
    assert version(tiny(), record) == version(tiny(), {**record, "words": ["b", "a"]})


def test_free_json_in_a_list_is_the_same_however_it_is_written() -> None:
    text = TINY.replace("words, type: array, element: {type: string}", "words, type: array, element: {type: json}")
    shaper = tiny(text)
    one = b'{"id":"x","at":"%b","words":[{"a":1,"b":[2]},null,3]}' % AT.encode()
    other = b'{"id":"x","at":"%b","words":[3,{"b": [2], "a": 1},null]}' % AT.encode()
    assert version(shaper, one) == version(shaper, other)
    assert version(shaper, one) != version(shaper, other.replace(b"[2]", b"[3]"))
    assert rows(shaper.shape(b"[" + other + b"]"))[0]["words"] == ["3", '{"b": [2], "a": 1}', None]


def test_text_cannot_pass_for_the_hash_of_other_text() -> None:
    shaper = tiny()
    long = {"id": "x", "at": AT, "free": "y" * 1_500}
    stands_for = CanonicalJson(unordered=False).texts([json.dumps(long["free"]).encode()])[0]
    assert len(bytes(stands_for)) < 100
    assert version(shaper, long) != version(shaper, {**long, "free": bytes(stands_for).decode()})


def test_a_new_field_that_is_null_changes_no_version() -> None:
    wider = TINY.replace(
        "  - {name: at,", "  - {name: also, type: json}\n  - {name: more, type: string}\n  - {name: at,"
    )
    kind = replace(TINY_KIND, version_fields=(*(TINY_KIND.version_fields or ()), "also", "more"))
    record = {"id": "x", "at": AT, "text": "t"}
    after = compile_shaper(parse_schema(wider, "t.yml"), kind)
    assert version(tiny(), record) == version(after, record) == version(after, {**record, "also": None, "more": None})


def test_rows_of_each_former_release_are_recognised_and_a_later_change_is_one() -> None:
    wider = TINY.replace(
        "  - {name: at,", "  - {name: also, type: string}\n  - {name: more, type: string}\n  - {name: at,"
    )
    first = TINY_KIND.version_fields or ()
    schema = parse_schema(wider, "t.yml")
    releases = [
        compile_shaper(schema, replace(TINY_KIND, version_fields=(*first, *later), later_fields=entries))
        for later, entries in (
            ((), ()),
            (("also",), (frozenset({"also"}),)),
            (("also", "more"), (frozenset({"also"}), frozenset({"more"}))),
        )
    ]
    record = {"id": "x", "at": AT, "text": "t", "also": "a", "more": "m"}
    stored = [version(shaper, record) for shaper in releases]
    assert len(set(stored)) == 3
    for number, shaper in enumerate(releases):
        (old,) = shaper.shape(page([record])).old_versions
        assert list(old) == stored[:number][::-1]
    (changed,) = releases[2].shape(page([{**record, "more": "n"}])).old_versions
    assert stored[1] in changed, "what was unknown then is not a change"
    assert stored[2] not in (*changed, version(releases[2], {**record, "more": "n"}))


def test_an_audit_entry_is_its_id() -> None:
    shaper = shaper_of(AUDIT)
    entry = {"id": "a", "action": "Login", "timestamp": AT}
    assert version(shaper, entry) == version(shaper, {**entry, "action": "Logout", "status": "FAILED"})
    assert version(shaper, entry) != version(shaper, {**entry, "id": "b"})


def test_versions_stay_what_they_are_from_release_to_release() -> None:
    assert (
        version(shaper_of(AUDIT), {"id": "a", "action": "Login", "timestamp": AT}) == "54240ca127047de2ad4aa523a8e1d457"
    )
    assert version(shaper_of(ISSUES), ISSUE) == "f27d40551668c10e7dd14e8654aaa7fc"


@pytest.mark.parametrize("name", ["text", "free", "words", "who"])
def test_a_record_cannot_be_changed_once_it_is_read(name: str) -> None:
    frame = tiny().reader.read(page([{"id": "x", "at": AT, "who": {"id": "w"}}])).frame
    (record,), (inside,) = frame.records, frame.objects[frame.layout.attributes.index("who")].frame.records
    with pytest.raises(AttributeError, match="immutable"):
        setattr(record, name, None)
    with pytest.raises(AttributeError, match="immutable"):
        inside.id = "v"


@pytest.mark.parametrize("keep", [[0, 1], [0]])
def test_hashing_leaves_the_record_as_it_was(keep: list[int]) -> None:
    """Also where some of its page were there before, and are not written again."""
    issue = {**ISSUE, "projects": ISSUE["projects"][::-1], "severity": "LOW"}
    shaped = shaper_of(ISSUES).shape(page([issue, {**issue, "id": "other"}]))
    row = shaped.table(keep, [f"{at:032x}" for at in keep], STAMP).to_pylist()[0]
    assert [project["id"] for project in row["projects"]] == ["2", "1"]
    assert json.loads(row["sourceRule"]) == ISSUE["sourceRule"]
    assert row["severity"] == "LOW"


def test_instants_of_a_page() -> None:
    shaped = shaper_of(ISSUES).shape(
        page(
            [
                {"id": "a", "createdAt": "2026-01-01T00:00:00Z"},
                {"id": "b", "createdAt": "2026-01-01T00:00:00Z", "statusChangedAt": "2026-01-02T00:00:00Z"},
                {"id": "c", "createdAt": "2026-01-01T00:00:00Z", "updatedAt": "2026-01-03T00:00:00Z"},
            ]
        )
    )
    day = 86_400_000_000
    start = 1_767_225_600_000_000
    assert shaped.cursor_us == [start, start + day, start]
    assert shaped.version_us == [start, start + day, start + 2 * day]
    assert shaped.last_event_us == start + 2 * day
    made = rows(shaped)
    assert [row["p_event_time"].day for row in made] == [1, 2, 3]
    assert [row["p_cursor_time"].day for row in made] == [1, 2, 1]
    assert [row["p_version_time"].day for row in made] == [1, 2, 3]
    assert made[0]["p_observed_at"] == datetime(2026, 5, 28, 20, 26, 40, tzinfo=UTC)
    assert made[0]["p_parse_time"] == datetime(1970, 1, 1, microsecond=7, tzinfo=UTC)


def test_an_event_without_a_time_of_its_own_happened_when_it_was_read() -> None:
    text = TINY.replace(", isEventTime: true", "")
    (row,) = rows(tiny(text).shape(page([{"id": "x", "at": AT}])))
    assert row["p_event_time"] == row["p_parse_time"]


def test_a_kind_that_names_what_the_schema_lacks_is_refused() -> None:
    schema = parse_schema(TINY, "t.yml")
    with pytest.raises(ValueError, match="Tiny has no timestamps text"):
        compile_shaper(schema, replace(TINY_KIND, cursor_field="text"))
    with pytest.raises(ValueError, match="Tiny has no fields nope"):
        compile_shaper(schema, replace(TINY_KIND, version_fields=("id", "nope")))


def test_the_deepest_nesting_that_is_kept_has_one_version_however_it_is_written() -> None:
    deep = b'{"a":1,"z":' * 250 + b'2,"n":null}' + b"}" * 249
    same = b'{"z": ' * 250 + b"2" + b',"a":1}' * 250
    shaper = tiny()
    records = [b'{"id":"x","at":"%b","free":%b}' % (AT.encode(), free) for free in (deep, same)]
    assert version(shaper, records[0]) == version(shaper, records[1])


@pytest.mark.parametrize("field", ["{name: id, type: string}", "{name: id, type: int, required: true}"])
def test_a_schema_whose_records_cannot_be_told_apart_is_refused(field: str) -> None:
    with pytest.raises(ValueError, match="needs a required string field `id`"):
        tiny(TINY.replace("{name: id, type: string, required: true}", field, 1))


@pytest.mark.parametrize(
    ("name", "before"),
    [
        ("wiz_issues", ["9838221ee08c189bf25db7625e0563b4", "0c6702e8db4a9551e4ec946244549ae8"]),
        ("wiz_vulnerability_finding", ["7910619a3fb5bb2fdf67203e3c3c5d19", "5b03a10338a942ec0693fbc5dd2c8541"]),
    ],
)
def test_rows_of_before_the_fields_that_came_later_have_the_hash_that_is_compared_with_them(
    name: str, before: list[str]
) -> None:
    """The hashes are those that the first release gave to the golden records."""
    shaper = shaper_of({table_name(kind): KINDS[kind] for kind in KINDS}[name])
    records = (FOLDER / f"{name}.records.jsonl").read_bytes().splitlines()
    fit = [raw for raw in records if not shaper.shape([raw]).rejections]
    later: dict[str, Any] = {
        "assignee": {"id": "u", "name": "Ada", "primaryEmail": "ada@example.com"},
        "resolutionNote": "done",
        "resolvedBy": {"type": "USER", "user": {"id": "u", "name": "Ada", "email": "a@b.example"}},
        "url": "https://app.wiz.io/issues",
        "rejectionExpiredAt": AT,
        "cisaKevDueDate": AT,
    }
    known = {field.name for field in shaper.schema.fields}
    for raw, old in zip(fit, before, strict=False):
        record = json.loads(raw)
        full = {**record, **{key: value for key, value in later.items() if key in known}}
        full["projects"] = [
            {**one, "projectOwners": [{"id": "o", "name": "Bob", "email": "bob@example.com"}]}
            for one in record.get("projects") or ()
        ] or record.get("projects")
        shaped = shaper.shape([raw, json.dumps(full).encode()])
        assert [each[-1] for each in shaped.old_versions] == [old, old]
        assert len({*shaped.versions, old}) == 3
        # Asking for them changes nothing of what lands.
        landed = rows(shaped)
        assert landed == rows(shaper.shape([raw, json.dumps(full).encode()]))


@pytest.mark.parametrize(
    ("change", "counts"),
    [
        ({"assignee": {"id": "u", "name": "Ada", "primaryEmail": "a@b.example"}}, True),
        ({"resolutionReason": "WONT_FIX"}, True),
        ({"resolutionNote": "x"}, True),
        ({"rejectionExpiredAt": AT}, True),
        ({"openReason": "SEVERITY_CHANGED"}, True),
        ({"resolvedBy": {"type": "USER", "user": {"id": "u"}}}, True),
        ({"url": "https://app.wiz.io/2"}, False),
        ({"projects": [{**one, "projectOwners": [{"id": "o"}]} for one in ISSUE["projects"]]}, False),
    ],
)
def test_what_came_later_counts_where_a_person_would_call_it_a_change(change: dict[str, Any], counts: bool) -> None:
    shaper = shaper_of(KINDS["Wiz.Issues"])
    assert (version(shaper, ISSUE) != version(shaper, {**ISSUE, **change})) is counts
