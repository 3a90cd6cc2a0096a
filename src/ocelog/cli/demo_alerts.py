"""What the demo shows of rules and alerts: what matches, who is told, and how an alert ends by itself."""

import json
import random
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import typer

from ocelog.app.alerts import alerts, channels
from ocelog.app.alerts.alert_wishes import Verb, Wish
from ocelog.app.alerts.channels import ChannelChange
from ocelog.app.loops.health import age_silence
from ocelog.app.sources.sources import GivenSecret
from ocelog.cli import show
from ocelog.cli.demo_receiver import Receiver, receiver
from ocelog.cli.simulator import Tenant
from ocelog.health.telling import ErrorType
from ocelog.installation.opening import Installation
from ocelog.shorten import shorten
from ocelog.times import rfc3339

MATCHES = """
SELECT rule_id AS rule, count(*) AS matches,
       repeat('━', ceil(16 * count(*) / max(count(*)) OVER ())::INT) AS histogram
FROM rule_matches GROUP BY rule_id ORDER BY matches DESC, rule LIMIT 10"""
_FILE, _WEBHOOK = "demo-file", "demo-webhook"
_AUDIT, _ISSUES = "Wiz.Audit", "Wiz.Issues"
_SILENCE = timedelta(hours=25)
"""The alarm is raised after 24 hours without an event, unless a person has chosen otherwise."""
_SILENT = "The audit log is silent (the demo sets Ocelog's clock of it 25 hours ahead)."
_ADMITTED = "The demo cannot wait for silence: it has set Ocelog's clock of this log 25 hours ahead."
_WIDE = 78


@dataclass(slots=True, kw_only=True)
class Audience:
    """Two channels, and what came through them."""

    file: Path
    receiver: Receiver
    _shown: int = 0

    def news(self) -> list[dict[str, Any]]:
        """Return the messages that came by webhook since this was asked last."""
        found = self.receiver.messages[self._shown :]
        self._shown += len(found)
        return found

    def same(self) -> bool:
        """Whether the file got what the webhook got, and each signature held."""
        lines = self.file.read_text(encoding="utf-8").splitlines() if self.file.exists() else []
        heard = [(each["alertId"], each["event"]) for each in self.receiver.messages]
        written = [(each["alertId"], each["event"]) for each in map(json.loads, lines)]
        return sorted(heard) == sorted(written) and not self.receiver.refused


@contextmanager
def audience(installation: Installation) -> Iterator[Audience]:
    """Have alerts told to a file and to a webhook on this machine within the block; then both are gone."""
    with tempfile.TemporaryDirectory(prefix="ocelog-demo-") as folder, receiver() as far:
        path = Path(folder) / "alerts.jsonl"
        _forget(installation)
        try:
            channels.add(installation, "file", _FILE, ChannelChange(settings={"path": str(path)}))
            secrets = {"url": GivenSecret(value=far.url), "signing_key": GivenSecret(value=far.key)}
            to_here = ChannelChange(settings={"allow_private": "yes"}, secrets=secrets)
            channels.add(installation, "webhook", _WEBHOOK, to_here)
            yield Audience(file=path, receiver=far)
        finally:
            _forget(installation)


def _forget(installation: Installation) -> None:
    """Remove the channels of this demo, or of one that was killed."""
    for each in channels.statuses(installation):
        if each.channel.name in (_FILE, _WEBHOOK):
            channels.remove(installation, each.channel)


@dataclass(slots=True, kw_only=True)
class Play:
    """What happens in the tenant, act by act, and who hears of it."""

    installation: Installation
    tenant: Tenant
    source_id: str
    audience: Audience
    pull: Callable[[str], bool]
    """Reads one log type; False: the person has had enough."""
    _templates: Mapping[str, Any] = field(default_factory=dict)

    def show(self) -> None:
        """Show every act."""
        self._templates = self.tenant.admin("GET", "current")
        threat = self._threat()
        typer.echo("\nAlerts, as a webhook on this machine gets them:")
        self._show_news("What was there before is told of in one summary.")
        acts: list[tuple[str, str, Callable[[], None]]] = [
            ("Somebody deletes a connector.", _AUDIT, lambda: self._entry("DeleteConnector", "MUTATION")),
            ("Wiz sees a threat.", _ISSUES, lambda: self._put("issues", threat)),
            ("Wiz finds it worse.", _ISSUES, lambda: self._change(threat, severity="CRITICAL")),
            ("It is fixed in Wiz.", _ISSUES, lambda: self._change(threat, status="RESOLVED")),
            (
                _SILENT,
                _AUDIT,
                lambda: age_silence(self.installation, self.source_id, _AUDIT, _SILENCE),
            ),
            ("Somebody looks at issues: the log goes on.", _AUDIT, lambda: self._entry("IssuesTable", "QUERY")),
        ]
        for title, log_type, happens in acts:
            happens()
            if not self.pull(log_type):
                return
            self._show_news(title)
            if title == _SILENT:
                self._admit()
        count = len(self.audience.receiver.messages)
        if self.audience.same():
            typer.echo(f"Each of the {count} signatures held, and a file got the same messages.")
        else:
            show.remark("The file and the webhook did not get the same. See: ocelog channel list")

    def _admit(self) -> None:
        """Say beside the alert that the demo made the silence up: who reads it in the console has not seen this."""
        wanted = alerts.wanted(self.installation, rule=ErrorType.NO_DATA.value, source_names=[self.source_id])
        act = Wish(do=Verb.COMMENT, text=_ADMITTED).act("demo")
        for alert in alerts.listed(self.installation, wanted, limit=1).alerts:
            alerts.change(self.installation, [alert.id], act)

    def _show_news(self, why: str) -> None:
        found = self.audience.news()
        if found:
            show.paragraph(why)
        for message in found:
            typer.echo(f"  {_line(message)}")

    def _threat(self) -> dict[str, Any]:
        """Return a threat as Wiz first shows it, made of one that is there."""
        issues = [record for _, record in self._templates["issues"].values()]
        like = min((each for each in issues if each["type"] == "THREAT_DETECTION"), key=lambda each: each["id"])
        name, now = str(uuid4()), _now()
        fresh = {"status": "OPEN", "severity": "HIGH", "createdAt": now, "updatedAt": now, "statusChangedAt": now}
        ended = dict.fromkeys(("resolvedAt", "resolutionReason", "resolvedBy", "dueAt"))
        return {**like, **fresh, **ended, "id": name, "url": f"https://app.wiz.io/issues#~(issue~'{name}')"}

    def _change(self, record: Mapping[str, Any], **fields: str) -> None:
        now = _now()
        dates = {"updatedAt": now, **({"statusChangedAt": now, "resolvedAt": now} if "status" in fields else {})}
        self.tenant.admin("POST", "change", type="issues", id=record["id"], fields={**fields, **dates})

    def _entry(self, action: str, kind: str) -> None:
        """Have a person do something in Wiz."""
        entries = [record for _, record in self._templates["audit"].values()]
        # Another one each time: what the same person does again within the hour joins the alert of before.
        like = random.choice([each for each in entries if each["user"] and each["sourceIP"]])  # noqa: S311 - no secret
        done = {"id": str(uuid4()), "action": action, "actionType": kind, "status": "SUCCESS", "timestamp": _now()}
        self._put("audit", {**like, **done, "actionParameters": {"input": {"id": str(uuid4())}}})

    def _put(self, type_: str, record: Mapping[str, Any]) -> None:
        self.tenant.admin("POST", "put", type=type_, record=record)


def _now() -> str:
    # The clock by which Ocelog asks what is new may be a second behind, and the next pull comes at once.
    return rfc3339(datetime.now(UTC) - timedelta(seconds=3))


def _line(message: Mapping[str, Any]) -> str:
    text = f"{message['event']:<9}  {message['severity']:<8}  {show.harmless(message['title'])}"
    return shorten(text, _WIDE)
