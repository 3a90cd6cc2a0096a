"""How a simulated API resolves what no public source settles."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """What no public source settles about the API, or what differs between tenants."""

    after_inclusive: bool = False
    before_inclusive: bool = False
    tie_break: bool = False
    """Cursors name the records of their instant; without, ties at a page's edge are skipped."""
    oldest_first: bool = False
    """A listing without orderBy begins with the oldest record; two clients rely on the newest."""
    page_cap: int = 500
    audit_page_cap: int = 5_000
    """Most entries of a page of the audit log, which clients ask for 5,000 at once."""
    refuse_over_cap: bool = False
    """Refuse a larger `first` instead of clamping it."""
    page_default: int = 50
    max_count: int | None = 100_000
    """Where totalCount of findings stops and maxCountReached is set."""
    resources_scope: bool = True
    """What resources are needs read:resources; without, the scope of the log type opens them too."""
    self_audit: bool = False
    """Logins and queries of collectors show up in the audit log."""
