"""Judge a week of the simulated tenant by the rules that are on by default; write how many alerts they make.

python scripts/alerts.py

It writes the table of docs/how-to/work-with-alerts.md. Every version that the tenant had is judged, at the instant at
which Wiz would have shown it, and matches are grouped by those instants. What is open when the week begins is known.
Rules that look by query, and correlations, are not asked: they need a lake and a week of their own schedule.
"""

import json
import sys
from contextlib import closing
from datetime import timedelta
from itertools import repeat
from pathlib import Path

from ocelog.alert.grouping import Grouping, GroupingInput
from ocelog.alert.would_be import PastMatch, WouldBeAlerts
from ocelog.app.log_types import changing, kinds
from ocelog.app.shaping import shaper_of
from ocelog.detect.bundle import read_bundle
from ocelog.detect.folders import BUILT_IN
from ocelog.detect.rule import Kind
from ocelog.model import Origin, Stamp
from ocelog.pull.versions import row_names
from ocelog.rule_workers.judge import Judge
from ocelog.rule_workers.wire import LoadedRule
from wizsim.instants import parse
from wizsim.world import World

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "how-to" / "work-with-alerts.md"
BEGIN, END = "<!-- week: written by scripts/alerts.py -->", "<!-- week: end -->"
DAYS = 7
RATE = 0.0032
"""Changes a second: as many audit entries a day as there were in the days before."""
SIZE = {"audit": 2_000, "issues": 800, "findings": 4_000}
_DAY = timedelta(days=1)
_PIECE = 500


def week() -> tuple[dict[str, list[tuple[int, bytes]]], int]:
    """Return what a tenant showed in a week and before, by type, each with its instant; and when the week began."""
    world = World(seed=7, rate=RATE, late=20, audit=SIZE["audit"], issues=SIZE["issues"], findings=SIZE["findings"])
    began = world.now()
    world.advance(DAYS * _DAY.total_seconds())
    found: dict[str, list[tuple[int, bytes]]] = {name: [] for name in SIZE}
    for line in world.truth:
        if line["kind"] == "version" and (line["type"] != "audit" or parse(line["visible_at"]) >= began):
            found[line["type"]].append((parse(line["visible_at"]), json.dumps(line["record"]).encode()))
    return {name: sorted(each) for name, each in found.items()}, began


def counts() -> tuple[dict[str, int], dict[str, LoadedRule]]:
    """Return how many alerts people would have been told of in the week, by rule, and the rules that were asked."""
    shown, began = week()
    log_types = {kind.short: name for name, kind in kinds().items()}
    judge = Judge(changing=changing())
    with closing(judge):
        loaded = judge.load(read_bundle(Path(BUILT_IN.path)))
        asked = {name: rule for name, rule in loaded.rules.items() if rule.about.enabled and rule.kind is Kind.RULE}
        alerts = {name: _grouped(rule) for name, rule in asked.items()}
        for type_, versions in shown.items():
            log_type = log_types[type_]
            matches: dict[str, list[PastMatch]] = {name: [] for name in asked}
            for at in range(0, len(versions), _PIECE):
                _judge(judge, log_type, versions[at : at + _PIECE], matches)
            for name, found in matches.items():
                if asked[name].about.create_alert:
                    alerts[name].add(found)
    told = {name: sum(each.opened_us >= began for each in found.listed()) for name, found in alerts.items()}
    return told, asked


def _grouped(rule: LoadedRule) -> WouldBeAlerts:
    about = rule.about
    grouping = Grouping(rule=about.id, period=timedelta(minutes=about.dedup_minutes), threshold=about.threshold)
    return WouldBeAlerts(grouping, lives_with_record=about.lives_with_record)


def _judge(judge: Judge, log_type: str, versions: list[tuple[int, bytes]], matches: dict[str, list[PastMatch]]) -> None:
    shaped = shaper_of(log_type).shape([record for _, record in versions])
    if len(shaped.ids) != len(versions):
        raise SystemExit(f"{log_type}: a record of the simulator does not fit its schema")
    names = list(map(row_names("week", log_type), shaped.ids, shaped.versions, repeat(0)))
    stamp = Stamp(source_id="week", source_label="week", origin=Origin.LIVE, observed_us=0, parsed_us=0)
    rows = shaped.table(range(len(names)), names, stamp)
    judged = judge.judge(rows, log_type=log_type)
    if judged.errors or judged.unjudged:
        raise SystemExit(f"{log_type}: {[*judged.errors, *judged.unjudged][0]}")
    for match in judged.matches:
        if match.rule in matches:
            verdict = match.verdict
            joining = GroupingInput(
                row_id=names[match.row], dedup=verdict.dedup, event_us=versions[match.row][0], unique=verdict.unique
            )
            past = PastMatch(
                joining=joining, title=verdict.title, severity=verdict.severity, record_id=shaped.ids[match.row]
            )
            matches[match.rule].append(past)


def table() -> str:
    """Return the figures as Markdown."""
    told, asked = counts()
    total = sum(told.values())
    some = sorted(((count, name) for name, count in told.items() if count), key=lambda each: (-each[0], each[1]))
    silent = len(asked) - len(some)
    summary = f"{total} alerts in the week, {total / DAYS:.0f} a day. {silent} of {len(asked)} rules told of nothing."
    rows = [f"| `{name}` | {count} | {count / DAYS:.1f} |" for count, name in some]
    return "\n".join(
        [
            summary,
            "",
            "| rule | alerts | a day |",
            "| --- | --- | --- |",
            *rows,
        ]
    )


def main() -> int:
    """Write the table into the page."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    PAGE.write_text(f"{before}{BEGIN}\n{table()}\n{END}{after}", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
