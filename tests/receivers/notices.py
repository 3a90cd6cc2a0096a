"""Notices to send, harmless and hostile."""

from typing import Any

from ocelog.alert.notice import Happened, Notice
from ocelog.model import Severity


def notice(**given: Any) -> Notice:
    """Return a notice, with what is given in the place of what is usual."""
    usual: dict[str, Any] = {
        "key": "alert-1/opened/1",
        "alert_id": "3f2a",
        "happened": Happened.OPENED,
        "severity": Severity.HIGH,
        "title": "Public bucket with secrets",
        "description": "A bucket is open to all.\nIt holds keys.",
        "runbook": "Close the bucket.\nRotate the keys.",
        "rule_id": "Wiz.Issue.Public",
        "rule_name": "Public buckets",
        "rule_revision": "7",
        "tags": ("cloud",),
        "log_type": "Wiz.Issues",
        "source": "prod",
        "link": "https://app.wiz.io/issues#~(issue~'42)",
        "opened_us": 1_780_000_000_000_000,
        "context": {"bucket": "b-1", "ratio": 0.5},
    }
    return Notice(**(usual | given))


HOSTILE = (
    "\x1b[2J\x1b]0;owned\x07<!channel> <!here> @everyone @here <@U024BE7LH> <https://evil.example|Wiz> "
    "[Wiz](https://evil.example) ![x](https://evil.example/i.png) **bold** `code` ||spoiler|| "
    "<script>alert(1)</script> \u202egnp.exe\u202c \u2066x\u2069\r\nSubject: forged\n\n.\r\nQUIT\u2028next"
)
