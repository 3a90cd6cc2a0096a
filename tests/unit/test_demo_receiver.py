"""The receiver of the demo takes what was signed with its key a moment ago, once, and nothing else."""

import json
import time

from ocelog.channels.webhook import signature
from ocelog.cli import demo_alerts
from ocelog.cli.demo_receiver import Receiver
from ocelog.secrets.secret import Secret


def test_a_message_is_taken_once_and_only_if_it_is_signed() -> None:
    far = Receiver()
    body, now = json.dumps({"key": "one"}).encode(), int(time.time())
    assert far.take(signature(far.key, body, at=now), body) == 204
    assert far.take(signature(far.key, body, at=now), body) == 204, "it may come again"
    assert far.messages == [{"key": "one"}]
    for wrong in (
        "",
        "t=1",
        f"t={now},v1=00",
        signature(Secret("another key of 16"), body, at=now),
        signature(far.key, b"another body", at=now),
        signature(far.key, body, at=now - 600),
    ):
        assert far.take(wrong, body) == 401, wrong
    assert (len(far.messages), far.refused) == (1, 6)


def test_a_line_of_the_demo_is_cut_as_lines_are_elsewhere() -> None:
    shown = demo_alerts._line({"event": "opened", "severity": "HIGH", "title": "x" * 100})
    assert (len(shown), shown[-2:]) == (78, "x…")
