"""The loop that tells an outside watcher that all loops are alive: if it stops, the watcher raises the alarm."""

from collections.abc import Callable
from dataclasses import dataclass, field

import structlog

from ocelog.app.loops.loop import Work
from ocelog.channels.http_post import HttpPost, Reach
from ocelog.errors import OcelogError
from ocelog.secrets.redaction import Redactor
from ocelog.secrets.secret import Secret

_AGAIN = 30.0
"""Seconds until a beat that could not be sent, or was left out, is tried again."""
log = structlog.get_logger()


def get(url: Secret) -> None:
    """Request an address; the answer is not used. Raises ChannelUnavailableError and ChannelRefusedError."""
    redact = Redactor()
    redact.learn(url)
    # Whoever wrote the settings of this machine may name a watcher in its own network.
    HttpPost(reach=Reach(allow_private=True), redact=redact).send(url.reveal(), b"", {}, method="GET")


@dataclass(slots=True)
class HeartbeatLoop:
    """Requests the heartbeat's address now and then, as long as no loop fails. It runs in the turn of the others.

    A loop that hangs in its turn keeps this one from its own, so that the watcher hears nothing. One whose work hangs
    is noted to fail by whoever has the loops take turns.
    """

    work: Work
    beat: Callable[[Secret], None] = get
    _due_at: float = float("-inf")
    _silent: bool = field(default=False)

    @property
    def name(self) -> str:
        """What the loop is called in the log."""
        return "heartbeat"

    def run_due(self, now: float) -> float:
        """Send a beat if it is time."""
        settings = self.work.assembly.installation.settings
        every = settings.heartbeat_every.total_seconds()
        if settings.heartbeat_url is None:
            return now + every
        if now >= self._due_at:
            failing = sorted(self.work.faults.errors)
            if failing:
                if not self._silent:
                    log.warning("no heartbeat", failing=failing)
                self._silent = True
                self._due_at = now + _AGAIN
            else:
                self._silent = False
                # First, since one that is not heard is due sooner.
                self._due_at = now + every
                if not self.work.begin(self, self._beat):
                    self._due_at = now + _AGAIN
        return max(self._due_at, now + 1)

    def finish(self) -> None:
        """Send a beat: a pull has come to its end, unless a loop failed."""
        if self.work.assembly.installation.settings.heartbeat_url is not None and not self.work.faults.errors:
            self._beat()

    def _beat(self) -> None:
        url = self.work.assembly.installation.settings.heartbeat_url
        if url is None:
            return
        try:
            self.beat(url)
        except OcelogError as error:
            # The watcher tells of it: nothing here fails because of that.
            log.warning("heartbeat not sent", error=type(error).__name__, code=error.code, reason=str(error))
            self._due_at = min(self._due_at, self.work.monotonic() + _AGAIN)
