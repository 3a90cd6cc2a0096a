"""A home with some of everything that the console and the API show."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest

from bookkeeping.alerts import alert_of, opened
from ocelog.access import Role, Scope
from ocelog.app.alerts import channels
from ocelog.app.alerts.channels import ChannelChange
from ocelog.app.sources import source_changes, sources
from ocelog.app.sources.source_changes import SourceChange
from ocelog.app.sources.sources import GivenSecret
from ocelog.app.users import users
from ocelog.pull.ports import HealthItem, HealthState
from ocelog.secrets.secret import Secret
from visiting import HERE, Console
from visiting.events import land, row

ISSUES, AUDIT = "Wiz.Issues", "Wiz.Audit"
RULE = "Ocelog.Wiz.Identity.ProviderThenAdmin"
SECRET = "hunter2hunter2hunter2"
"""Of the sources, which no answer may hold."""


def nothing_is_asked(patch: pytest.MonkeyPatch) -> None:
    """Have checks of sources succeed, without asking anybody."""
    well = HealthItem(name="token", state=HealthState.OK, text="A token was given.")
    patch.setattr(sources, "check", lambda *_: [well])


def add_source(console: Console, name: str) -> None:
    """Add a source, which is asked for nothing."""
    installation, product = console.installation, sources.products()["wiz"]
    secret = GivenSecret(value=Secret(SECRET))
    own = {"token_url": "cognito", "client_id": f"client-of-{name}", "api_url": "https://api.us1.app.wiz.io/graphql"}
    change = SourceChange(own=own, secret=secret, streams={"backfill": "7d"})
    sources.add(installation, source_changes.described(installation, product, name, change), secret)


def fill(console: Console) -> Mapping[str, str]:
    """Put in some of everything; return what a parameter of a path may name, by the parameter."""
    installation, now = console.installation, datetime.now(UTC).replace(microsecond=0)
    for name in ("prod", "spare"):
        add_source(console, name)
    issues = [row(ISSUES, f"i{number}", now - timedelta(minutes=number)) for number in range(30)]
    land(installation, ISSUES, issues)
    land(installation, ISSUES, [row(ISSUES, "i0", now, version="other")], publish=True)
    land(installation, AUDIT, [row(AUDIT, f"a{number}", now, action="Login") for number in range(3)])
    folder = installation.home.path.parent
    for name in ("ops", "spare"):
        settings = {"path": str(folder / f"{name}.json")}
        channels.add(installation, "file", name, ChannelChange(settings=settings))
    opened(installation.ledger, *(alert_of(number) for number in range(1, 8)), told=["ops"])
    for role in Role:
        console.as_(role)
    viewer = users.find(installation, "viewer@example.com")
    token, _ = users.add_token(installation, viewer, "spare", Scope.READ, by=viewer, origin=HERE)
    return {
        "source": "prod",
        "channel": "ops",
        "alert": alert_of(3).id,
        "rule": RULE,
        "log_type": ISSUES,
        "row_id": str(issues[0]["p_row_id"]),
        "user": "viewer@example.com",
        "token": token.id,
    }
