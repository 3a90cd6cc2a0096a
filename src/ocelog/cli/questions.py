"""What the wizard asks about one tenant: each question is asked until its answer holds."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

import typer

from ocelog.app.sources import GivenSecret
from ocelog.cli.secret_input import asked_secret
from ocelog.cli.source_options import Said, written_backfill
from ocelog.errors import ConfigError
from ocelog.sources.wiz import endpoints

T = TypeVar("T")

_SCOPES = {"audit": "admin:audit", "issues": "read:issues", "findings": "read:vulnerabilities"}
_TITLES = {"audit": "audit log", "issues": "issues", "findings": "vulnerability findings"}
_CLOUDS = {"app.wiz.us": "fedramp", "gov.wiz.io": "govcloud"}
_LONGEST_ID = 200


def say(text: str) -> None:
    """Say something that is not part of an answer."""
    typer.echo(text, err=True)


def asked(prompt: str, check: Callable[[str], T], default: str | None = None, **more: Any) -> T:
    """Ask until `check` returns a value for what was typed; it raises ConfigError for what does not hold."""
    while True:
        text = str(typer.prompt(prompt, default=default, err=True, **more)).strip()
        try:
            return check(text)
        except ConfigError as error:
            say(f"  {error}")


def endpoint(said: Said) -> Said:
    """Ask where the tenant answers."""
    say(
        "\nStep 1: where your tenant answers.\n"
        "  In Wiz: your user icon (top right) > Tenant Info > Data Center and Regions.\n"
        "  Copy the API Endpoint URL; it looks like https://api.us1.app.wiz.io/graphql."
    )
    while True:
        said = token_url(api_url(said))
        try:
            # Without an API URL the token names a data center, whichever.
            endpoints.api_url(said.api_url or "us1", endpoints.token_url(str(said.token_url)))
        except ConfigError as error:
            say(f"  {error}")
        else:
            return said


def api_url(said: Said) -> Said:
    """Ask for the API's address."""

    def checked(text: str) -> str | None:
        if text:
            endpoints.api_url(text, endpoints.TOKEN_URLS[_cloud_of(text)])
        return text or None

    url = asked("API Endpoint URL (empty: read it from the token)", checked, default="", show_default=False)
    return replace(said, api_url=url)


def token_url(said: Said) -> Said:
    """Ask for the token endpoint's address."""
    say("  On the same page, the login address says which cloud: app.wiz.io is cognito, app.wiz.us fedramp.")

    def checked(text: str) -> str:
        endpoints.token_url(text)
        return text

    url = asked("Token URL: cognito, fedramp, govcloud or a URL", checked, default=_cloud_of(said.api_url or ""))
    return replace(said, token_url=url)


def _cloud_of(address: str) -> str:
    return next((cloud for end, cloud in _CLOUDS.items() if end in address), "cognito")


def log_types(said: Said) -> Said:
    """Ask what is read, and of which projects; say what the service account needs for it."""
    chosen = _chosen_log_types()
    scopes = ", ".join(["read:resources", *(_SCOPES[short] for short in chosen)])
    say(f"  Type: Custom Integration (GraphQL API).\n  API scopes: {scopes}.")
    if "audit" in chosen:
        say("  Projects: leave empty. An account that is bound to projects cannot read the audit log.")
        return replace(said, log_type=chosen, project=None)
    say("  Projects: leave empty, or choose those that Ocelog may see.")
    text = typer.prompt("Project ids, comma between them (empty: all)", default="", show_default=False, err=True)
    projects = [each.strip() for each in text.split(",") if each.strip()]
    return replace(said, log_type=chosen, project=projects or None)


def _chosen_log_types() -> list[str]:
    while True:
        chosen = [short for short in _SCOPES if typer.confirm(f"Read the {_TITLES[short]}?", default=True, err=True)]
        if chosen:
            return chosen
        say("  Nothing is left to read: choose at least one.")


def client_id(said: Said) -> Said:
    """Ask who the service account is."""

    def checked(text: str) -> str:
        if not text.isprintable() or not 0 < len(text) <= _LONGEST_ID:
            raise ConfigError("The client id is one line of text, as Wiz shows it.")
        return text

    return replace(said, client_id=asked("Client ID", checked))


def secret() -> GivenSecret:
    """Ask for the secret, unseen."""
    while True:
        try:
            return asked_secret()
        except ConfigError as error:
            say(f"  {error}")


def backfill(said: Said) -> Said:
    """Ask how far back to read."""
    return replace(
        said, backfill=asked("How far back to read (30d, 90d, all)", written_backfill, default=said.backfill or "30d")
    )
