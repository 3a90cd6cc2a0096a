"""What each admin call must say: its fields, their types and bounds."""

from typing import Annotated, Any, TypeAlias

import msgspec

Json = dict[str, Any]
LONGEST_STEP = 10 * 366 * 86_400
Count: TypeAlias = Annotated[int, msgspec.Meta(ge=1, le=1_000_000_000)]


class Nothing(msgspec.Struct, forbid_unknown_fields=True):
    """A call that says nothing."""


class FaultsAsked(msgspec.Struct, forbid_unknown_fields=True):
    """Which faults to set or to take away."""

    add: str | Json | None = None
    clear: bool | str = False


class Step(msgspec.Struct, forbid_unknown_fields=True):
    """How far time moves."""

    seconds: Annotated[float, msgspec.Meta(ge=0, le=LONGEST_STEP)]


class Pace(msgspec.Struct, forbid_unknown_fields=True):
    """How fast the tenant changes by itself."""

    per_second: Annotated[float, msgspec.Meta(ge=0, le=10_000)]


class AccountAsked(msgspec.Struct, forbid_unknown_fields=True):
    """What a service account may do; what is not given stays."""

    client_id: str | None = None
    scopes: list[str] | None = None
    projects: list[str] | None = None


class Named(msgspec.Struct, forbid_unknown_fields=True):
    """Which service account; the first unless said."""

    client_id: str | None = None


class BehaviourAsked(msgspec.Struct, forbid_unknown_fields=True):
    """Fields of Behaviour; what is not given stays."""

    after_inclusive: bool | msgspec.UnsetType = msgspec.UNSET
    before_inclusive: bool | msgspec.UnsetType = msgspec.UNSET
    tie_break: bool | msgspec.UnsetType = msgspec.UNSET
    oldest_first: bool | msgspec.UnsetType = msgspec.UNSET
    page_cap: Count | msgspec.UnsetType = msgspec.UNSET
    audit_page_cap: Count | msgspec.UnsetType = msgspec.UNSET
    refuse_over_cap: bool | msgspec.UnsetType = msgspec.UNSET
    page_default: Count | msgspec.UnsetType = msgspec.UNSET
    max_count: Count | msgspec.UnsetType | None = msgspec.UNSET
    resources_scope: bool | msgspec.UnsetType = msgspec.UNSET
    self_audit: bool | msgspec.UnsetType = msgspec.UNSET


class Put(msgspec.Struct, forbid_unknown_fields=True):
    """A whole record to show."""

    type: str
    record: Json


class Change(msgspec.Struct, forbid_unknown_fields=True):
    """What changes in a record."""

    type: str
    id: str
    fields: Json


class Remove(msgspec.Struct, forbid_unknown_fields=True):
    """A record to show no more."""

    type: str
    id: str
