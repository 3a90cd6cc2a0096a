"""A link that signs somebody in once, without a password: for the demo, on the machine itself."""

import hmac
import secrets
import threading
from dataclasses import dataclass, field

from ocelog.secret import Secret


@dataclass(slots=True, kw_only=True)
class Invitation:
    """Signs in the user of that name, once."""

    name: str
    token: Secret = field(default_factory=lambda: Secret(secrets.token_urlsafe(24)))
    _taken: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def path(self) -> str:
        """Where it is taken; who knows the path may take it."""
        return f"/demo?token={self.token.reveal()}"

    def take(self, token: str) -> bool:
        """Take the invitation. Of all who know its token the first is let in."""
        if not hmac.compare_digest(token.encode("utf-8", "surrogatepass"), self.token.reveal().encode()):
            return False
        with self._lock:
            taken, self._taken = self._taken, True
        return not taken
