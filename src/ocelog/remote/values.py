"""How values are read that the API writes: instants."""

from datetime import datetime

from ocelog.times import to_us


def instant_of(text: str) -> datetime:
    """Return an instant. Raises ValueError."""
    found = datetime.fromisoformat(text)
    if found.tzinfo is None:
        raise ValueError("an instant has no zone")
    return found


def us_of(text: str | None) -> int | None:
    """Return an instant as the ledger has it; None: there is none. Raises ValueError."""
    return None if text is None else to_us(instant_of(text))
