"""How the file of a part is named: after the claim that it was landed under, the fence of its holder, and a number."""

import re

from msgspec import Struct

from ocelog.model import Claim

_CLAIM = re.compile(r"(?P<kind>[a-z]?)(?P<number>\d+)")
_NAME = re.compile(rf"(?P<claim>{_CLAIM.pattern})-(?P<fence>\d+)-\d+(?:\.[0-9a-f]{{8}})?\.parquet")


class PartName(Struct, frozen=True, kw_only=True):
    """What the name of a part's file says."""

    claim: str
    kind: str
    """A letter for what holds such claims, a replay for example; empty: a slice."""
    number: int
    """The claim's, or the slice's."""
    fence: int


def part_name(claim: Claim, number: int) -> str:
    """Name a part that is landed under `claim`; `number` is another for each part of this holder.

    The lake adds a checksum and `.parquet`.
    """
    return f"{claim.name}-{claim.fence}-{number}"


def read_part_name(file: str) -> PartName | None:
    """Read the name of a file in landing, None if it is not a part's."""
    found = _NAME.fullmatch(file)
    if found is None:
        return None
    return PartName(claim=found["claim"], kind=found["kind"], number=int(found["number"]), fence=int(found["fence"]))


def read_claim_name(claim: str) -> tuple[str, int] | None:
    """Split the name of a claim into its kind and its number, None if it is not one."""
    found = _CLAIM.fullmatch(claim)
    return None if found is None else (found["kind"], int(found["number"]))
