"""The loop that publishes what has landed, and keeps the tables small afterwards."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime

import structlog

from ocelog.app.alerts.alert_expiry import forget_old_alerts
from ocelog.app.assemble import maintenance
from ocelog.app.loops.loop import Work
from ocelog.app.other_tools import tables_change, views_for_others
from ocelog.app.status.status import lost_lines
from ocelog.app.users.trail import shorten_trail
from ocelog.errors import LedgerUnavailableError, OcelogError
from ocelog.lake.read.views_file import ViewsFile
from ocelog.lake.storage.disk import disk_errors
from ocelog.lake.upkeep.cleaning import clean
from ocelog.lake.upkeep.leftovers import remove_leftovers
from ocelog.lake.upkeep.maintenance import Maintenance, TableUpkeep
from ocelog.model import PUBLISH, PUBLISHING
from ocelog.times import from_us, has_passed

_LOOK_EVERY = 5.0
"""Seconds between two looks at whether a table wants to be published."""
_CLEAN_EVERY = 60.0
_FORGET_EVERY = 3600.0
log = structlog.get_logger()


@dataclass(slots=True)
class PublishLoop:
    """Publishes each table for itself, and tends it; what goes wrong with one is told, and stops no other."""

    work: Work
    hold: Callable[[], AbstractContextManager[None]] = nullcontext
    """Keeps others from work that takes much memory while a table is published."""
    error: OcelogError | None = None
    """What went wrong when it last published; None: nothing."""
    maintenance: Maintenance = field(init=False)
    _views: ViewsFile = field(init=False)
    _looked_at: float = float("-inf")
    _cleaned_at: float = float("-inf")
    _forgot_at: float = float("-inf")
    _unpublishable: set[str] = field(init=False)
    """Tables of which the ledger says that publishing fails."""
    _left_alone: set[str] = field(default_factory=set)
    _not_expired: dict[str, str | None] = field(default_factory=dict)
    """Why the rows of a table that are too old were kept when they were last looked at."""

    def __post_init__(self) -> None:
        installation = self.work.assembly.installation
        self.maintenance = maintenance(installation)
        self._views = views_for_others(installation.home.path)
        self._unpublishable = {
            each.table for each in installation.ledger.lake.table_faults() if each.what == PUBLISHING
        }

    @property
    def name(self) -> str:
        """What the loop is called in the log."""
        return "publish"

    def run_due(self, now: float) -> float:
        """Begin to publish if a table wants it, and to clean up now and then: both look at many files."""
        if now >= self._looked_at + _LOOK_EVERY:
            self._looked_at = now
            cleans = now >= self._cleaned_at + _CLEAN_EVERY
            if cleans or any(self.is_time(table) for table in self.work.assembly.lake.schemas):
                self._cleaned_at = now
                self.work.begin(self, lambda: self.publish(force=False))
        return self._looked_at + _LOOK_EVERY

    def finish(self) -> None:
        """Publish everything."""
        self.publish(force=True)

    def publish(self, *, force: bool) -> None:
        """Publish each table, if it is time or `force`, and tend it; what goes wrong is logged, and kept as `error`.

        Raises OcelogError if the views for other tools cannot be written: then the loop fails, though the tables are
        published.
        """
        installation = self.work.assembly.installation
        with installation.tables, tables_change(installation.home.path, self._views):
            self._publish_each(force=force)
        now = self.work.monotonic()
        if force or now >= self._forgot_at + _FORGET_EVERY:
            self._forgot_at = now
            self._try_upkeep("alerts", "old alerts", lambda: forget_old_alerts(self.work.assembly.installation))
            self._try_upkeep("trail", "old entries", lambda: shorten_trail(self.work.assembly.installation))

    def _publish_each(self, *, force: bool) -> None:
        self.error = None
        installation = self.work.assembly.installation
        for table in self.work.assembly.lake.schemas:
            self.work.went_on()
            try:
                if force or self.is_time(table):
                    with disk_errors(installation.home.path):
                        self._publish(table)
            except LedgerUnavailableError as error:
                self.error = error
                self.work.failures.failed("publish failed", error, {"table": table})
                # Each other table would wait as long for it, and so would a note of this.
                return
            except OcelogError as error:
                self.error = error
                self._note(table, error)
                self.work.failures.failed("publish failed", error, {"table": table})
            except Exception as error:  # noqa: BLE001 - logged, and noted for `ocelog status`
                self.error = OcelogError(f"a bug in Ocelog: {type(error).__name__}: {error}", table=table)
                self._note(table, self.error)
                self.work.failures.failed("publish failed", error, {"table": table})
            else:
                self.work.failures.over("publish failed", {"table": table})
                self._tend(table)

    def is_time(self, table: str) -> bool:
        """Whether enough of `table` waits, or the oldest has waited for long enough."""
        installation = self.work.assembly.installation
        count, _, waiting, oldest_us = installation.ledger.lake.unpublished(table)
        if not count or oldest_us is None:
            return False
        if waiting >= installation.settings.publish_bytes:
            return True
        return has_passed(installation.settings.publish_after, since=from_us(oldest_us), now=datetime.now(UTC))

    def _publish(self, table: str) -> None:
        ledger = self.work.assembly.installation.ledger
        before = lost_lines(ledger, [table])
        self.work.takes_up(self, table, ledger.lake.mark(PUBLISH, table))
        with self.hold():
            published = self.work.assembly.publisher.publish(table, went_on=self.work.went_on)
        self._note(table, None)
        for line in lost_lines(ledger, [table]):
            if line not in before:
                log.error("rows lost", table=table, reason=line)
        if published.parts:
            log.info("published", table=table, rows=published.rows, parts=published.parts)

    def _note(self, table: str, error: OcelogError | None) -> None:
        """Note for `ocelog status` why `table` is not published; None: it is again."""
        ledger = self.work.assembly.installation.ledger
        # The ledger may be what fails.
        with suppress(OcelogError):
            if error is not None:
                self._unpublishable.add(table)
                ledger.lake.table_failed(table, PUBLISHING, code=error.code, reason=error.beside(table))
            elif table in self._unpublishable:
                ledger.lake.table_well(table, PUBLISHING)
                self._unpublishable.discard(table)
                log.info("publishing works again", table=table)

    def _tend(self, table: str) -> None:
        """Delete what the table does not need any more, and keep it small.

        What goes wrong is told. It stops neither the rest of the upkeep, nor publishing, nor a pull.
        """
        installation = self.work.assembly.installation
        home, ledger, grace = installation.home.path, installation.ledger, installation.settings.part_grace
        self._try_upkeep(table, "parts", lambda: clean(home, table, ledger.lake, grace=grace))
        self._try_upkeep(table, "leftovers", lambda: remove_leftovers(home, table))
        tend = self.maintenance.tend
        self._try_upkeep(table, "files", lambda: self._told(tend(table)), due=lambda: self.maintenance.is_due(table))

    def _try_upkeep(
        self, table: str, of: str, work: Callable[[], object], *, due: Callable[[], bool] = lambda: True
    ) -> None:
        names = {"table": table, "of": of}
        try:
            self.work.went_on()
            with disk_errors(self.work.assembly.installation.home.path):
                if not due():
                    # What failed at the last look is not over because nobody looked again.
                    return
                work()
        except Exception as error:  # noqa: BLE001 - logged: it stops nothing else
            self.work.failures.failed("upkeep failed", error, names, level="warning")
        else:
            self.work.failures.over("upkeep failed", names)

    def _told(self, tended: TableUpkeep) -> None:
        table = tended.table
        if tended.not_expired is not None and tended.not_expired != self._not_expired.get(table):
            log.warning("old rows kept", table=table, reason=tended.not_expired)
        self._not_expired[table] = tended.not_expired
        if tended.rows_expired:
            log.info("old rows deleted", table=table, rows=tended.rows_expired)
        if tended.rewritten:
            log.info("compacted", table=table, files=tended.rewritten)
        for path, reason in tended.left_alone.items():
            if path not in self._left_alone:
                log.warning("file left alone", table=table, path=path, reason=reason)
                self._left_alone.add(path)
