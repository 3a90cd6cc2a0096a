"""What the lake needs to know of its tables, and from a ledger, in the lake's words."""

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Literal, Protocol

import msgspec
from msgspec import Struct

from ocelog.model import GivenUp, Part

if TYPE_CHECKING:
    # Whoever only names a ledger goes without Arrow.
    import pyarrow as pa

_TRAITS = b"ocelog.traits"


class Traits(Struct, frozen=True, kw_only=True):
    """What the columns of a table do not tell; its Arrow schema carries it."""

    partition: Literal["day", "month"] = "month"
    """Of p_event_time, by which new tables are cut."""
    changes: bool = True
    """Whether records have several versions, of which the newest is the current one."""
    closed: tuple[str, ...] = ()
    """Values of the column `status` of records that nobody has to look at any more.

    Any other, a new one perhaps, counts as open, and outlives every retention."""


def with_traits(schema: "pa.Schema", traits: Traits) -> "pa.Schema":
    """Return `schema` with `traits`."""
    return schema.with_metadata({**(schema.metadata or {}), _TRAITS: msgspec.json.encode(traits)})


def traits_of(schema: "pa.Schema") -> Traits:
    """Return the traits that `schema` carries; the defaults if it carries none."""
    written = (schema.metadata or {}).get(_TRAITS)
    return Traits() if written is None else msgspec.json.decode(written, type=Traits)


class LakeLedger(Protocol):
    """The order of commits of parts, and how far they are published. Every call is one transaction."""

    @property
    def id(self) -> str:
        """Name this ledger: a mark says whose sequence numbers it counts in."""
        ...

    def parts(self, table: str, above: int = 0) -> list[Part]:
        """Return the parts with a greater sequence than `above`, in sequence order."""
        ...

    def counter(self, table: str) -> int:
        """Return the last sequence given to a part of `table`."""
        ...

    def raise_counter(self, table: str, to: int) -> None:
        """Make sure that no sequence up to `to` is given again."""
        ...

    def published(self, table: str, through: int, at_us: int) -> None:
        """Note that the parts up to `through` are in the table, since `at_us` at the latest."""
        ...

    def removable(self, table: str, published_before_us: int) -> list[Part]:
        """Return the parts that no loop needs and that were published before that instant."""
        ...

    def forget(self, table: str, sequences: Sequence[int]) -> None:
        """Delete the rows of those parts and remember that parts up to the greatest are gone."""
        ...

    def removed_through(self, table: str) -> int:
        """Return the greatest sequence of a part of `table` whose row is deleted: published it was, then."""
        ...

    def part_failed(self, table: str, sequence: int, at_us: int) -> tuple[int, int]:
        """Count one more try, at `at_us`, at which a part could not be read; return how many, and since when."""
        ...

    def parts_whole(self, table: str, sequences: Collection[int]) -> None:
        """Forget that parts could not be read: they can be now."""
        ...

    def set_aside(self, lost: GivenUp) -> None:
        """Take a lost part out of what is to be published, and remember it."""
        ...

    def landing_state(self, table: str) -> tuple[frozenset[str], dict[str, int]]:
        """Return the paths of all parts, set aside or not, and each claim's present fence by name, of one instant."""
        ...
