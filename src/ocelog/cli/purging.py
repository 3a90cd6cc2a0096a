"""`ocelog source remove --purge`: a source goes, and every row of it."""

import typer

from ocelog import tenants
from ocelog.assemble import table_schemas
from ocelog.errors import ConfigError
from ocelog.holding import held
from ocelog.installation import Installation
from ocelog.lake.publish import Publisher
from ocelog.lake.purge import delete_rows
from ocelog.ledger.store import SourceRow


def purge(installation: Installation, row: SourceRow, *, yes: bool) -> None:
    """Delete the source with its rows, after asking. Killed half-way, it can be called again."""
    if not yes and not _confirmed(row.name):
        raise ConfigError("Nothing was deleted.")
    home, ledger = installation.home, installation.ledger
    with held(home, f"ocelog source remove {row.id} --purge"):
        tenants.begin_purge(installation, row)
        schemas = table_schemas()
        publisher = Publisher(home.path, ledger, schemas)
        for table in schemas:
            # All rows go through the table, so that one commit is the one place where they end.
            publisher.publish(table, force=True)
            delete_rows(home.path, table, row.id)
        for path in ledger.purge_source(row.id):
            (home.path / path).unlink(missing_ok=True)
    typer.echo(f"Deleted {row.name!r} and its rows. Their files leave the disk within three days.")


def _confirmed(name: str) -> bool:
    try:
        return typer.confirm(f"Delete {name!r} and all of its rows from the lake, for good?", err=True)
    except typer.Abort:
        raise ConfigError("Nothing was deleted, for nobody answered. Without a terminal, say --yes.") from None
