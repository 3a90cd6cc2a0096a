"""Our webhook: an alert as JSON, signed, to an address of the user's."""

import hashlib
import hmac
import time
from collections.abc import Callable, Mapping
from urllib.parse import quote, urlsplit

from msgspec import Struct

from ocelog.alert.notice import Notice
from ocelog.channels.http_post import HttpPost
from ocelog.channels.kind import REACHING, ChannelKind, Setting, Values
from ocelog.channels.payload import canonical, payload
from ocelog.channels.ports import Receipt
from ocelog.errors import ConfigError
from ocelog.languages.phrases import Phrase
from ocelog.secrets.secret import Secret

_EXAMPLE = "https://hooks.example.com/ocelog"
_SHORTEST_KEY = 16


class Webhook(Struct, frozen=True, kw_only=True):
    """Posts the payload of each notice."""

    url: Secret
    signing_key: Secret | None
    headers: Mapping[str, Secret]
    http: HttpPost
    clock: Callable[[], float] = time.time

    @property
    def address(self) -> str:
        """Scheme and host: a path may be as good as a password."""
        parts = urlsplit(self.url.reveal())
        port = f":{parts.port}" if parts.port else ""
        return f"{parts.scheme}://{parts.hostname}{port}/..."

    def send(self, notice: Notice) -> Receipt:
        """Post `notice`, with a key by which the far end knows it again."""
        body = canonical(payload(notice))
        headers = {name: value.reveal() for name, value in self.headers.items()}
        headers |= {"Content-Type": "application/json", "Idempotency-Key": quote(notice.key, safe="-_.:~/+=")}
        if self.signing_key is not None:
            headers["Ocelog-Signature"] = signature(self.signing_key, body, at=int(self.clock()))
        return self.http.send(self.url.reveal(), body, headers)


def signature(key: Secret, body: bytes, *, at: int) -> str:
    """Return `t=...,v1=...`: the second at which it was signed, and the HMAC-SHA256 of `t.body` as hex."""
    signed = hmac.new(key.reveal().encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={at},v1={signed}"


def _build(values: Values) -> Webhook:
    url = values.url("url", example=_EXAMPLE)
    key = values.optional("signing_key")
    headers = values.headers("headers")
    if key is not None and len(key) < _SHORTEST_KEY:
        raise ConfigError(
            Phrase(
                "The signing_key needs at least %(shortest_key)s characters: make one with `openssl rand -hex 32`.",
                shortest_key=_SHORTEST_KEY,
            )
        )
    parts = urlsplit(url)
    secrets = [parts.path, parts.query, *([key] if key else []), *headers.values()]
    return Webhook(
        url=Secret(url),
        signing_key=None if key is None else Secret(key),
        headers={name: Secret(value) for name, value in headers.items()},
        http=values.http(*secrets),
    )


WEBHOOK = ChannelKind(
    name="webhook",
    title="Webhook: JSON, signed, to an address of yours",
    settings=(
        Setting(
            name="url",
            label="Address (URL)",
            help="where to post",
            example=_EXAMPLE,
            required=True,
            secret=True,
            is_address=True,
        ),
        Setting(
            name="signing_key",
            label="Key of the signature",
            help="key of the signature, at least 16 characters; without it nothing is signed",
            example="9f86d081884c7d659a2feaa0c55ad015",
            secret=True,
        ),
        Setting(
            name="headers",
            label="Headers",
            help="headers to send along, such as Authorization",
            example="Authorization: Bearer ...",
            secret=True,
            many=True,
        ),
        *REACHING,
    ),
    build=_build,
)
