"""Everything at once that a running service does little by little to keep the lake small."""

from collections.abc import Callable, Sequence
from contextlib import nullcontext

from msgspec import Struct, field

from ocelog.app.alerts.alert_expiry import forget_old_alerts
from ocelog.app.assemble import maintenance
from ocelog.app.other_tools import tables_change
from ocelog.app.users.trail import shorten_trail
from ocelog.errors import HomeError, LedgerUnavailableError, OcelogError
from ocelog.installation.opening import Installation
from ocelog.lake.upkeep.maintenance import TableUpkeep


class Upkeep(Struct, frozen=True, kw_only=True):
    """What was done, and what failed: first what needs attention."""

    tables: list[TableUpkeep] = field(default_factory=list)
    failed: list[OcelogError] = field(default_factory=list)


def tend(
    installation: Installation,
    tables: Sequence[str],
    *,
    dry_run: bool,
    trust_clock: bool,
    told: Callable[[str], None],
) -> Upkeep:
    """Tend each table by itself, the alerts and the trail: a failure of one keeps no other from it.

    Rows that are kept though they are older than their retention, since the clock may be wrong, are among the failures.
    """
    upkeep, found = maintenance(installation, trust_clock=trust_clock), Upkeep()
    try:
        with nullcontext() if dry_run else tables_change(installation.home.path):
            for table in tables:
                try:
                    found.tables.append(upkeep.tend_whole(table, dry_run=dry_run, told=told))
                except OcelogError as error:
                    found.failed.append(error)
                    if isinstance(error, LedgerUnavailableError):
                        # Every other table would wait as long for it.
                        break
    except OcelogError as error:
        found.failed.append(error)
    if not dry_run:
        try:
            forget_old_alerts(installation, trust_clock=trust_clock)
            shorten_trail(installation, trust_clock=trust_clock)
        except OcelogError as error:
            found.failed.append(error)
    kept = dict.fromkeys(one.not_expired for one in found.tables)
    found.failed.extend(HomeError(reason) for reason in kept if reason is not None)
    found.failed.sort(key=lambda error: not isinstance(error, HomeError))
    return found
