"""What the options of `ocelog source add` and `edit` mean, said once for both."""

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import typer

from ocelog.assemble import BACKFILL, POLL
from ocelog.errors import ConfigError
from ocelog.quantities import duration, write_duration
from ocelog.sources.wiz.settings import WizSettings, changed, from_mapping

TokenUrl: TypeAlias = Annotated[
    str | None, typer.Option("--token-url", help="cognito (commercial), fedramp, govcloud, auth0 (old), or a URL.")
]
ApiUrl: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--api-url",
        help="The API endpoint URL of your tenant, or its data center such as us1. Default: read from the token.",
    ),
]
ClientId: TypeAlias = Annotated[str | None, typer.Option("--client-id", help="The service account's client id.")]
SecretFile: TypeAlias = Annotated[
    str | None,
    typer.Option("--client-secret-file", metavar="FILE", help="Copy the client secret from a file; - is stdin."),
]
SecretEnv: TypeAlias = Annotated[
    str | None,
    typer.Option("--client-secret-env", metavar="VARIABLE", help="Copy the client secret from a variable."),
]
SecretRef: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--client-secret-ref",
        metavar="REF",
        help="file:PATH or env:VARIABLE: store only this, and read the secret there for each token.",
    ),
]
Projects: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--project",
        metavar="ID",
        help="Only issues and findings of this project (repeat for more). The audit log has no such limit.",
    ),
]
LogTypes: TypeAlias = Annotated[
    list[str] | None,
    typer.Option("--log-type", metavar="audit|issues|findings", help="What to read (repeat). Default: all three."),
]
Backfill: TypeAlias = Annotated[
    str | None,
    typer.Option("--backfill", metavar="30d|all", help=f"How far back to read at first. Default: {BACKFILL}."),
]
Poll: TypeAlias = Annotated[
    str | None, typer.Option("--poll", metavar="5m", help=f"How often to ask for news. Default: {POLL}.")
]
Rate: TypeAlias = Annotated[
    float | None, typer.Option("--rate", min=0.01, max=1000, help="Most questions a second. Default: 3.")
]
PageSize: TypeAlias = Annotated[
    int | None, typer.Option("--page-size", min=1, max=500, help="Records asked for at once. Default: 500.")
]
CaFile: TypeAlias = Annotated[
    Path | None, typer.Option("--ca-file", help="Trust the certificates in this file, for a proxy that opens TLS.")
]
NoCheck: TypeAlias = Annotated[
    bool, typer.Option("--no-check", help="Save without asking Wiz whether everything works.")
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """What was chosen on the command line; None: not said."""

    token_url: str | None = None
    api_url: str | None = None
    client_id: str | None = None
    projects: list[str] | None = None
    log_types: list[str] | None = None
    rate: float | None = None
    page_size: int | None = None
    ca_file: Path | None = None
    backfill: str | None = None
    sweep: bool | None = None
    poll: str | None = None

    @property
    def is_blank(self) -> bool:
        """Whether nothing was said."""
        return self == Chosen()

    @property
    def reaches_anew(self) -> bool:
        """Whether the tenant is reached in another way, which deserves a check."""
        said = (self.token_url, self.api_url, self.client_id, self.projects, self.log_types, self.ca_file)
        return any(each is not None for each in said)

    def wiz(self, before: WizSettings | None) -> WizSettings:
        """Return `before`, or the defaults, with what was chosen. Raises ConfigError."""
        chosen: dict[str, Any] = {
            "token_url": self.token_url,
            "api_url": self.api_url,
            "client_id": self.client_id,
            "projects": self.projects,
            "log_types": self.log_types or None,
            "rate": self.rate,
            "page_size": self.page_size,
            "ca_file": None if self.ca_file is None else str(self.ca_file.expanduser().absolute()),
        }
        said = {name: value for name, value in chosen.items() if value is not None}
        return from_mapping(said) if before is None else changed(before, said)

    def streams(self) -> dict[str, Any]:
        """Return what was chosen about how the streams are read. Raises ConfigError."""
        chosen = {
            "backfill": None if self.backfill is None else _backfill(self.backfill),
            "sweep": self.sweep,
            "poll": None if self.poll is None else write_duration(_poll(self.poll)),
        }
        return {name: value for name, value in chosen.items() if value is not None}


def _backfill(text: str) -> str:
    return "all" if text.strip().lower() == "all" else write_duration(duration(text))


def _poll(text: str) -> timedelta:
    found = duration(text)
    if not timedelta(seconds=1) <= found <= timedelta(days=1):
        raise ConfigError(f"--poll {text}: choose something from 1s to 1d.")
    return found
