"""A link that signs somebody in once, without a password: for the demo, on the machine itself."""

import hmac
import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from ocelog.secrets.secret import Secret


@dataclass(slots=True, kw_only=True)
class Invitation:
    """Signs in the user of that name, once; then again by another link, of which whoever runs the demo is told."""

    name: str
    told: Callable[[str], None] = lambda _: None
    """Hears of the path of a new link."""
    token: Secret = field(default_factory=lambda: Secret(secrets.token_urlsafe(24)))
    _taken: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def path(self) -> str:
        """Where it is taken; who knows the path may take it."""
        return f"/demo?token={self.token.reveal()}"

    def take(self, token: str) -> bool:
        """Take the invitation. Of all who know its token the first is let in."""
        with self._lock:
            if not hmac.compare_digest(token.encode("utf-8", "surrogatepass"), self.token.reveal().encode()):
                return False
            taken, self._taken = self._taken, True
        return not taken

    def renew(self) -> None:
        """Make another link, if the present one was used: else that one still works."""
        with self._lock:
            if not self._taken:
                return
            self.token, self._taken = Secret(secrets.token_urlsafe(24)), False
        self.told(self.path)
