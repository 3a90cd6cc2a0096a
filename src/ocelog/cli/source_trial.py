"""Whether a tenant may be added as it was described, and whether it works."""

from ocelog.app import sources
from ocelog.app.source_settings import source_settings
from ocelog.app.sources import GivenSecret
from ocelog.cli import health, show
from ocelog.cli.source_options import SourceOptions
from ocelog.errors import ConfigError
from ocelog.installation.opening import Installation
from ocelog.model import SourceRow
from ocelog.product import Product


def free_name(installation: Installation, name: str) -> str:
    """Return `name` as it is kept. Raises ConfigError if a source has it already."""
    name = sources.clean_name(name)
    taken = installation.ledger.sources.find(sources.source_id(name))
    if taken is not None and taken.removed_us is None:
        raise ConfigError(
            f"There is a source {taken.name!r} already: choose another name, or change that one. See: "
            f"ocelog source edit {taken.id} --help"
        )
    return name


def new_row(installation: Installation, product: Product, name: str, chosen: SourceOptions) -> SourceRow:
    """Return the source that would be added. Raises ConfigError if it may not be."""
    row = sources.row_of(free_name(installation, name), chosen.settings(product, None), chosen.streams())
    sources.resumes(installation, row)
    if not chosen.anyway:
        sources.refuse_twin(installation, row)
    return row


def prove(row: SourceRow, secret: GivenSecret, otherwise: str) -> None:
    """Ask the tenant for a little of everything, and say what was found.

    Raises ConfigError if something fails, SourceUnavailableError if that may pass by itself.
    """
    health.demand(sources.check(source_settings(row), secret.value, health.waiting), otherwise)


def say_conflict(row: SourceRow) -> None:
    """Say how the settings of `row` are at odds with each other, though they work."""
    conflict = source_settings(row).conflict()
    if conflict is not None:
        show.remark(conflict)
