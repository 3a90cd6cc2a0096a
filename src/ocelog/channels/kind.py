"""What a kind of channel is to those who set one up: its settings, which of them are secrets, and how it is built."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from msgspec import Struct, field
from msgspec.structs import replace

from ocelog.channels.http_post import HttpPost, Reach
from ocelog.channels.ports import Channel
from ocelog.errors import ConfigError
from ocelog.languages.phrases import LANGUAGES, Phrase
from ocelog.secrets.redaction import Redactor
from ocelog.secrets.secret import Secret, hidden, shown, shown_path
from ocelog.suggest import suggest
from ocelog.units import switch

_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}")
_OURS = frozenset(
    {"connection", "content-length", "content-type", "host", "idempotency-key", "ocelog-signature", "transfer-encoding"}
)
_MOST_HEADERS = 20


class Setting(Struct, frozen=True, kw_only=True):
    """One thing that a person sets for a channel."""

    name: str
    help: str
    example: str
    label: str = ""
    """What a form calls it."""
    secret: bool = False
    """It is kept encrypted, and never shown."""
    required: bool = False
    default: str | None = None
    many: bool = False
    """It maps names to values, such as headers. As text: `Name: value`, one per line."""
    is_address: bool = False
    """It says where the secrets are sent to."""


class Values(Struct, frozen=True, kw_only=True):
    """What a channel is set to, and where it may not write. Errors name the channel's kind, and repeat no secret."""

    kind: str
    given: Mapping[str, Any]
    home: Path
    reach: Reach = field(default_factory=Reach)
    """For tests: how addresses are found, and how long a try may take."""

    def text(self, name: str, *, example: str) -> str:
        """Return a setting that must be there. Raises ConfigError."""
        found = self.optional(name)
        if not found:
            raise ConfigError(
                Phrase(
                    "A %(kind)s channel needs %(name)s, such as %(example)s", kind=self.kind, name=name, example=example
                )
            )
        return found

    def optional(self, name: str) -> str | None:
        """Return a setting that may be left out."""
        found = self.given.get(name)
        return None if found is None else str(found).strip() or None

    def switch(self, name: str) -> bool:
        """Return whether a setting says yes. Raises ConfigError."""
        found = self.given.get(name)
        if found is None or isinstance(found, bool):
            return bool(found)
        try:
            return switch(str(found).strip())
        except ConfigError:
            raise ConfigError(
                Phrase("%(name)s is yes or no, not %(found)s.", name=name, found=shown(str(found)))
            ) from None

    def language(self) -> str:
        """Return in which language people read what is sent. Raises ConfigError."""
        found = (self.optional("language") or "en").lower()
        if found not in LANGUAGES:
            raise ConfigError(
                Phrase(
                    "language is one of %(languages)s, not %(found)s.",
                    languages=", ".join(LANGUAGES),
                    found=shown(found),
                )
            )
        return found

    def url(self, name: str, *, example: str) -> str:
        """Return an address over HTTP, checked. Raises ConfigError, which does not repeat what may hold a secret."""
        text = self.text(name, example=example)
        try:
            parts = urlsplit(text)
            port = parts.port
        except ValueError:
            parts, port = urlsplit(""), None
        wrong = None
        if parts.scheme not in {"http", "https"} or not parts.hostname or port == 0:
            wrong = Phrase("is not an address such as %(example)s", example=example)
        elif not text.isascii() or not text.isprintable() or " " in text or "\\" in text:
            wrong = Phrase("has characters that no address has: write them as %20 and the like, and the host as xn--")
        elif parts.username is not None or parts.password is not None:
            wrong = Phrase("holds a user name or password: put them into a header")
        elif parts.scheme == "http" and not self.switch("allow_private"):
            wrong = Phrase(
                "must begin with https://: over http:// everyone on the way reads alerts and secrets. If the whole way "
                "is yours, add the channel at the command line of Ocelog's machine (--set allow_private=yes)"
            )
        if wrong is not None:
            raise ConfigError(
                Phrase(
                    "The %(name)s of a %(kind)s channel %(wrong)s. Given was %(given)s.",
                    name=name,
                    kind=self.kind,
                    wrong=wrong,
                    given=hidden(text),
                )
            )
        return text

    def base_url(self, usual: str) -> str:
        """Return where the API of a service is, without a slash at its end. Raises ConfigError."""
        return self.url("url", example=usual).rstrip("/") if self.optional("url") else usual

    def headers(self, name: str) -> dict[str, str]:
        """Return headers of a person's own, checked. Raises ConfigError, which repeats no value."""
        found = self.given.get(name) or {}
        if isinstance(found, str):
            pairs = [line.partition(":") for line in found.splitlines() if line.strip()]
            if any(not colon for _, colon, _ in pairs):
                raise ConfigError(Phrase("%(name)s has one header per line, such as X-Team: security.", name=name))
            found = {key.strip(): value.strip() for key, _, value in pairs}
        if not isinstance(found, Mapping) or len(found) > _MOST_HEADERS:
            raise ConfigError(
                Phrase(
                    "%(name)s maps at most %(most_headers)s names of headers to values, such as X-Team: security.",
                    name=name,
                    most_headers=_MOST_HEADERS,
                )
            )
        checked = dict[str, str]()
        for key, value in found.items():
            if not isinstance(key, str) or not _HEADER_NAME.fullmatch(key):
                raise ConfigError(
                    Phrase("%(name)s has a name that no header can have: %(key)s.", name=name, key=hidden(str(key)))
                )
            if key.lower() in _OURS:
                raise ConfigError(
                    Phrase("%(name)s must not set %(key)s: Ocelog sends that header itself.", name=name, key=key)
                )
            if not isinstance(value, str) or not value.isascii() or not value.isprintable() or len(value) > 8_000:
                raise ConfigError(Phrase("The value of the header %(key)s must be one line of plain ASCII.", key=key))
            checked[key] = value
        return checked

    def reaching(self) -> Reach:
        """Return what the channel may reach. Raises ConfigError if there is no such CA file."""
        ca_file = self.optional("ca_file")
        if ca_file is not None and not Path(ca_file).is_file():
            raise ConfigError(Phrase("The CA file %(ca_file)s is not there.", ca_file=shown_path(ca_file)))
        return replace(self.reach, allow_private=self.switch("allow_private"), ca_file=ca_file)

    def http(self, *secrets: str) -> HttpPost:
        """Return how the channel sends over HTTP; `secrets` are taken out of what comes back. Raises ConfigError."""
        redact = Redactor()
        for each in secrets:
            redact.learn(Secret(each))
        return HttpPost(reach=self.reaching(), redact=redact)


class ChannelKind(Struct, frozen=True, kw_only=True):
    """A way to reach people or programs. One entry in `CHANNELS`."""

    name: str
    title: str
    settings: tuple[Setting, ...]
    build: Callable[[Values], Channel]
    """Raises ConfigError."""
    keeps_incidents: bool = False
    """Whether it opens and ends something for each alert: a digest of several does not say which is over."""


def check_names(kind: ChannelKind, given: Mapping[str, Any]) -> None:
    """Raise ConfigError for a setting that the kind does not have, with the nearest that it has."""
    known = [each.name for each in kind.settings]
    for name in given:
        if name not in known:
            raise ConfigError(
                Phrase(
                    "A %(kind)s channel has no setting %(name)s%(nearest)s It has %(known)s.",
                    kind=kind.name,
                    name=shown(str(name)),
                    nearest=suggest(str(name), known) or ".",
                    known=", ".join(known),
                )
            )


LANGUAGE = Setting(
    name="language",
    label="Language of the messages",
    help="in which language the words around an alert are: en or ko",
    example="ko",
    default="en",
)
"""What every channel has that people read."""
REACHING = (
    Setting(
        name="allow_private",
        label="Private addresses allowed",
        help="allow addresses of private networks and of this machine, and http:// without TLS",
        example="yes",
        default="no",
    ),
    Setting(
        name="ca_file",
        label="File of certificate authorities",
        help="file with certificate authorities to trust in addition to the system's",
        example="/etc/ssl/company.pem",
    ),
)
"""What every channel that connects to an address has."""
