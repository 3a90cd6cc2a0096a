"""PagerDuty: an incident for each alert, by its Events API v2, which ends with the alert."""

import json
from typing import Any

from msgspec import Struct

from ocelog.alert.notice import Happened, Notice
from ocelog.channels.http_post import HttpPost
from ocelog.channels.kind import LANGUAGE, REACHING, ChannelKind, Setting, Values
from ocelog.channels.message import headline, render, shown_link
from ocelog.channels.payload import far_key
from ocelog.channels.ports import Receipt
from ocelog.channels.text import Form, cut, escaped, one_line
from ocelog.errors import ConfigError
from ocelog.languages.phrases import Phrase, say_in
from ocelog.model import Severity
from ocelog.secrets.secret import Secret, hidden
from ocelog.times import from_us, rfc3339

_URL = "https://events.pagerduty.com"
_EXAMPLE = "0123456789abcdef0123456789abcdef"
_LONGEST_KEY = 255
_LONGEST_SUMMARY = 1_024
_SEVERITIES = {
    Severity.CRITICAL: "critical",
    Severity.HIGH: "error",
    Severity.MEDIUM: "warning",
    Severity.LOW: "info",
    Severity.INFO: "info",
}
_ACTIONS = {Happened.ACKNOWLEDGED: "acknowledge", Happened.RESOLVED: "resolve", Happened.CLOSED: "resolve"}
"""All else triggers: PagerDuty adds that to the incident that is open under the same key."""


class PagerDuty(Struct, frozen=True, kw_only=True):
    """Sends events under the alert's own key. Limits are those of the vendor's page on Events API v2 (read 2026-11)."""

    url: str
    routing_key: Secret
    http: HttpPost
    language: str = "en"

    @property
    def address(self) -> str:
        """Nothing of the key."""
        return "pagerduty"

    def send(self, notice: Notice) -> Receipt:
        """Trigger, acknowledge or resolve the incident of the alert."""
        if notice.happened is Happened.NOT_VISIBLE:
            # It would wake somebody up for something that may well be over.
            return Receipt(status="left out", text="PagerDuty has no event for an alert that is no longer visible")
        action = _ACTIONS.get(notice.happened, "trigger")
        event: dict[str, Any] = {
            "routing_key": self.routing_key.reveal(),
            "event_action": action,
            "dedup_key": far_key(notice, _LONGEST_KEY),
        }
        if action == "trigger":
            event |= _details(notice, self.language)
        return self.http.send(
            f"{self.url}/v2/enqueue", json.dumps(event).encode(), {"Content-Type": "application/json"}
        )


def _details(notice: Notice, language: str) -> dict[str, Any]:
    link = shown_link(notice.link)
    return {
        "client": "Ocelog",
        "links": [] if link is None else [{"href": link, "text": say_in(language, "Page")}],
        "payload": {
            "summary": cut(escaped(headline(notice, language), Form.CHAT), _LONGEST_SUMMARY),
            "source": escaped(one_line(notice.source or "ocelog", 200), Form.CHAT),
            "severity": _SEVERITIES[notice.severity],
            "timestamp": rfc3339(from_us(notice.opened_us)),
            "component": escaped(one_line(notice.rule_name or notice.rule_id, 200), Form.CHAT),
            "group": escaped(one_line(notice.log_type or "", 200), Form.CHAT),
            "class": notice.type.value,
            "custom_details": {"what": render(notice, Form.CHAT, language=language, longest_body=8_000).body},
        },
    }


def _build(values: Values) -> PagerDuty:
    key = values.text("routing_key", example=_EXAMPLE)
    if not key.isascii() or not key.isalnum() or len(key) != len(_EXAMPLE):
        raise ConfigError(
            Phrase(
                "The routing_key of a pagerduty channel has %(count)s letters and digits, such as "
                "%(example)s: it is the integration key of a service's Events API v2 integration. Given "
                "was %(key)s.",
                count=len(_EXAMPLE),
                example=_EXAMPLE,
                key=hidden(key),
            )
        )
    return PagerDuty(
        url=values.base_url(_URL), routing_key=Secret(key), http=values.http(key), language=values.language()
    )


PAGERDUTY = ChannelKind(
    name="pagerduty",
    keeps_incidents=True,
    title="PagerDuty: incidents that are triggered, acknowledged and resolved with the alert",
    settings=(
        Setting(
            name="routing_key",
            label="Integration key",
            help="integration key of a service's Events API v2 integration",
            example=_EXAMPLE,
            required=True,
            secret=True,
        ),
        Setting(
            name="url",
            label="Address of the API (URL)",
            help="where the API is; accounts in Europe: https://events.eu.pagerduty.com",
            example=_URL,
            default=_URL,
            is_address=True,
        ),
        LANGUAGE,
        *REACHING,
    ),
    build=_build,
)
