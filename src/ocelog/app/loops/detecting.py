"""The loop that judges events by the rules, table by table, as they land."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import structlog

from ocelog.alert.alert import Alert
from ocelog.alert.deciding import Policy
from ocelog.alert.delivery.routing import ChannelRow, channels_for
from ocelog.alert.delivery.suppressing import suppressed
from ocelog.alert.detecting import Detecting, JudgingStep, keepers
from ocelog.alert.judged import Event, JudgedBy, Judgement
from ocelog.app.claims import HomeClaims
from ocelog.app.judging.jury import FolderJury
from ocelog.app.log_types import kinds
from ocelog.app.loops.loop import Work
from ocelog.app.loops.onboarding import Onboarding
from ocelog.app.loops.seeding import CurrentRecords
from ocelog.errors import LedgerUnavailableError, LostFenceError, OcelogError
from ocelog.installation.home import free_bytes
from ocelog.installation.opening import Installation
from ocelog.ledger.ledger import Ledger
from ocelog.ledger.pulling import holder_of
from ocelog.model import Kind, table_name
from ocelog.schema.columns.table import match_rows
from ocelog.times import to_us

if TYPE_CHECKING:
    import pyarrow as pa

_LOOK_EVERY = 5.0
"""Seconds between two looks at what other processes may have landed; what this one lands is judged at once."""
_FOLDERS_EVERY = 15.0
_GLANCE = 0.5
_AFTER_FAILURE = 10.0
_SHARE_OF_DISK = 5
"""Parts that wait for the rules hold at most such a part of the free disk."""
_LITTLE = 16 << 20
"""Bytes that they may hold on any disk: deleting less than that makes no room, and costs what rules would have said."""
DETECTING = "detect"
"""What a claim of this loop is called."""
log = structlog.get_logger()


class NoJury:
    """No rules at all: everything is passed. Fits Jury."""

    def rules(self, _log_type: str) -> Mapping[str, JudgedBy]:
        """Return none."""
        return {}

    def passed(self, _log_type: str) -> Mapping[str, str]:
        """Return none."""
        return {}

    def judge(self, _rows: "pa.Table", _log_type: str, events: Sequence[Event]) -> Judgement:
        """Say nothing."""
        return Judgement(events=events)

    def committed(self, _said: Judgement) -> None:
        """Do nothing."""


def policy_of(ledger: Ledger) -> Policy:
    """Return what people have set up for alerts, as it is now."""
    channels: list[ChannelRow] = ledger.channels.listed()
    suppressions = ledger.alerts.suppressions()

    def why(alert: Alert, now_us: int) -> str | None:
        found = suppressed(alert, suppressions, now_us)
        return None if found is None else found.why

    return Policy(route=lambda alert: channels_for(alert, channels), suppressed=why)


def channel_names(ledger: Ledger) -> Mapping[str, str]:
    """Return the id of each channel by its name and by its id."""
    found = ledger.channels.listed()
    return {each.name: each.id for each in found} | {each.id: each.id for each in found}


@dataclass(slots=True)
class DetectLoop:
    """Judges what has landed in every table; what goes wrong with one stops no other."""

    work: Work
    jury: FolderJury = field(init=False)
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    """Our clock."""
    _detecting: Detecting = field(init=False)
    _claims: HomeClaims = field(init=False)
    _onboarding: Onboarding = field(init=False)
    _look_at: float = float("-inf")
    _folders_at: float = float("-inf")
    """When the files of rules are looked at next, though nothing has landed: people wait to hear that they read."""
    _landed: int = 0
    """What this process had landed when the ledger was asked last."""
    _resting_until: float = float("-inf")
    """After a failure."""

    def __post_init__(self) -> None:
        assembly = self.work.assembly
        installation: Installation = assembly.installation
        ledger = installation.ledger
        self.jury = FolderJury(installation, channels=lambda: channel_names(ledger), went_on=self.work.went_on)
        self._onboarding = Onboarding(ledger)
        self._claims = HomeClaims(ledger, holder_of(installation.home.id), DETECTING)
        self._detecting = Detecting(
            ledger=ledger.judging,
            lake=assembly.lake,
            jury=self.jury if installation.settings.detections else NoJury(),
            claims=self._claims,
            match_rows=match_rows,
            policy=lambda: policy_of(ledger),
            now_us=lambda: to_us(self.now()),
            seeder=CurrentRecords(installation=installation, lake=assembly.lake, jury=self.jury),
        )

    @property
    def name(self) -> str:
        """What the loop is called in the log."""
        return "detect"

    def run_due(self, now: float) -> float:
        """Begin to judge if anything has landed."""
        landed = self.work.assembly.landed
        if now >= self._look_at or (landed != self._landed and now >= self._resting_until):
            judges = self.work.assembly.installation.settings.detections
            if (judges and now >= self._folders_at) or self._due():
                if not self.work.begin(self, self._judge):
                    return now + _GLANCE
                self._folders_at = now + _FOLDERS_EVERY
            self._landed, self._look_at = landed, now + _LOOK_EVERY
        return self._look_at

    def finish(self) -> None:
        """Judge everything that has landed, and end the processes that did."""
        self.jury.look_again(waits=True)
        try:
            self._judge()
        finally:
            self.close()

    def close(self) -> None:
        """End the processes that judge, and let others judge."""
        self.jury.close()
        self._claims.release()

    def _due(self) -> set[str]:
        """Return the tables that rules have to look at, by those that were on when somebody looked last."""
        installation = self.work.assembly.installation
        if not installation.settings.detections:
            return installation.ledger.judging.due()
        return installation.ledger.judging.due(
            {
                table_name(kind.log_type): keepers(self.jury.seen(kind.log_type))
                for kind in kinds().values()
                if kind.version_fields is not None
            }
        )

    def _judge(self) -> None:
        """Judge table after table. Raises what kept one from being judged, after the others were."""
        if self.work.assembly.installation.settings.detections:
            self.jury.look()
        due = self._due()
        if not self.work.assembly.installation.settings.detections:
            # They know nothing of what is passed meanwhile.
            self.work.assembly.installation.ledger.rules.forget_seeds(())
        failed = dict[str, Exception]()
        left = [kind for kind in kinds().values() if table_name(kind.log_type) in due]
        while left and not self.work.stop():
            seeding = {kind.log_type for kind in left if self._judge_table(kind, failed)}
            # What is there already in one table, a million records perhaps, holds up no other.
            now_due = self._due() if seeding else set()
            left = [
                kind
                for kind in kinds().values()
                if table_name(kind.log_type) in now_due and table_name(kind.log_type) not in failed
            ]
        # Without rules nobody knows yet what they look for.
        if due and not self.work.stop() and not self._due() and self.work.assembly.installation.settings.detections:
            self._onboarding.look(to_us(self.now()))
        for error in failed.values():
            self._look_at = self._resting_until = self.work.monotonic() + _AFTER_FAILURE
            raise error

    def _judge_table(self, kind: Kind, failed: dict[str, Exception]) -> bool:
        """Judge what has landed in a table, and note if that fails; return whether it has to be gone on with."""
        table = table_name(kind.log_type)
        try:
            self._make_room(table)
            more = True
            while more and not self.work.stop():
                self._take_up(table)
                step = self._step(table, kind)
                self.work.went_on()
                more = step.more
                self.work.to_tell += bool(step.tellings)
                if step.seeding:
                    # What was there before is a piece of its own each time.
                    self.work.takes_up(self, table, None)
                    return True
        except LostFenceError as error:
            log.info("judged by another", table=table, reason=str(error))
        except OcelogError as error:
            self.work.failures.failed("judging failed", error, {"table": table})
            if not isinstance(error, LedgerUnavailableError):
                self._give_up_old(table, error.beside(table))
            failed[table] = error
        except Exception as error:  # noqa: BLE001 - logged here, and raised when the others are judged
            # Of several tables that fail only the first one's error is raised.
            self.work.failures.failed("judging failed", error, {"table": table})
            self._give_up_old(table, f"a bug in Ocelog: {type(error).__name__}")
            failed[table] = error
        else:
            self.work.failures.over("judging failed", {"table": table})
        return False

    def _take_up(self, table: str) -> None:
        waiting = self.work.assembly.installation.ledger.judging.waiting(table, most_parts=1)
        self.work.takes_up(self, table, waiting.since if waiting.parts else None)

    def _make_room(self, table: str) -> None:
        """See to it that what waits for the rules does not keep others from landing."""
        most = max(_LITTLE, free_bytes(self.work.assembly.installation.home) // _SHARE_OF_DISK)
        while self._detecting.make_room(table, most).more:
            log.error("not judged, to make room", table=table)

    def _give_up_old(self, table: str, reason: str) -> None:
        """Pass what could not be judged for days, so that its files can go."""
        while self._detecting.give_up_old(table, reason).more:
            log.error("not judged", table=table, reason=reason)

    def _step(self, table: str, kind: Kind) -> JudgingStep:
        with self.jury.lock:
            return self._detecting.step(table, kind)
