"""What a record that somebody pastes would become: an event or a rejection, and which rules would match it."""

import time
from collections.abc import Sequence
from contextlib import closing
from itertools import repeat
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from ocelog.app.rule_folders.rule_folders import listed
from ocelog.app.rules.rule_candidates import Candidate, judge_of
from ocelog.app.shaping import shaper_of
from ocelog.detect.bundle import read_bundle
from ocelog.detect.folders import RuleFolder
from ocelog.detect.rule import Rule
from ocelog.errors import ConfigError, OcelogError
from ocelog.installation.opening import Installation
from ocelog.languages.phrases import Phrase
from ocelog.model import Origin, Rejection, Stamp
from ocelog.pull.versions import row_names

MOST_BYTES = 250_000
MOST_RECORDS = 20
_records = msgspec.json.Decoder(list[msgspec.Raw])
_record = msgspec.json.Decoder(msgspec.Raw)


class SampleMatch(Struct, frozen=True, kw_only=True):
    """A rule that matches an event."""

    event: int
    """Which of the events, counted from 0."""
    rule: str
    title: str
    severity: str


class Sample(Struct, frozen=True, kw_only=True):
    """What came of records. Nothing of it is kept."""

    events: Sequence[dict[str, Any]]
    """As rows of the log type's table."""
    rejections: Sequence[Rejection]
    matches: Sequence[SampleMatch] = ()
    asked: int = 0
    """How many rules were asked: those that are on."""
    troubles: Sequence[str] = ()
    """Why rules said nothing."""


def sample(installation: Installation, log_type: str, text: str) -> Sample:
    """Shape what was pasted (one record, an array, or one record per line), and ask the rules that are on.

    Raises ConfigError if it is no such text, or too much.
    """
    records = _split(text)
    shaped = shaper_of(log_type).shape(records)
    now_us = time.time_ns() // 1000
    stamp = Stamp(source_id="sample", source_label="sample", origin=Origin.LIVE, observed_us=now_us, parsed_us=now_us)
    row_ids = list(map(row_names("sample", log_type), shaped.ids, shaped.versions, repeat(0)))
    rows = shaped.table(range(len(row_ids)), row_ids, stamp)
    matches, troubles, asked = list[SampleMatch](), list[str](), 0
    for folder in listed(installation) if rows.num_rows else ():
        rules = [
            each.id
            for each in folder.rules
            if each.status == "on" and isinstance(each.item, Rule) and log_type in each.log_types
        ]
        if not rules:
            continue
        asked += len(rules)
        try:
            found = _asked(installation, folder.folder, rows, log_type, rules)
        except OcelogError as error:
            troubles.append(f"{folder.folder.name}: {error}")
            continue
        matches += found[0]
        troubles += found[1]
    return Sample(
        events=rows.to_pylist(),
        rejections=shaped.rejections,
        matches=sorted(matches, key=lambda each: (each.event, each.rule)),
        asked=asked,
        troubles=troubles,
    )


def _split(text: str) -> list[bytes]:
    content = text.strip().removeprefix("\ufeff").encode("utf-8", "replace")
    if not content:
        raise ConfigError(Phrase("Paste a record: a JSON object, an array of such, or one on each line."))
    if len(content) > MOST_BYTES:
        raise ConfigError(
            Phrase(
                "That has %(content)s bytes; up to %(most_bytes)s are taken here. For a file: ocelog shape --help",
                content=format(len(content), ","),
                most_bytes=format(MOST_BYTES, ","),
            )
        )
    try:
        found = _records.decode(content) if content.startswith(b"[") else [_record.decode(content)]
    except (msgspec.DecodeError, RecursionError) as error:
        # One record on each line is no JSON as a whole; whatever else it is, each line says so for itself.
        found = [msgspec.Raw(line) for line in content.splitlines() if line.strip()]
        if not all(line.lstrip().startswith(b"{") for line in map(bytes, found)):
            raise ConfigError(
                Phrase("That is not JSON: %(error)s. Paste a JSON object, or one on each line.", error=error)
            ) from error
    if len(found) > MOST_RECORDS:
        raise ConfigError(
            Phrase(
                "These are %(found)s records; up to %(most_records)s are taken at once.",
                found=format(len(found), ","),
                most_records=MOST_RECORDS,
            )
        )
    return [bytes(each) for each in found]


def _asked(
    installation: Installation, folder: RuleFolder, rows: Any, log_type: str, rules: Sequence[str]
) -> tuple[list[SampleMatch], list[str]]:
    path = Path(folder.path)
    judge = judge_of(installation, Candidate(id="", path=path, folder=folder))
    with closing(judge):
        judge.load(read_bundle(path))
        judged = judge.judge(rows, log_type=log_type, rules=rules)
    matches = [
        SampleMatch(event=each.row, rule=each.rule, title=each.verdict.title, severity=str(each.verdict.severity))
        for each in judged.matches
    ]
    troubles = [f"{each.rule}: {each.fault}" for each in judged.errors]
    return matches, troubles + [f"{each.rule}: {each.reason}" for each in judged.unjudged]
