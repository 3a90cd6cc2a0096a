"""`ocelog source add`, `edit` and `rotate`: how a tenant is reached, proven before it is kept."""

from dataclasses import replace
from typing import Annotated

import typer

from ocelog.app import sources
from ocelog.app.source_settings import wiz_settings
from ocelog.app.sources import GivenSecret
from ocelog.cli import health, show, wizard
from ocelog.cli import source_options as options
from ocelog.cli.secret_input import asked_secret, given_secret
from ocelog.cli.source_options import Said
from ocelog.cli.source_trial import new_row, prove, say_conflict
from ocelog.errors import ConfigError
from ocelog.installation.opening import Installation, opened
from ocelog.model import SourceRow

Name = Annotated[str, typer.Argument(help="The source's name.", show_default=False)]


@options.one_option_a_field
def add(
    kind: Annotated[str | None, typer.Argument(help="wiz is the only kind there is.")] = None,
    name: Annotated[str | None, typer.Argument(help="Any text: 'prod', '내 Wiz 로그'.")] = None,
    *,
    said: Said,
) -> None:
    """Add a Wiz tenant. With no options on a terminal, it asks, and says at each step what to click in Wiz."""
    _check_kind(kind, name)
    with opened() as installation:
        # A lost key is told before anything is asked.
        installation.vault()
        if said.is_blank and wizard.somebody_is_there():
            row, secret = wizard.ask(installation, name, said)
        else:
            row, secret = _described(installation, name, said)
        resumes = sources.add(installation, row, secret)
    typer.echo(f"{'Took up' if resumes else 'Added'} {row.name!r} (id {row.id}).")
    typer.echo("Next: ocelog pull")


def _check_kind(kind: str | None, name: str | None) -> None:
    if kind in (None, "wiz"):
        return
    # Whoever forgets the kind puts the name in its place.
    meant = f"ocelog source add wiz {kind}" if name is None else "'wiz'"
    raise ConfigError(f"There is no kind of source {kind!r}; did you mean {meant}?")


def _described(installation: Installation, name: str | None, said: Said) -> tuple[SourceRow, GivenSecret]:
    """Return the source that the options describe and its secret, proven where that is wanted."""
    secret = said.secret()
    wanted = {"wiz NAME": name, "--token-url": said.token_url, "--client-id": said.client_id}
    missing = [option for option, value in wanted.items() if value is None]
    if name is None or missing:
        raise ConfigError(f"Missing: {', '.join(missing)}. See: ocelog source add --help")
    row = new_row(installation, name, said)
    secret = secret or asked_secret()
    say_conflict(row)
    if not said.no_check:
        prove(row, secret, "Nothing was saved; --no-check saves anyway.")
    return row, secret


@options.one_option_a_field
def edit(
    name: Name,
    *,
    no_project: Annotated[bool, typer.Option("--no-project", help="Read every project again.")] = False,
    said: Said,
) -> None:
    """Change a source; what is not named stays. A running service takes it up by itself.

    --project and --log-type replace the whole list. A wider backfill reads only what is missing.
    """
    if no_project:
        said = replace(said, project=[])
    if said.is_blank:
        raise ConfigError("Name what is to change, such as --poll 1m. See: ocelog source edit --help")
    secret = said.secret()
    with opened() as installation:
        before = sources.find(installation, name)
        row = sources.edited(before, said.wiz(wiz_settings(before)), said.streams())
        sources.refuse_other_tenant(installation, before, row)
        if said.reaches_anew and not said.anyway:
            sources.refuse_twin(installation, row)
        say_conflict(row)
        if not said.no_check and (secret is not None or said.reaches_anew):
            proof = secret or GivenSecret(value=sources.reveal(installation, row))
            prove(row, proof, "Nothing was changed; --no-check changes anyway.")
        if secret is not None:
            sources.keep_secret(installation, row, secret)
        installation.ledger.save_source(row)
        swept = sources.sweep_again(installation, before, row)
    typer.echo(f"Changed {row.name!r}.")
    if swept:
        show.remark("Open records of projects that are new here are swept. For closed ones: ocelog pull --since 30d")
    elif wiz_settings(row).projects != wiz_settings(before).projects:
        show.remark("Of projects that are new here only news is read. For their past: ocelog pull --since 30d")


def rotate(  # noqa: PLR0913 - its options
    name: Name,
    *,
    client_id: options.ClientId = None,
    client_secret_file: options.SecretFile = None,
    client_secret_env: options.SecretEnv = None,
    client_secret_ref: options.SecretRef = None,
    anyway: Annotated[
        bool, typer.Option("--anyway", help="Save even if another source reads the same tenant with this client id.")
    ] = False,
) -> None:
    """Put a new client secret in the place of the old one, once the new one is proven. Nothing is pulled again."""
    secret = given_secret(file=client_secret_file, variable=client_secret_env, reference=client_secret_ref)
    with opened() as installation:
        row = sources.find(installation, name)
        secret = secret or asked_secret("New client secret")
        settings = wiz_settings(row)
        if client_id is not None:
            settings = Said(client_id=client_id).wiz(settings)
            if not anyway:
                sources.refuse_twin(installation, sources.edited(row, settings, {}))
        items = [
            item for item in sources.check(settings, secret.value, health.waiting) if item.name in {"address", "token"}
        ]
        health.demand(items, "The old secret stays.")
        sources.keep_secret(installation, row, secret)
        if client_id is not None:
            installation.ledger.save_source(sources.edited(row, settings, {}))
    typer.echo(f"{row.name!r} has its new secret. Now revoke the old one in Wiz.")
