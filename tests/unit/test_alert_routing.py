"""Which channels hear of an alert."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from ocelog.alert.alert import Alert
from ocelog.alert.delivery.routing import ChannelRow, Route, Routing, channels_for, is_unrouted, read, written
from ocelog.alert.notice import AlertStatus, AlertType
from ocelog.model import Severity
from ocelog.quiet_hours import read_quiet_hours

TYPE = "Wiz.Issues"
ALERT = Alert(
    id="a",
    severity=Severity.HIGH,
    title="t",
    rule_id="Wiz.Issues.New",
    log_type="Wiz.Issues",
    opened_us=1,
    updated_us=1,
)


def channel(name: str, routing: Routing | None = None, **route: object) -> ChannelRow:
    return ChannelRow(
        id=f"id-{name}",
        name=name,
        kind="file",
        routing=routing or Routing(route=Route(**route)),  # type: ignore[arg-type] # as the test gives it
        added_us=1,
    )


def heard(alert: Alert, *channels: ChannelRow) -> list[str]:
    return [each.removeprefix("id-") for each in channels_for(alert, channels)]


def test_a_channel_without_a_route_hears_of_everything() -> None:
    assert heard(ALERT, channel("all")) == ["all"]
    assert heard(replace(ALERT, type=AlertType.SYSTEM_ERROR, log_type=None), channel("all")) == ["all"]


def test_a_channel_hears_of_what_fits_all_it_asks_for() -> None:
    assert heard(
        ALERT,
        channel("high", severities=frozenset({Severity.HIGH, Severity.CRITICAL})),
        channel("low", severities=frozenset({Severity.LOW})),
        channel("errors", types=frozenset({AlertType.SYSTEM_ERROR})),
        channel("issues", log_types=("Wiz.Issues",)),
        channel("audit", log_types=("Wiz.Audit",)),
        channel("glob", rules=("other", "wiz.issues.*")),
        channel("both", rules=("wiz.*",), severities=frozenset({Severity.LOW})),
    ) == ["high", "issues", "glob"]


def test_what_the_rule_names_goes_before_subscriptions() -> None:
    low, high = channel("low", severities=frozenset({Severity.LOW})), channel("high")
    assert heard(replace(ALERT, destinations=("low", "id-low")), low, high) == ["low"]
    assert heard(replace(ALERT, destinations=("id-high", "low")), low, high) == ["high", "low"]


def test_a_rule_that_names_nobody_tells_nobody() -> None:
    alert = replace(ALERT, destinations=())
    assert heard(alert, channel("all")) == []
    assert not is_unrouted(alert, [channel("all")])
    assert not is_unrouted(alert, [])


def test_names_of_channels_that_are_no_more_leave_it_to_subscriptions() -> None:
    assert heard(replace(ALERT, destinations=("gone",)), channel("all")) == ["all"]
    assert heard(replace(ALERT, destinations=("gone", "all")), channel("all"), channel("other")) == ["all"]


def test_who_was_told_at_a_worse_severity_hears_the_end() -> None:
    high = channel("high", severities=frozenset({Severity.HIGH}))
    milder = replace(ALERT, severity=Severity.LOW, told_severity=Severity.HIGH, status=AlertStatus.RESOLVED)
    assert heard(milder, high) == ["high"]
    assert heard(replace(milder, told_severity=None), high) == []
    # Whoever takes it as it is hears of it in any case, whether it got milder or worse.
    low = channel("low", severities=frozenset({Severity.LOW}))
    assert heard(milder, low) == ["low"]
    assert heard(replace(ALERT, told_severity=Severity.LOW), low, high) == ["high"]


def test_a_channel_for_what_nobody_acknowledges_hears_of_it_later() -> None:
    boss = channel("boss", Routing(escalate_after=timedelta(minutes=30)))
    assert heard(ALERT, boss) == []
    assert not is_unrouted(ALERT, [boss])
    assert heard(replace(ALERT, status=AlertStatus.RESOLVED), boss) == ["boss"]
    assert heard(replace(ALERT, acknowledged_us=5), boss) == ["boss"]
    assert heard(replace(ALERT, visible=False), boss) == ["boss"]
    assert heard(replace(ALERT, destinations=("boss",)), boss) == ["boss"]


def test_an_alert_that_no_channel_takes_is_known_as_such() -> None:
    low = channel("low", severities=frozenset({Severity.LOW}))
    assert is_unrouted(ALERT, [low])
    assert is_unrouted(ALERT, [])
    assert not is_unrouted(ALERT, [low, channel("paused")])


def test_a_paused_channel_still_hears() -> None:
    assert heard(ALERT, replace(channel("quiet"), paused=True)) == ["quiet"]


ROUTINGS = st.builds(
    Routing,
    route=st.builds(
        Route,
        severities=st.frozensets(st.sampled_from(Severity)),
        types=st.frozensets(st.sampled_from(AlertType)),
        log_types=st.lists(st.text(), max_size=3).map(tuple),
        rules=st.lists(st.text(), max_size=3).map(tuple),
    ),
    quiet_hours=st.sampled_from(["off", "22:00-07:00 Europe/Berlin", "00:05-00:04 UTC"]).map(read_quiet_hours),
    critical_pierces=st.booleans(),
    per_hour=st.none() | st.integers(1, 10_000),
    escalate_after=st.none() | st.integers(1, 10_000).map(lambda minutes: timedelta(minutes=minutes)),
)


@given(ROUTINGS)
def test_what_is_kept_is_read_as_it_was(routing: Routing) -> None:
    assert read(written(routing)) == routing


def test_what_is_kept_and_cannot_be_read_limits_nothing() -> None:
    damaged = {
        "severities": ["WORST"],
        "types": None,
        "quiet_hours": "always",
        "per_hour": "many",
        "escalate_after": "soon",
    }
    assert read(damaged) == Routing()
    assert [read({"per_hour": number}).per_hour for number in (-1, 0)] == [None, None]
