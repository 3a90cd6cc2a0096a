"""What `ocelog source add` asks on a terminal, in the order in which Wiz's pages show it."""

import sys
from dataclasses import replace

import typer

from ocelog.cli.secret_input import asked_secret
from ocelog.cli.source_options import Chosen
from ocelog.errors import ConfigError
from ocelog.quantities import duration
from ocelog.tenants import GivenSecret, clean_name

_SCOPES = {"audit": "admin:audit", "issues": "read:issues", "findings": "read:vulnerabilities"}


def is_wanted(chosen: Chosen, secret: GivenSecret | None) -> bool:
    """Whether nothing was said and there is somebody to ask."""
    return chosen.is_blank and secret is None and sys.stdin.isatty() and sys.stderr.isatty()


def missing(name: str | None, chosen: Chosen) -> str:
    """Name what has to be said and was not."""
    wanted = {"wiz NAME": name, "--token-url": chosen.token_url, "--client-id": chosen.client_id}
    return ", ".join(option for option, value in wanted.items() if value is None)


def ask(name: str | None, chosen: Chosen) -> tuple[str, Chosen, GivenSecret]:
    """Ask for everything that adding a tenant needs."""
    _say("Adding a Wiz tenant. Have Wiz open in a browser, as a user who may make service accounts.")
    name = _asked_name() if name is None else clean_name(name)
    api_url, token_url = _asked_endpoint()
    log_types, projects = _asked_account()
    client_id = typer.prompt("Client ID", err=True).strip()
    secret = asked_secret()
    backfill = _asked_backfill()
    found = replace(
        chosen,
        token_url=token_url,
        api_url=api_url,
        client_id=client_id,
        log_types=log_types,
        projects=projects,
        backfill=backfill,
    )
    return name, found, secret


def _asked_name() -> str:
    while True:
        try:
            return clean_name(typer.prompt("A name for this tenant, for example prod", err=True))
        except ConfigError as error:
            _say(str(error))


def _asked_endpoint() -> tuple[str | None, str]:
    _say(
        "\nStep 1: where your tenant answers.\n"
        "  In Wiz: your user icon (top right) > Tenant Info > Data Center and Regions.\n"
        "  Copy the API Endpoint URL; it looks like https://api.us1.app.wiz.io/graphql."
    )
    api_url = typer.prompt("API Endpoint URL (empty: read it from the token)", default="", show_default=False, err=True)
    _say("  On the same page, the login address says which cloud: app.wiz.io is cognito, app.wiz.us fedramp.")
    token_url = typer.prompt("Token URL: cognito, fedramp, govcloud or a URL", default=_cloud_of(api_url), err=True)
    return api_url.strip() or None, token_url.strip()


def _cloud_of(api_url: str) -> str:
    clouds = {"app.wiz.us": "fedramp", "gov.wiz.io": "govcloud"}
    return next((cloud for end, cloud in clouds.items() if end in api_url), "cognito")


def _asked_account() -> tuple[list[str], list[str]]:
    _say(
        "\nStep 2: a service account.\n  In Wiz: Settings > Access Management > Service Accounts > Add Service Account."
    )
    log_types = [short for short in _SCOPES if typer.confirm(f"Read the {_title(short)}?", default=True, err=True)]
    if not log_types:
        raise ConfigError("Nothing is left to read: choose at least one.")
    scopes = ", ".join(["read:resources", *(_SCOPES[short] for short in log_types)])
    _say(f"  Type: Custom Integration (GraphQL API).\n  API scopes: {scopes}.")
    if "audit" in log_types:
        _say("  Projects: leave empty. An account that is bound to projects cannot read the audit log.")
        projects = ""
    else:
        _say("  Projects: leave empty, or choose those that Ocelog may see.")
        projects = typer.prompt(
            "Project ids, comma between them (empty: all)", default="", show_default=False, err=True
        )
    _say("  Click Add Service Account. Wiz shows the Client ID and, this once only, the Client Secret: copy both.")
    return log_types, [each.strip() for each in projects.split(",") if each.strip()]


def _title(short: str) -> str:
    return {"audit": "audit log", "issues": "issues", "findings": "vulnerability findings"}[short]


def _asked_backfill() -> str:
    while True:
        text = str(typer.prompt("How far back to read (30d, 90d, all)", default="30d", err=True)).strip()
        try:
            if text.lower() != "all":
                duration(text)
        except ConfigError as error:
            _say(str(error))
        else:
            return text


def _say(text: str) -> None:
    typer.echo(text, err=True)
