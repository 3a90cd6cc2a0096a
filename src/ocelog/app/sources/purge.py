"""How a source goes with every row of it."""

from ocelog.app.assemble import publisher
from ocelog.app.claims import home_held
from ocelog.app.log_types import table_schemas
from ocelog.app.other_tools import tables_change
from ocelog.app.sources import sources
from ocelog.installation.opening import Installation
from ocelog.lake.upkeep.purge import delete_rows
from ocelog.lake.write.parts import discard, parts_of_claims
from ocelog.model import SourceRow


def purge(installation: Installation, row: SourceRow) -> None:
    """Delete the source with its rows. Killed half-way, it can be called again.

    Beside a service of this process, what its loops land meanwhile goes too: once the ledger has forgotten the source,
    nothing of it lands, and a file that was written until then is nobody's, which publishing cleans up.
    """
    home, ledger = installation.home, installation.ledger
    with (
        home_held(installation, f"ocelog source remove {row.id} --purge"),
        installation.tables,
        tables_change(home.path),
    ):
        sources.begin_purge(installation, row)
        schemas = table_schemas()
        publishing = publisher(home.path, ledger)
        for table in schemas:
            # All rows go through the table, so that one commit is the one place where they end.
            publishing.publish(table)
            delete_rows(home.path, table, row.id)
        # Before the ledger forgets which files those are.
        for path in _landed(installation, row.id):
            discard(home.path, path)
        ledger.sources.purge(row.id)


def _landed(installation: Installation, source_id: str) -> list[str]:
    """Return every file in landing that holds records of a source: also those that were set aside, or never landed."""
    home, ledger = installation.home.path, installation.ledger
    claims = set(ledger.pulling.claims_of(source_id))
    found = [path for table in table_schemas() for path in parts_of_claims(home, table, claims)]
    found += [
        part.path for table in table_schemas() for part in ledger.lake.parts(table) if part.source_id == source_id
    ]
    aside = [lost for lost in ledger.losses.listed(repaired=True) if lost.sequence is not None]
    return found + [lost.path for lost in aside if lost.source_id == source_id]
