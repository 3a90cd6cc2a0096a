"""Which alerts a suppression keeps quiet, and for how long."""

from typing import Any

import pytest

from ocelog.alert.alert import Alert
from ocelog.alert.delivery.suppressing import Suppression, conditions, like, suppressed
from ocelog.alert.notice import AlertType
from ocelog.errors import ConfigError
from ocelog.model import Severity

NOW = 1_780_000_000_000_000
HOUR = 3_600_000_000


def alert(**changes: Any) -> Alert:
    values: dict[str, Any] = {
        "id": "a",
        "severity": Severity.HIGH,
        "title": "[Prod] bucket is public",
        "rule_id": "Wiz.Issue.Public",
        "dedup": "bucket-7",
        "log_type": "Wiz.Issues",
        "source_id": "s1",
        "source_label": "prod",
        "record_id": "i-1",
        "context": {"actor": {"email": "a@example.com"}, "projects": [{"id": "p1"}, {"id": "p2"}], "n": 3, "x.y": True},
        "opened_us": NOW,
        "updated_us": NOW,
    }
    return Alert(**values | changes)


RULE = "Wiz.Issue.Public"


def suppression(rule: str | None = RULE, *where: str, since: int = -HOUR, until: int = HOUR) -> Suppression:
    return Suppression(
        id="s",
        rule=rule,
        fields=conditions(where),
        owner="ann",
        reason="known",
        since_us=NOW + since,
        until_us=NOW + until,
        added_us=NOW,
    )


def covers(found: Suppression, **changes: Any) -> bool:
    return suppressed(alert(**changes), [found], NOW) is found


def test_a_suppression_covers_its_rule_by_id_or_by_pattern() -> None:
    assert covers(suppression())
    assert covers(suppression("wiz.issue.*"))
    assert covers(suppression("*Public"))
    assert not covers(suppression("Wiz.Issue"))
    assert not covers(suppression("Wiz.Issue.Public.*"))


def test_a_suppression_applies_from_its_beginning_until_its_end() -> None:
    assert covers(suppression(since=0))
    assert not covers(suppression(until=0))
    assert not covers(suppression(since=1))


def test_every_field_must_fit_and_any_of_its_values_is_enough() -> None:
    assert covers(suppression(None, "severity=low", "severity=high", "source=prod"))
    assert covers(suppression(None, "source=s1"))
    assert not covers(suppression(None, "severity=HIGH", "source=test"))


@pytest.mark.parametrize(
    "where",
    [
        "context.actor.email=*@example.com",
        "context.projects.id=p2",
        "context.n=3",
        "context.x.y=true",
        "title=[prod]*",
        "dedup=bucket-7",
        "log_type=Wiz.Issues",
        "record_id=i-1",
        "type=ALERT",
    ],
)
def test_values_are_looked_at_wherever_they_are(where: str) -> None:
    assert covers(suppression(None, where))
    name, _, _ = where.partition("=")
    if name != "type":
        assert not covers(suppression(None, f"{name}=other"))


def test_a_value_that_an_alert_lacks_fits_nothing() -> None:
    assert not covers(suppression(None, "source=*"), source_id=None, source_label=None)
    assert not covers(suppression(None, "context.actor.name=*"))
    assert covers(suppression(None, "context.owner=null"), context={"owner": None})
    # Braces in the title are characters, not a choice of them.
    assert not covers(suppression(None, "title=[prod]*"), title="p bucket")


def test_that_a_suppressed_rule_fails_is_told_unless_a_person_says_otherwise() -> None:
    assert not covers(suppression(), type=AlertType.DETECTION_ERROR)
    assert covers(suppression("Wiz.Issue.Public", "type=DETECTION_ERROR"), type=AlertType.DETECTION_ERROR)


def test_a_system_error_is_covered_by_its_name_and_by_a_maintenance_window_only() -> None:
    silent = {"type": AlertType.SYSTEM_ERROR, "rule_id": "SOURCE_NO_DATA"}
    assert not covers(suppression("*"), **silent)
    assert covers(suppression("SOURCE_NO_DATA", "source=prod"), **silent)
    assert covers(suppression(None, "source=prod"), **silent)


@pytest.mark.parametrize(
    ("pattern", "text", "fits"),
    [
        ("", "", True),
        ("*", "", True),
        ("a*a", "a", False),
        ("a*a", "aa", True),
        ("a*b*c", "a-b-b-c", True),
        ("a*b*bc", "a-bc", False),
        ("*x*", "axb", True),
        ("**", "anything", True),
        ("a?c", "abc", False),
        ("*ab*ba*", "aba", False),
    ],
)
def test_a_star_stands_for_any_characters(pattern: str, text: str, fits: bool) -> None:
    assert like(pattern, text) is fits


def test_a_pattern_of_many_stars_is_quick() -> None:
    assert not like("*a" * 500 + "b", "a" * 1000)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("severity", "write field=value"),
        ("severity=", "write field=value"),
        ("severty=LOW", "did you mean 'severity'?"),
        ("context.=x", "context.NAME"),
        ("severity=LWO", "did you mean 'LOW'?"),
        ("type=alarm", "ALERT, DETECTION_ERROR, SYSTEM_ERROR"),
    ],
)
def test_a_condition_that_fits_nothing_is_refused(given: str, says: str) -> None:
    with pytest.raises(ConfigError) as refused:
        conditions([given])
    assert says in str(refused.value)
