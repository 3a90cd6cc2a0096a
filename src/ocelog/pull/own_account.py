"""Which events our own account caused by reading: they say nothing about whether anybody else does anything."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from ocelog.model import Kind
from ocelog.pull.ports import ShapedRecords


@dataclass(slots=True)
class OwnAccount:
    """The account that reads a stream, by the names under which the stream's records may call it."""

    kind: Kind
    names: Iterable[str] = ()
    """What it is known by in the settings, such as its client ID."""
    _known: set[str] = field(init=False)

    def __post_init__(self) -> None:
        self._known = set(self.names)

    def caused(self, shaped: ShapedRecords) -> frozenset[int]:
        """Return the events of a page that the account caused, by their place among the events.

        A source may call an account by an id of its own, which nobody has told us. What names the account both ways,
        such as its login, teaches us: the first of the kind's `actor_fields` is that id.
        """
        if not self._known or not self.kind.actor_fields:
            return frozenset()
        columns = [shaped.texts(path) for path in self.kind.actor_fields]
        named = {at for column in columns for at, name in enumerate(column) if name in self._known}
        own_id = columns[0]
        # Adding to a set is atomic, and all threads learn the same.
        self._known |= {name for at in named if (name := own_id[at])}
        return frozenset(at for column in columns for at, name in enumerate(column) if name in self._known)
