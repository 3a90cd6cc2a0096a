"""`ocelog source remove --purge`: a source goes, and every row of it."""

import typer

from ocelog.app import sources
from ocelog.app.assemble import table_schemas
from ocelog.errors import ConfigError
from ocelog.installation.home_lock import held
from ocelog.installation.opening import Installation
from ocelog.lake.upkeep.purge import delete_rows
from ocelog.lake.write.parts import discard, parts_of_slices
from ocelog.lake.write.publish import Publisher
from ocelog.ledger.store import SourceRow


def purge(installation: Installation, row: SourceRow, *, yes: bool) -> None:
    """Delete the source with its rows, after asking. Killed half-way, it can be called again."""
    if not yes and not _confirmed(row.name):
        raise ConfigError("Nothing was deleted.")
    home, ledger = installation.home, installation.ledger
    with held(home, f"ocelog source remove {row.id} --purge"):
        sources.begin_purge(installation, row)
        schemas = table_schemas()
        publisher = Publisher(home.path, ledger, schemas)
        for table in schemas:
            # All rows go through the table, so that one commit is the one place where they end.
            publisher.publish(table, force=True)
            delete_rows(home.path, table, row.id)
        # Before the ledger forgets which files those are.
        for path in _landed(installation, row.id):
            discard(home.path, path)
        ledger.purge_source(row.id)
    typer.echo(f"Deleted {row.name!r} and its rows. Their files leave the disk within three days.")


def _landed(installation: Installation, source_id: str) -> list[str]:
    """Return every file in landing that holds records of a source: also those that were set aside, or never landed."""
    home, ledger = installation.home.path, installation.ledger
    slices = {each.id for each in ledger.slices(source_id=source_id)}
    found = [path for table in table_schemas() for path in parts_of_slices(home, table, slices)]
    found += [part.path for table in table_schemas() for part in ledger.parts(table) if part.source_id == source_id]
    aside = [lost for lost in ledger.given_up(repaired=True) if lost.sequence is not None]
    return found + [lost.path for lost in aside if lost.source_id == source_id]


def _confirmed(name: str) -> bool:
    try:
        return typer.confirm(f"Delete {name!r} and all of its rows from the lake, for good?", err=True)
    except typer.Abort:
        raise ConfigError("Nothing was deleted, for nobody answered. Without a terminal, say --yes.") from None
