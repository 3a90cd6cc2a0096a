"""The secret of a source, for whoever is about to ask it."""

from ocelog.app.source_settings import SECRET_NAME, source_settings
from ocelog.errors import SourceUnavailableError
from ocelog.installation.opening import Installation
from ocelog.languages.phrases import Phrase
from ocelog.model import SourceRow
from ocelog.secrets.secret import Secret


def reveal(installation: Installation, row: SourceRow) -> Secret:
    """Return the source's secret as it is now. Raises HomeError if the key is lost.

    Raises SourceUnavailableError if the source is not as `row` any more: its new secret is for its new address.
    """
    secret = installation.vault().get(row.id, SECRET_NAME)
    # After the secret, with which it is saved.
    now = installation.ledger.sources.find(row.id)
    if now is None or now.id != row.id or source_settings(now) != source_settings(row):
        raise SourceUnavailableError(
            Phrase("The source %(name)s was changed just now: the next try uses its new settings.", name=repr(row.name))
        )
    return secret
