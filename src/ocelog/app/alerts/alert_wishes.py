"""What a person wants done with alerts, as every face takes it: the verb, and what goes with it."""

from collections.abc import Callable, Mapping
from enum import StrEnum

from msgspec import Struct

from ocelog.alert import changes
from ocelog.alert.changes import Act, CloseReason
from ocelog.errors import ConfigError
from ocelog.languages.phrases import Phrase

RESENT = "alert.resent"
"""What is on the trail of alerts of which people were told once more."""


class Verb(StrEnum):
    """What can be done with an alert."""

    TRIAGE = "triage"
    ASSIGN = "assign"
    COMMENT = "comment"
    CLOSE = "close"
    REOPEN = "reopen"


_DEEDS: Mapping[Verb, str] = {
    Verb.TRIAGE: "alert.triaged",
    Verb.ASSIGN: "alert.assigned",
    Verb.COMMENT: "alert.commented",
    Verb.CLOSE: "alert.closed",
    Verb.REOPEN: "alert.reopened",
}


class Wish(Struct, frozen=True, kw_only=True):
    """What a person wants done with alerts."""

    do: Verb
    text: str = ""
    """Of a comment; also of closing and reopening, where it may be empty."""
    reason: CloseReason | None = None
    """Of closing."""
    assignee: str | None = None
    """Of assigning: who looks after them; None: nobody."""

    @property
    def deed(self) -> str:
        """What is on the trail of it."""
        return _DEEDS[self.do]

    def act(self, who: str) -> Act:
        """Return what does it, for `who`. Raises ConfigError if something is missing or does not hold."""
        acts: Mapping[Verb, Callable[[], Act]] = {
            Verb.TRIAGE: lambda: changes.triage(who=who),
            Verb.ASSIGN: lambda: changes.assign(self.assignee, who=who),
            Verb.COMMENT: lambda: changes.comment(self.text, who=who),
            Verb.CLOSE: lambda: changes.close(self._reason(), self.text, who=who),
            Verb.REOPEN: lambda: changes.reopen(self.text, who=who),
        }
        return acts[self.do]()

    def _reason(self) -> CloseReason:
        if self.reason is None:
            raise ConfigError(Phrase("To close an alert, give a reason: %(reasons)s.", reasons=", ".join(CloseReason)))
        return self.reason
