"""What a child with rules says to its parent, as it is decoded: strictly, and bounded.

Python of rules runs in that child, so anything may stand where an answer is expected.
"""

import json
from collections.abc import Collection, Mapping
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from ocelog.detect.checkout import Problem
from ocelog.detect.modules import Fault
from ocelog.detect.rule import About, CorrelationRule, Kind, NotRun, Pack, Query
from ocelog.detect.testing import Report
from ocelog.model import Severity

LONGEST_TEXT = 1_000
"""Characters of a title, and of whatever else a rule says."""
LONGEST_NAME = 200
LONGEST_MESSAGE = 2_000
LONGEST_CONTEXT = 256 << 10
"""Bytes of JSON of an alert's context."""
_MOST_ROWS = 100_000
_Row = Annotated[int, Meta(ge=0, le=_MOST_ROWS)]
_Text = Annotated[str, Meta(max_length=LONGEST_TEXT)]
_Name = Annotated[str, Meta(max_length=LONGEST_NAME)]
_Message = Annotated[str, Meta(max_length=LONGEST_MESSAGE)]


class WireFault(Struct, frozen=True, forbid_unknown_fields=True):
    """A Fault."""

    function: _Name
    type: _Name
    message: _Message
    is_fatal: bool = False

    def fault(self) -> Fault:
        """Return it as the rest of the program knows it."""
        return Fault(function=self.function, type=self.type, message=self.message, is_fatal=self.is_fatal)


class WireMatch(Struct, frozen=True, forbid_unknown_fields=True):
    """A Verdict of one row that matched. A text that is None is the one that the rule's YAML has."""

    row: _Row
    title: _Text
    severity: Severity
    dedup: _Text
    context: msgspec.Raw
    """An object. It is not kept as Python's values, which may be 18 times as large."""
    description: _Text | None = None
    reference: _Text | None = None
    runbook: _Text | None = None
    destinations: Annotated[list[_Text], Meta(max_length=10)] | None = None
    unique: _Text | None = None
    raised: Annotated[list[WireFault], Meta(max_length=20)] = []
    notes: Annotated[list[_Text], Meta(max_length=20)] = []

    def __post_init__(self) -> None:
        if len(self.context) > LONGEST_CONTEXT:
            raise ValueError("a context that is too long")
        found = msgspec.json.decode(self.context, type=dict[str, Any])
        # Written anew: what was said lies in the whole answer, which would stay as long as it.
        msgspec.structs.force_setattr(self, "context", msgspec.Raw(json.dumps(found).encode()))


class WireFailures(Struct, frozen=True, forbid_unknown_fields=True):
    """Rows one after the other on which a rule failed in the same way."""

    first: _Row
    last: _Row
    """The first that is not one of them."""
    fault: WireFault


class WireAnswer(Struct, frozen=True, forbid_unknown_fields=True):
    """What a rule said of rows, from the one that was asked for up to `last`, which is not one of them."""

    nonce: int
    last: _Row
    matches: Annotated[list[WireMatch], Meta(max_length=_MOST_ROWS)]
    failures: Annotated[list[WireFailures], Meta(max_length=_MOST_ROWS)]

    def is_about(self, first: int, channels: Collection[str] | None) -> bool:
        """Whether it says one thing at most of each row from `first` on, and names only channels that there are."""
        said = [(each.row, each.row + 1) for each in self.matches] + [(each.first, each.last) for each in self.failures]
        at = first
        for start, end in sorted(said):
            if not at <= start < end <= self.last:
                return False
            at = end
        named = {name for each in self.matches for name in each.destinations or ()}
        return channels is None or named <= set(channels)


class WireReady(Struct, frozen=True, forbid_unknown_fields=True):
    """Whether a rule, or a data model, is ready to be asked."""

    nonce: int
    fault: WireFault | None


class WireRows(Struct, frozen=True, forbid_unknown_fields=True):
    """How many rows a piece has."""

    nonce: int
    rows: _Row


class LoadedRule(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A rule of the folder."""

    about: About
    kind: Kind
    log_types: tuple[str, ...]
    scheduled_queries: tuple[str, ...]
    base: str | None
    """The rule that it is derived from."""
    has_python: bool
    files: tuple[str, ...]
    """Its own; it stands on the shared ones of the folder, too."""
    revision: str
    """Tells it, with all that it stands on, from how it was before."""

    @property
    def id(self) -> str:
        """Its name for programs."""
        return self.about.id


class WireLoaded(Struct, frozen=True, forbid_unknown_fields=True):
    """What a bundle holds. It is said before any Python of a rule has run."""

    nonce: int
    rules: list[LoadedRule]
    shared: list[str]
    """Files that every rule may stand on."""
    models: Mapping[str, str]
    """Log type -> the Python file of its data model."""
    correlations: list[CorrelationRule]
    queries: list[Query]
    packs: list[Pack]
    not_run: list[NotRun]
    problems: list[Problem]
    kept: list[Problem]
    """Files whose content of before is used, and why."""


class WireFound(Struct, frozen=True, forbid_unknown_fields=True):
    """What there is to try. It is said before any Python of a rule has run."""

    nonce: int
    trials: list[tuple[str, str | None]]
    """Rule and test."""
    report: Report
    """As if nothing had been tried."""


class WireTried(Struct, frozen=True, forbid_unknown_fields=True):
    """Why a test failed; None: it passed."""

    nonce: int
    why: _Text | None
