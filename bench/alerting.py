"""How long it takes from an event's landing to its channel being called, in `ocelog run`, with rules that do alert.

The simulator changes 200 times a second. 60 rules judge each event, and each opens an alert for one event in 50 of its
own log type. A webhook on this machine notes when it hears of each; when the event became a row is in the row.

python bench/alerting.py [SECONDS]
"""

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from statistics import quantiles
from typing import ClassVar

from tenant import tenant

RULES = 60
SHARE = 50
RATE = 200
TYPES = ("Wiz.Audit", "Wiz.Issues", "Wiz.VulnerabilityFinding")
RULE = """\
AnalysisType: rule
RuleID: Bench.{number}
Enabled: true
Filename: bench{number}.py
LogTypes: [{log_type}]
Severity: LOW
"""
PYTHON = """\
import zlib


def rule(event):
    return zlib.crc32(event.get("p_row_id").encode()) % {share} == {number}


def title(event):
    return "one of many"


def dedup(event):
    return event.get("p_row_id")
"""


class Heard(BaseHTTPRequestHandler):
    """Notes when it hears of an alert first."""

    at: ClassVar[dict[str, float]] = {}

    def do_POST(self) -> None:
        """Take a notice."""
        told = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.at.setdefault(told["alertId"], time.time())
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def write_rules(folder: Path) -> None:
    """Write the rules."""
    folder.mkdir()
    for number in range(RULES):
        log_type = TYPES[number % len(TYPES)]
        (folder / f"bench{number}.yml").write_text(RULE.format(number=number, log_type=log_type))
        (folder / f"bench{number}.py").write_text(PYTHON.format(number=number // len(TYPES), share=SHARE * 20))


def main(seconds: float) -> None:
    """Print the quantiles."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Heard)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    changing = tenant(audit=100, issues=100, findings=100, rate=RATE, options="--late 0")
    with changing as where, tempfile.TemporaryDirectory(prefix="bench-") as folder:
        home, rules = Path(folder) / "home", Path(folder) / "rules"
        write_rules(rules)
        env = os.environ | {"OCELOG_HOME": str(home), "OCELOG_LOG_LEVEL": "error", "BENCH": where["CLIENT_SECRET"]}

        def ocelog(*arguments: str) -> str:
            command = [sys.executable, "-m", "ocelog", *arguments]
            return subprocess.run(command, env=env, check=True, capture_output=True, text=True).stdout

        ocelog("init")
        ocelog("rules", "add", str(rules), "--name", "bench")
        ocelog("rules", "disable", "Ocelog.*")
        env["BENCH_URL"] = f"http://127.0.0.1:{server.server_port}/"
        ocelog("channel", "add", "webhook", "here", "--secret-env", "url=BENCH_URL", "--set", "allow_private=yes")
        ocelog(
            *("source", "add", "wiz", "sim", "--token-url", where["TOKEN_URL"], "--api-url", where["API_URL"]),
            *("--client-id", where["CLIENT_ID"], "--client-secret-env", "BENCH"),
            *("--log-type", "audit", "--log-type", "issues", "--log-type", "findings", "--poll", "5s", "--rate", "100"),
        )
        ocelog("pull")
        process = subprocess.Popen([sys.executable, "-m", "ocelog", "run"], env=env, stderr=subprocess.DEVNULL)
        time.sleep(seconds)
        process.terminate()
        process.wait()
        sql = (
            "SELECT m.alert_id, min(epoch(e.p_parse_time)) AS landed FROM rule_matches m JOIN all_logs e "
            "ON e.p_row_id = m.event_row_id GROUP BY ALL"
        )
        landed = {each["alert_id"]: float(each["landed"]) for each in json.loads(ocelog("query", "-o", "json", sql))}
        events = json.loads(ocelog("query", "-o", "json", "SELECT count(*) AS n FROM all_logs"))[0]["n"]
    took = sorted(at - landed[name] for name, at in Heard.at.items() if name in landed)
    cut = quantiles(took, n=100)
    print(f"{'events':>8}{'alerts':>8}{'median s':>10}{'p90 s':>8}{'p99 s':>8}{'most s':>8}")
    print(f"{events:8}{len(took):8}{cut[49]:10.2f}{cut[89]:8.2f}{cut[98]:8.2f}{took[-1]:8.2f}")


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 60.0)
