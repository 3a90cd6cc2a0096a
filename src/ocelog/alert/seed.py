"""How far a rule that is turned on late has come in what is so already."""

from msgspec import Struct


class Seed(Struct, frozen=True, kw_only=True):
    """How far a rule whose alerts live with a record has got to know the records that a table had before it judged."""

    rule_id: str
    folder_id: str
    after: tuple[str, str] | None = None
    """Source and id of the last record that it knows; records come in that order. No id: it has reached the source."""
    tries: int = 0
    """That failed since then."""
    done: bool = False
    given_up: str | None = None
    """Why it judges without knowing the rest."""
