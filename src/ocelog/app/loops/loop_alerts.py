"""How people who read no `ocelog status` hear that a loop of the service has not worked for an hour."""

from collections.abc import Collection
from datetime import timedelta

from ocelog.alert.alert import OPEN, Alert
from ocelog.alert.delivery.suppressing import muted_by
from ocelog.alert.ids import LOOP_FAILING, system_alert_id
from ocelog.alert.listing import AlertFilter
from ocelog.alert.notice import AlertStatus, AlertType
from ocelog.alert.raising import RaisedAlert, over, raised
from ocelog.kept_texts import kept_text
from ocelog.ledger.ledger import Ledger
from ocelog.model import HANGING, STALLED, LoopFault, Severity
from ocelog.times import from_us, has_passed, to_us

FAILS_FOR = timedelta(hours=1)
"""Somebody is told of a loop that fails for so long; what fails for a moment is tried again, and works."""
_MOST = 100


def tell(ledger: Ledger, failing: Collection[str]) -> None:
    """Have people hear once of loops that do not work: those that are `failing` in this process, and that they work.

    What only the ledger knows of is of an earlier process: whether it works now is not known yet.
    """
    faults = dict[str, LoopFault]()
    for fault in sorted(ledger.lake.loop_faults(), key=lambda each: (each.during not in _LONG, each.since)):
        faults.setdefault(fault.loop, fault)
    now_us = ledger.system_errors.now_us()
    for loop, fault in faults.items():
        long = fault.during in _LONG or has_passed(FAILS_FOR, since=fault.since, now=from_us(now_us))
        if loop in failing and long:
            _raise(ledger, fault, now_us)
    there = ledger.alerts.listed(AlertFilter(rule=LOOP_FAILING, statuses=OPEN, untold=True), limit=_MOST)
    for alert in there:
        if alert.dedup not in faults:
            ledger.system_errors.change(alert.id, lambda before: _over(before, now_us))


_LONG = frozenset({HANGING, STALLED})
"""What is noted only after an hour."""


def _over(before: Alert | None, now_us: int) -> RaisedAlert | None:
    # A person may have closed it since it was listed.
    if before is None or not before.is_open:
        return None
    return over(before, now_us, note=kept_text("it works again"))


def _raise(ledger: Ledger, fault: LoopFault, now_us: int) -> None:
    name = system_alert_id(LOOP_FAILING, fault.loop)
    muted = muted_by(ledger.alerts.suppressions())

    def to(before: Alert | None) -> RaisedAlert | None:
        if before is not None and before.is_open and (before.to_be_told or muted(before, now_us)):
            return None
        if before is not None and before.status is AlertStatus.CLOSED and to_us(fault.since) <= (before.ended_us or 0):
            # A person closed it, and means what has gone on since then.
            return None
        made = Alert(
            id=name,
            type=AlertType.SYSTEM_ERROR,
            severity=Severity.CRITICAL,
            title=kept_text("The loop %(loop)s of Ocelog does not work", loop=fault.loop),
            description=fault.reason,
            runbook=kept_text(
                "See what else is wrong: ocelog status. Then read the log of the service, and fix what it says."
            ),
            rule_id=LOOP_FAILING,
            rule_name=LOOP_FAILING,
            dedup=fault.loop,
            matches=1,
            opened_us=now_us,
            updated_us=now_us,
        )
        return raised(made, before, now_us=now_us, muted=muted)

    ledger.system_errors.change(name, to)
