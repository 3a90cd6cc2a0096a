"""Which records the API shows at present, in which version, and what changed since someone last looked."""

from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """One state of one record. `own` over `base` are its fields; both are shared by many: never change them."""

    type: str
    id: str
    number: int
    """1 for the first state of a record."""
    visible_us: int
    own: Json
    base: Json = field(default_factory=dict)

    def get(self, name: str) -> Any:
        """Return a field, None where the record does not carry it."""
        own = self.own
        return own[name] if name in own else self.base.get(name)

    def full(self) -> Json:
        """Return every field that the record carries, named as in the API's schema."""
        return {**self.base, **self.own} if self.base else self.own


class Table:
    """The records of one type that are visible now, and a log of the ids that changed."""

    def __init__(self) -> None:
        self.current: dict[str, Version] = {}
        self.log: list[str] = []

    def put(self, version: Version) -> None:
        """Show `version` from now on."""
        self.current[version.id] = version
        self.log.append(version.id)

    def drop(self, id_: str) -> None:
        """Show the record no more."""
        if self.current.pop(id_, None) is not None:
            self.log.append(id_)
