"""Whether an address answers at all, before anybody is asked for a secret."""

from ocelog.sources.wiz.client import Client
from ocelog.sources.wiz.settings import WizSettings

_CONNECT_SECONDS, _READ_SECONDS = 5.0, 15.0
"""A person waits."""


def demand_answer(url: str) -> None:
    """Send a request without credentials, which may be refused. Raises SourceUnavailableError if nothing answers.

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
        client.post(url, b"", {"Content-Type": "application/json"})
    finally:
        client.close()
