"""What the options of `ocelog source add` and `edit` mean, said once for both."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields
from datetime import timedelta
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import typer

from ocelog.app.source_settings import BACKFILL, POLL, SWEEP_EVERY
from ocelog.app.sources import GivenSecret
from ocelog.cli.secret_input import given_secret
from ocelog.errors import ConfigError
from ocelog.sources.wiz.settings import WizSettings, changed, from_mapping
from ocelog.units import duration, write_duration

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What was said on the command line, one field an option; None: not said."""

    token_url: Annotated[
        str | None, typer.Option("--token-url", help="cognito (commercial), fedramp, govcloud, auth0 (old), or a URL.")
    ] = None
    api_url: Annotated[
        str | None,
        typer.Option(
            "--api-url",
            help="The API endpoint URL of your tenant, or its data center such as us1. Default: read from the token.",
        ),
    ] = None
    client_id: ClientId = None
    client_secret_file: SecretFile = None
    client_secret_env: SecretEnv = None
    client_secret_ref: SecretRef = None
    project: Annotated[
        list[str] | None,
        typer.Option(
            "--project",
            metavar="ID",
            help="Only issues and findings of this project (repeat for more). The audit log has no such limit.",
        ),
    ] = None
    log_type: Annotated[
        list[str] | None,
        typer.Option("--log-type", metavar="audit|issues|findings", help="What to read (repeat). Default: all three."),
    ] = None
    backfill: Annotated[
        str | None,
        typer.Option("--backfill", metavar="30d|all", help=f"How far back to read at first. Default: {BACKFILL}."),
    ] = None
    sweep: Annotated[
        bool | None,
        typer.Option(
            "--sweep/--no-sweep",
            help="Whether open issues and findings of any age are read at first, and again each day. Default: yes.",
        ),
    ] = None
    sweep_every: Annotated[
        str | None,
        typer.Option(
            "--sweep-every", metavar="1d", help=f"How often to read all open records again. Default: {SWEEP_EVERY}."
        ),
    ] = None
    sweep_share: Annotated[
        float | None,
        typer.Option("--sweep-share", help="Share of the rate that these sweeps may use, 0.01 to 1. Default: 0.25."),
    ] = None
    poll: Annotated[
        str | None, typer.Option("--poll", metavar="5m", help=f"How often to ask for news. Default: {POLL}.")
    ] = None
    rate: Annotated[
        float | None, typer.Option("--rate", help="Most requests in any one second, 0.01 to 1000. Default: 3.")
    ] = None
    page_size: Annotated[
        int | None, typer.Option("--page-size", help="Records asked for at once, 1 to 500. Default: 500.")
    ] = None
    ca_file: Annotated[
        Path | None,
        typer.Option("--ca-file", help="Trust the certificates in this file, for a proxy that opens TLS."),
    ] = None
    no_check: Annotated[bool, typer.Option("--no-check", help="Save without asking Wiz whether everything works.")] = (
        False
    )
    anyway: Annotated[
        bool, typer.Option("--anyway", help="Save even if another source reads the same tenant with this client id.")
    ] = False

    @property
    def is_blank(self) -> bool:
        """Whether nothing was said about the tenant."""
        return self == Said(no_check=self.no_check, anyway=self.anyway)

    @property
    def reaches_anew(self) -> bool:
        """Whether the tenant is reached in another way, which deserves a check."""
        said = (self.token_url, self.api_url, self.client_id, self.project, self.log_type, self.ca_file)
        return any(each is not None for each in said)

    def secret(self) -> GivenSecret | None:
        """Return the secret that was handed in, None where none was. Raises ConfigError."""
        return given_secret(
            file=self.client_secret_file, variable=self.client_secret_env, reference=self.client_secret_ref
        )

    def wiz(self, before: WizSettings | None) -> WizSettings:
        """Return `before`, or the defaults, with what was said. Raises ConfigError."""
        if self.project and not all(each.strip() for each in self.project):
            raise ConfigError(
                "--project: an empty id names no project. Leave the option out to read all of them; for a source that "
                "is limited to some: ocelog source edit NAME --no-project"
            )
        chosen: dict[str, Any] = {
            "token_url": self.token_url,
            "api_url": self.api_url,
            "client_id": self.client_id,
            "projects": self.project,
            "log_types": self.log_type or None,
            "rate": self.rate,
            "sweep_share": self.sweep_share,
            "page_size": self.page_size,
            "ca_file": None if self.ca_file is None else str(self.ca_file.expanduser().absolute()),
        }
        said = {name: value for name, value in chosen.items() if value is not None}
        return from_mapping(said) if before is None else changed(before, said)

    def streams(self) -> dict[str, Any]:
        """Return what was said about how the streams are read. Raises ConfigError."""
        chosen = {
            "backfill": None if self.backfill is None else written_backfill(self.backfill),
            "sweep": self.sweep,
            "sweep_every": None if self.sweep_every is None else _written_sweep_every(self.sweep_every),
            "poll": None if self.poll is None else _written_poll(self.poll),
        }
        return {name: value for name, value in chosen.items() if value is not None}


def one_option_a_field(command: Callable[..., None]) -> Callable[..., None]:
    """Return `command` with an option for each field of `Said` in the place of its parameter `said`."""
    own = [each for each in inspect.signature(command).parameters.values() if each.name != "said"]
    options = list(inspect.signature(Said).parameters.values())

    @wraps(command)
    def unfolded(**given: Any) -> None:
        said = Said(**{field.name: given.pop(field.name) for field in fields(Said)})
        command(**given, said=said)

    # Both are what typer reads.
    unfolded.__signature__ = inspect.Signature([*own, *options])  # type: ignore[attr-defined] # inspect asks for it
    unfolded.__annotations__ = {each.name: each.annotation for each in (*own, *options)}
    return unfolded


def written_backfill(text: str) -> str:
    """Return how a backfill is kept: `all` or a duration. Raises ConfigError."""
    return "all" if text.strip().lower() == "all" else write_duration(_duration("--backfill", text))


def _written_poll(text: str) -> str:
    found = _duration("--poll", text)
    if not timedelta(seconds=1) <= found <= timedelta(days=1):
        raise ConfigError(f"--poll {text}: choose something from 1s to 1d.")
    return write_duration(found)


def _written_sweep_every(text: str) -> str:
    found = _duration("--sweep-every", text)
    if not timedelta(minutes=10) <= found <= timedelta(days=30):
        raise ConfigError(f"--sweep-every {text}: choose something from 10m to 30d.")
    return write_duration(found)


def _duration(option: str, text: str) -> timedelta:
    try:
        return duration(text)
    except ConfigError as error:
        raise ConfigError(f"{option}: {error}") from error
