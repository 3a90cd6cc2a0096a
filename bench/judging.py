"""How fast rules judge events: in the child that keeps them in, beside a loop that calls them on dictionaries here.

Seconds are those of the processor, in this process and in the child; of several rounds the best counts, since whatever
else runs can only make one slower.
"""

import gc
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa

from ocelog.detect.bundle import Bundle
from ocelog.detect.checkout import parse_checkout
from ocelog.detect.evaluate import RuleSet
from ocelog.model import Origin, Stamp
from ocelog.rule_workers.judge import Judge
from ocelog.schema.columns.sent import SentRows
from ocelog.schema.language.packaged import packaged_schemas
from ocelog.schema.shape import compile_shaper
from ocelog.sources.wiz.streams import KINDS, SHORT_NAMES
from pages import pages_of

ROUNDS = 9
PAGES = 20
ACTIONS = (
    *("DeleteUser", "CreateUser", "UpdateUser", "DeleteIgnoreRule", "CreateIgnoreRule", "UpdateSAMLIdentityProvider"),
    *("DeleteConnector", "UpdateConnector", "CreateServiceAccount", "RotateServiceAccountSecret", "DeleteProject"),
    *("UpdateIPRestrictions", "DeleteAutomationRule", "ResetUserPassword", "UpdateScannerSettings", "RevokeSessions"),
)
PYTHON = """
ACTIONS = ["{action}", "{action}s"]


def rule(event):
    return event.get("status", "") == "SUCCESS" and event.get("action", "none") in ACTIONS


def title(event):
    actor = (event.get("user") or event.get("serviceAccount") or {{}}).get("name")
    return f"[Wiz]: {{actor}} did {{event.get('action')}}"


def dedup(event):
    return str(event.get("id"))


def severity(event):
    return "HIGH" if "Delete" in event.get("action", "") else "DEFAULT"


def alert_context(event):
    return {{name: event.get(name) for name in ("action", "user", "serviceAccount", "sourceIP", "actionParameters")}}
"""


def bundle(log_type: str) -> Bundle:
    """Return sixteen rules as people write them for an audit log."""
    files = dict[str, bytes]()
    for action in ACTIONS:
        head = f"AnalysisType: rule\nRuleID: Wiz.{action}\nEnabled: true\nLogTypes: [{log_type}]\nSeverity: Medium\n"
        files[f"{action}.yml"] = f"{head}Filename: {action}.py\n".encode()
        files[f"{action}.py"] = PYTHON.format(action=action).encode()
    return Bundle(root=Path("/rules"), files=files)


class Bench:
    """One log type's rows, and the ways to judge them."""

    def __init__(self, short: str) -> None:
        self.log_type = SHORT_NAMES[short]
        self.schema = packaged_schemas()[self.log_type]
        shaper = compile_shaper(self.schema, KINDS[self.log_type])
        stamp = Stamp(
            source_id="5f3c1d2e9a8b7c6d", source_label="Wiz", origin=Origin.BACKFILL, observed_us=1, parsed_us=2
        )
        ids = [f"{at:032x}" for at in range(500)]
        pages = [shaper.shape(page).table(range(500), ids, stamp) for page in pages_of(short, pages=PAGES)]
        self.table = pa.concat_tables(pages).combine_chunks()
        bundled = bundle(self.log_type)
        self.rules = RuleSet(parse_checkout(bundled))
        self.modules = [vars(each.module) for each in self.rules.detectors.values()]
        self.judge = Judge()
        self.judge.load(bundled)
        self.matches = set[int]()

    def naive(self) -> None:
        """Call the functions on dictionaries, as a script would; what comes of it is not checked."""
        rows = self.table.to_pylist()
        found = []
        for row in rows:
            if row.get("actionParameters"):
                row["actionParameters"] = json.loads(row["actionParameters"])
            for module in self.modules:
                if module["rule"](row):
                    names = ("title", "dedup", "severity", "alert_context")
                    found.append([module[name](row) for name in names])
        self.matches.add(len(json.loads(json.dumps(found, default=str))))

    def here(self) -> None:
        """Judge in this process, with all that the contract says of answers."""
        events = [self.rules.event(row, self.log_type) for row in SentRows(self.schema, self.table).dicts()]
        found = [
            verdict
            for detector in self.rules.detectors.values()
            for event in events
            if (verdict := detector.judge(event)).matched
        ]
        self.matches.add(len(found))

    def child(self) -> None:
        """Judge in a child: send the rows, and take the answers apart."""
        found = self.judge.judge(self.table, log_type=self.log_type)
        assert not found.errors
        assert not found.unjudged
        self.matches.add(len(found.matches))


def seconds(work: Callable[[], Any]) -> tuple[float, float]:
    """Return the processor's seconds of this process and of the child, and those of this process alone."""
    gc.collect()
    own, others = time.process_time(), of_children()
    work()
    own, others = time.process_time() - own, of_children() - others
    return own + others, own


def of_children() -> float:
    """Return the processor's seconds that the children of this process have used."""
    pids = [pid for each in Path("/proc/self/task").iterdir() for pid in (each / "children").read_text().split()]
    fields = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in pids]
    return sum(int(each[11]) + int(each[12]) for each in fields) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Print a line a log type."""
    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
    print(f"{'events/s':10}{'naive':>10}{'here':>10}{'child':>10}{'x naive':>10}{'parent us/event':>17}{'matches':>9}")
    for short in ("audit", "issues", "findings"):
        bench = Bench(short)
        ways: dict[str, list[tuple[float, float]]] = {"naive": [], "here": [], "child": []}
        bench.child()
        for _ in range(ROUNDS):
            for name, taken in ways.items():
                taken.append(seconds(getattr(bench, name)))
        bench.judge.close()
        count = len(bench.table)
        rates = {name: count / min(both for both, _ in taken) for name, taken in ways.items()}
        own = min(own for _, own in ways["child"]) / count * 1e6
        (matches,) = bench.matches
        print(
            f"{short:10}{rates['naive']:10,.0f}{rates['here']:10,.0f}{rates['child']:10,.0f}"
            f"{rates['child'] / rates['naive']:10.2f}{own:17.1f}{matches:9,}"
        )


if __name__ == "__main__":
    main()
