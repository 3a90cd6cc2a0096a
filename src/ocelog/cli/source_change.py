"""`ocelog source add`, `edit` and `rotate`: how a tenant is reached, proven before it is kept."""

from typing import Annotated

import typer

from ocelog import tenants
from ocelog.assemble import wiz_settings
from ocelog.cli import health, show, wizard
from ocelog.cli import source_options as options
from ocelog.cli.secret_input import asked_secret, given_secret
from ocelog.errors import ConfigError
from ocelog.installation import opened
from ocelog.ledger.store import SourceRow

Name = Annotated[str, typer.Argument(help="The source's name.", show_default=False)]


def add(  # noqa: PLR0913 - one argument an option
    kind: Annotated[str | None, typer.Argument(help="wiz is the only kind there is.")] = None,
    name: Annotated[str | None, typer.Argument(help="Any text: 'prod', '내 Wiz 로그'.")] = None,
    *,
    token_url: options.TokenUrl = None,
    api_url: options.ApiUrl = None,
    client_id: options.ClientId = None,
    client_secret_file: options.SecretFile = None,
    client_secret_env: options.SecretEnv = None,
    client_secret_ref: options.SecretRef = None,
    project: options.Projects = None,
    log_type: options.LogTypes = None,
    backfill: options.Backfill = None,
    no_sweep: Annotated[
        bool, typer.Option("--no-sweep", help="Do not read open issues and findings older than the backfill.")
    ] = False,
    poll: options.Poll = None,
    rate: options.Rate = None,
    page_size: options.PageSize = None,
    ca_file: options.CaFile = None,
    no_check: options.NoCheck = False,
) -> None:
    """Add a Wiz tenant. With no options on a terminal, it asks, and says at each step what to click in Wiz."""
    if kind not in (None, "wiz"):
        raise ConfigError(f"There is no kind of source {kind!r}; did you mean: ocelog source add wiz {kind}")
    chosen = options.Chosen(
        token_url=token_url,
        api_url=api_url,
        client_id=client_id,
        projects=project,
        log_types=log_type,
        rate=rate,
        page_size=page_size,
        ca_file=ca_file,
        backfill=backfill,
        sweep=False if no_sweep else None,
        poll=poll,
    )
    secret = given_secret(file=client_secret_file, variable=client_secret_env, reference=client_secret_ref)
    with opened() as installation:
        if wizard.is_wanted(chosen, secret):
            name, chosen, secret = wizard.ask(name, chosen)
        if name is None or chosen.token_url is None or chosen.client_id is None:
            raise ConfigError("Missing: " + wizard.missing(name, chosen) + ". See: ocelog source add --help")
        row = tenants.row_of(tenants.clean_name(name), chosen.wiz(None), chosen.streams())
        taken = installation.ledger.source(row.id)
        if taken is not None and taken.removed_us is None:
            raise ConfigError(f"There is a source {taken.name!r} already: ocelog source edit, or choose another name.")
        secret = secret or asked_secret()
        _say_conflict(row)
        if not no_check:
            health.demand(tenants.check(wiz_settings(row), secret.value), "Nothing was saved; --no-check saves anyway.")
        resumes = tenants.add(installation, row, secret)
    typer.echo(f"{'Took up' if resumes else 'Added'} {row.name!r} (id {row.id}).")
    typer.echo("Next: ocelog pull")


def edit(  # noqa: PLR0913 - one argument an option
    name: Name,
    *,
    token_url: options.TokenUrl = None,
    api_url: options.ApiUrl = None,
    client_id: options.ClientId = None,
    client_secret_file: options.SecretFile = None,
    client_secret_env: options.SecretEnv = None,
    client_secret_ref: options.SecretRef = None,
    project: options.Projects = None,
    no_project: Annotated[bool, typer.Option("--no-project", help="Read every project again.")] = False,
    log_type: options.LogTypes = None,
    backfill: options.Backfill = None,
    sweep: Annotated[
        bool | None, typer.Option("--sweep/--no-sweep", help="Whether open records older than the backfill are read.")
    ] = None,
    poll: options.Poll = None,
    rate: options.Rate = None,
    page_size: options.PageSize = None,
    ca_file: options.CaFile = None,
    no_check: options.NoCheck = False,
) -> None:
    """Change a source; what is not named stays. A running service takes it up by itself.

    --project and --log-type replace the whole list. A wider backfill reads only what is missing.
    """
    chosen = options.Chosen(
        token_url=token_url,
        api_url=api_url,
        client_id=client_id,
        projects=[] if no_project else project,
        log_types=log_type,
        rate=rate,
        page_size=page_size,
        ca_file=ca_file,
        backfill=backfill,
        sweep=sweep,
        poll=poll,
    )
    secret = given_secret(file=client_secret_file, variable=client_secret_env, reference=client_secret_ref)
    with opened() as installation:
        before = tenants.find(installation, name)
        row = tenants.edited(before, chosen.wiz(wiz_settings(before)), chosen.streams())
        tenants.refuse_other_tenant(installation, before, row)
        _say_conflict(row)
        if not no_check and (secret is not None or chosen.reaches_anew):
            proof = secret.value if secret is not None else tenants.reveal(installation, row)
            health.demand(tenants.check(wiz_settings(row), proof), "Nothing was changed; --no-check changes anyway.")
        if secret is not None:
            tenants.keep_secret(installation, row, secret)
        installation.ledger.save_source(row)
    typer.echo(f"Changed {row.name!r}.")
    if wiz_settings(row).projects != wiz_settings(before).projects:
        show.remark("Of projects that are new here only news is read. For their past: ocelog pull --since 30d")


def rotate(
    name: Name,
    *,
    client_id: options.ClientId = None,
    client_secret_file: options.SecretFile = None,
    client_secret_env: options.SecretEnv = None,
    client_secret_ref: options.SecretRef = None,
) -> None:
    """Put a new client secret in the place of the old one, once the new one is proven. Nothing is pulled again."""
    secret = given_secret(file=client_secret_file, variable=client_secret_env, reference=client_secret_ref)
    with opened() as installation:
        row = tenants.find(installation, name)
        secret = secret or asked_secret("New client secret")
        settings = wiz_settings(row)
        if client_id is not None:
            settings = options.Chosen(client_id=client_id).wiz(settings)
        items = [item for item in tenants.check(settings, secret.value) if item.name in {"address", "token"}]
        health.demand(items, "The old secret stays.")
        tenants.keep_secret(installation, row, secret)
        if client_id is not None:
            installation.ledger.save_source(tenants.edited(row, settings, {}))
    typer.echo(f"{row.name!r} has its new secret. Now revoke the old one in Wiz.")


def _say_conflict(row: SourceRow) -> None:
    settings = wiz_settings(row)
    if settings.projects and "Wiz.Audit" in settings.log_types:
        show.remark(
            "Note: the audit log cannot be limited to projects: all of it is read, and a service account that is bound "
            "to projects cannot read it at all. Leave it out with --log-type issues --log-type findings."
        )
