"""Whether an address answers at all, before anybody is asked for a secret."""

from ocelog.errors import SourceUnavailableError
from ocelog.languages.phrases import Phrase
from ocelog.sources.wiz.client import Client
from ocelog.sources.wiz.settings import WizSettings

_CONNECT_SECONDS, _READ_SECONDS = 5.0, 15.0
"""A person waits."""
_NOTHING_THERE = (404, 405, 410)
"""What a server answers where it has nothing, or nothing that takes a POST. A refusal is another."""


def demand_answer(url: str) -> None:
    """Send a request without credentials, which may be refused.

    Raises SourceUnavailableError if nothing answers, or nothing is there that takes requests.

    Raises ConfigError if the environment does not let anyone ask.
    """
    client = Client(
        WizSettings(
            token_url=url,
            client_id="",
            audience="",
            connect_seconds=_CONNECT_SECONDS,
            read_seconds=_READ_SECONDS,
            total_seconds=_READ_SECONDS,
            most_bytes=10_000_000,
        )
    )
    try:
        answered = client.post(url, b"", {"Content-Type": "application/json"})
    finally:
        client.close()
    if answered.status in _NOTHING_THERE:
        raise SourceUnavailableError(
            Phrase("%(url)s answered HTTP %(status)s: is its path right?", url=url, status=answered.status)
        )
