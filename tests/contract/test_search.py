"""A search finds what plain Python finds in the same rows, page by page, whatever stands in fields and values."""

import json
import random
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from msgspec.structs import replace

from ocelog.app.log_types import kinds, table_schemas
from ocelog.app.search import search
from ocelog.app.search.queries import ask
from ocelog.app.search.search import Condition, Operator, Search
from ocelog.errors import ConfigError
from ocelog.installation.opening import Installation
from ocelog.model import table_name
from visiting import console_of
from visiting.events import BEGIN, land, later, row

TEXTS = ("", "a", "A", "Wiz", "100%", "1_0", "' OR 1=1 --", '"x"', "\\", "수정", "ÀÉ", "a\nb", "{}", "null", "x, y")
LOG_TYPES = tuple(kinds())
SINCE, UNTIL = later(minutes=1), later(minutes=40)


def made(kind: pa.DataType, chance: random.Random) -> Any:
    """Make a value up."""
    if chance.random() < 0.25:
        return None
    if pa.types.is_struct(kind):
        return {kind.field(at).name: made(kind.field(at).type, chance) for at in range(kind.num_fields)}
    if pa.types.is_list(kind):
        found = (made(kind.value_type, chance) for _ in range(chance.randrange(3)))
        return [each for each in found if each is not None]
    if pa.types.is_boolean(kind):
        return chance.random() < 0.5
    if pa.types.is_integer(kind):
        return chance.choice((-1, 0, 1, 7))
    if pa.types.is_floating(kind):
        return chance.choice((-1.5, 0.0, 0.5, 7.25))
    if pa.types.is_timestamp(kind):
        return chance.choice((later(minutes=1), later(minutes=1, microseconds=1), datetime(1, 1, 2, tzinfo=UTC)))
    return chance.choice(TEXTS)


def rows_of(log_type: str) -> list[dict[str, Any]]:
    chance = random.Random(log_type)
    columns = [each for each in table_schemas()[table_name(log_type)] if each.name not in row(log_type, "", BEGIN)]
    edges = [SINCE, SINCE - timedelta(microseconds=1), UNTIL, UNTIL - timedelta(microseconds=1)]
    times = [*edges, *(later(minutes=chance.randrange(60)) for _ in range(36))]
    return [
        row(log_type, f"r{at}", time, **{each.name: made(each.type, chance) for each in columns})
        for at, time in enumerate(times)
    ]


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Installation, Mapping[str, list[dict[str, Any]]]]]:
    with console_of(tmp_path_factory.mktemp("search") / "home") as console:
        every = {log_type: rows_of(log_type) for log_type in LOG_TYPES}
        for log_type, rows in every.items():
            land(console.installation, log_type, rows[:20], publish=True)
            land(console.installation, log_type, rows[20:])
        yield console.installation, every


def at(value: Any, path: str) -> Any:
    for name in path.split("."):
        value = None if value is None else value.get(name)
    return value


def shown(value: Any) -> str:
    """Write a value as the engine writes it as a text."""
    if isinstance(value, datetime):
        after = f".{value.microsecond:06}".rstrip("0") if value.microsecond else ""
        return f"{value.isoformat(' ', 'seconds').removesuffix('+00:00')}{after}+00"
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)


def read(text: str, kind: pa.DataType) -> Any:
    if pa.types.is_boolean(kind):
        return text.lower() == "true"
    if pa.types.is_integer(kind):
        return int(text)
    if pa.types.is_floating(kind):
        return float(text)
    return datetime.fromisoformat(text) if pa.types.is_timestamp(kind) else text


def fits(value: Any, condition: Condition, kind: pa.DataType) -> bool:
    """Say what the engine should."""
    wanted = condition.value
    if condition.operator is Operator.MISSING:
        return value is None or (value == [] and pa.types.is_list(kind))
    if pa.types.is_list(kind):
        if pa.types.is_string(kind.value_type):
            has = wanted in (value or [])
        else:
            written = json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=shown)
            has = value is not None and wanted.lower() in written.lower()
        return has != (condition.operator is Operator.IS_NOT)
    if condition.operator is Operator.HAS:
        return value is not None and wanted.lower() in shown(value).lower()
    if condition.operator is Operator.IS_NOT:
        return bool(value != read(wanted, kind))
    if value is None:
        return False
    other = read(wanted, kind)
    return bool(
        {Operator.IS: value == other, Operator.ABOVE: value > other, Operator.BELOW: value < other}[condition.operator]
    )


def values_for(kind: pa.DataType) -> Sequence[str]:
    if pa.types.is_boolean(kind):
        return ("true", "FALSE")
    if pa.types.is_integer(kind):
        return ("0", "-1", "99999999999999999999")
    if pa.types.is_floating(kind):
        return ("0.5", "-1.5", "inf", "1e300")
    if pa.types.is_timestamp(kind):
        return ("2026-03-30T12:01:00Z", "2026-03-30T14:01:00.000001+02:00", "0001-01-02T00:00:00Z")
    return TEXTS


def found(installation: Installation, searches: Sequence[Search]) -> list[set[str]]:
    """Return the rows that each search finds, asked all at once."""
    answers = [set[str]() for _ in searches]
    step = 60
    for begin in range(0, len(searches), step):
        parts = [
            f"SELECT {number} AS number, p_row_id FROM ({search.statement(each, [], limit=None)}) AS found"  # noqa: S608
            for number, each in enumerate(searches[begin : begin + step], begin)
        ]
        with ask(installation, "\nUNION ALL\n".join(parts)) as answer:
            for each in (each for batch in answer.batches for each in batch.to_pylist()):
                answers[each["number"]].add(each["p_row_id"])
    return answers


@pytest.mark.slow
def test_every_operator_finds_in_every_type_of_field_what_python_finds(
    lake: tuple[Installation, Mapping[str, list[dict[str, Any]]]],
) -> None:
    installation, every = lake
    searches, expected, types = list[Search](), list[set[str]](), set[str]()
    for log_type in LOG_TYPES:
        chance = random.Random(log_type)
        paths = search.paths_of(search.columns_of(log_type))
        by_type = dict[str, list[str]]()
        for path, kind in paths.items():
            by_type.setdefault(str(kind)[:40], []).append(path)
        types |= set(by_type)
        for listed in by_type.values():
            for path in chance.sample(listed, min(len(listed), 3)):
                kind = paths[path]
                operators = [
                    each
                    for each in Operator
                    if not pa.types.is_list(kind) or each not in (Operator.ABOVE, Operator.BELOW)
                ]
                for operator in operators:
                    value = chance.choice(values_for(kind))
                    condition = Condition(field=path, operator=operator, value=value)
                    searches.append(Search(since=SINCE, until=UNTIL, log_type=log_type, conditions=[condition]))
                    expected.append(
                        {
                            each["p_row_id"]
                            for each in every[log_type]
                            if SINCE <= each["p_event_time"] < UNTIL and fits(at(each, path), condition, kind)
                        }
                    )
    assert {"bool", "string", "timestamp[us, tz=UTC]", "list<element: string>"} & types
    assert any(expected)
    for wanted, ours, theirs in zip(searches, found(installation, searches), expected, strict=True):
        assert ours == theirs, wanted.conditions


def texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from texts(each)
    elif isinstance(value, list) and all(isinstance(each, str) for each in value):
        yield from value
    elif isinstance(value, list):
        yield json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=shown)


@pytest.mark.slow
@pytest.mark.parametrize("log_type", LOG_TYPES)
def test_text_and_indicators_are_found_wherever_they_stand(
    lake: tuple[Installation, Mapping[str, list[dict[str, Any]]]], log_type: str
) -> None:
    installation, every = lake
    rows = [each for each in every[log_type] if SINCE <= each["p_event_time"] < UNTIL]
    # In the id of a row there is no other letter than of a hexadecimal number.
    sought = [*filter(None, TEXTS), rows[0]["p_row_id"][4:24].upper(), rows[-1]["p_version"]]
    searches = [Search(since=SINCE, until=UNTIL, log_type=log_type, text=each) for each in sought]
    searches += [Search(since=SINCE, until=UNTIL, log_type=log_type, indicator=each) for each in TEXTS if each]
    for wanted, ours in zip(searches, found(installation, searches), strict=True):
        if wanted.text:
            theirs = {
                each["p_row_id"] for each in rows if any(wanted.text.lower() in one.lower() for one in texts(each))
            }
        else:
            lists = [name for name in rows[0] if name.startswith("p_any_")]
            theirs = {
                each["p_row_id"] for each in rows if any(wanted.indicator in (each[name] or []) for name in lists)
            }
        assert ours == theirs, wanted


@pytest.mark.slow
def test_a_text_is_found_in_any_field_of_all_logs(
    lake: tuple[Installation, Mapping[str, list[dict[str, Any]]]],
) -> None:
    installation, every = lake
    searches = [Search(since=SINCE, until=UNTIL, text=each) for each in TEXTS if each]
    for wanted in searches:
        with ask(installation, search.statement(wanted, [], limit=None)) as answer:
            ours = {(each["p_log_type"], each["p_row_id"]) for batch in answer.batches for each in batch.to_pylist()}
        theirs = {
            (log_type, each["p_row_id"])
            for log_type, rows in every.items()
            for each in rows
            if SINCE <= each["p_event_time"] < UNTIL and any(wanted.text.lower() in one.lower() for one in texts(each))
        }
        assert ours == theirs, wanted
    assert search.histogram(installation, searches[0]).total > 0


def test_an_indicator_is_found_in_all_logs(lake: tuple[Installation, Mapping[str, list[dict[str, Any]]]]) -> None:
    installation, every = lake
    wanted = Search(since=SINCE, until=UNTIL, indicator="100%")
    (ours,) = found(installation, [wanted])
    assert ours == {
        each["p_row_id"]
        for rows in every.values()
        for each in rows
        if SINCE <= each["p_event_time"] < UNTIL
        and any("100%" in (value or []) for name, value in each.items() if name.startswith("p_any_"))
    }


def test_bars_and_values_count_what_is_found(lake: tuple[Installation, Mapping[str, list[dict[str, Any]]]]) -> None:
    installation, every = lake
    wanted = Search(since=SINCE, until=UNTIL, log_type=LOG_TYPES[0])
    rows = [each for each in every[LOG_TYPES[0]] if SINCE <= each["p_event_time"] < UNTIL]
    bars = search.histogram(installation, wanted)
    assert bars.total == len(rows)
    for number, count in enumerate(bars.counts):
        begin = bars.since + number * bars.width
        assert count == sum(begin <= each["p_event_time"] < begin + bars.width for each in rows)
    assert sum(count for _, count in search.top_values(installation, wanted, "p_origin")) == len(rows)
    ages = Search(since=datetime(1, 1, 1, tzinfo=UTC), until=datetime(9999, 1, 1, tzinfo=UTC), log_type=LOG_TYPES[0])
    assert search.histogram(installation, ages).total == len(every[LOG_TYPES[0]])


@pytest.mark.parametrize("field", ['"', "id; DROP TABLE x", "id) OR (1=1", "p_row_id.x", "*", "", "no.such", "id--"])
def test_a_field_that_is_not_there_never_reaches_the_engine(field: str) -> None:
    wanted = Search(since=SINCE, until=UNTIL, log_type=LOG_TYPES[0])
    for operator in Operator:
        named = Search(
            since=SINCE,
            until=UNTIL,
            log_type=LOG_TYPES[0],
            conditions=[Condition(field=field, operator=operator, value="x")],
        )
        with pytest.raises(ConfigError, match="There is no field"):
            search.statement(named, [])
    with pytest.raises(ConfigError, match="There is no field"):
        search.statement(wanted, [field])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("p_event_time", "soon", "is a time: write one such as"),
        ("p_event_time", "0001-01-01T00:00:00+14:00", "is a time: write one such as"),
        ("epssPercentile", "high", "is of type"),
        ("hasExploit", "perhaps", "is of type bool"),
        ("p_schema_version", "1.5", "is of type int32"),
    ],
)
def test_a_value_that_a_field_cannot_have_is_told(field: str, value: str, told: str) -> None:
    conditions = [Condition(field=field, operator=Operator.IS, value=value)]
    wanted = Search(since=BEGIN, until=later(days=1), log_type="Wiz.VulnerabilityFinding", conditions=conditions)
    with pytest.raises(ConfigError, match=told):
        search.statement(wanted, [])


def test_a_search_has_so_many_conditions_and_so_long_texts() -> None:
    most = [Condition(field="id", operator=Operator.IS, value="x" * 1_000)] * 20
    longest = Search(
        since=BEGIN, until=later(days=1), log_type="Wiz.Audit", text="x" * 1_000, indicator="x" * 1_000, conditions=most
    )
    assert search.statement(longest, [])
    with pytest.raises(ConfigError, match="at most 20 conditions"):
        search.statement(replace(longest, conditions=[*most, most[0]]), [])
    longer = {
        "text": "x" * 1_001,
        "indicator": "x" * 1_001,
        "conditions": [Condition(field="id", operator=Operator.IS, value="x" * 1_001)],
    }
    for name, value in longer.items():
        with pytest.raises(ConfigError, match="at most 1,000 characters"):
            search.statement(replace(longest, **{name: value}), [])


def test_pages_lose_and_double_nothing_while_rows_land_between_them(tmp_path: Path) -> None:
    log_type, chance = LOG_TYPES[0], random.Random(5)
    wanted = Search(since=BEGIN, until=later(hours=2), log_type=log_type)
    with console_of(tmp_path / "home") as console:
        # Many at one instant, so that pages end among them.
        first = [row(log_type, f"a{number}", later(minutes=chance.randrange(4))) for number in range(40)]
        land(console.installation, log_type, first)
        seen, key, pages = list[str](), None, 0
        while True:
            page = search.find(console.installation, wanted, ["id"], after=key, limit=9)
            seen += [each["id"] for each in page.rows]
            pages += 1
            if (key := page.further) is None:
                break
            more = [row(log_type, f"b{pages}-{number}", later(minutes=number)) for number in range(6)]
            land(console.installation, log_type, more, publish=pages % 2 == 0)
        assert pages > 4
        assert len(seen) == len(set(seen))
        assert {each["id"] for each in first} <= set(seen)
