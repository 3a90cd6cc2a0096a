"""Signing in through an identity provider: OpenID Connect's code flow, with PKCE, state and nonce.

Written against OpenID Connect Core 1.0 and Discovery 1.0; keys and tokens are joserfc's work.
"""

import base64
import hashlib
import os
import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import httpx2
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from msgspec import Struct

from ocelog.access import Role
from ocelog.deadline import Deadline, OutOfTimeError
from ocelog.errors import ConfigError, SignInRefusedError
from ocelog.installation.config import Settings
from ocelog.languages.phrases import Phrase
from ocelog.network import network_of
from ocelog.secrets.secret import Secret

_ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
"""Never those by which anybody could sign who knows the client secret, or nobody has to."""
_WITHIN = 10.0
"""Seconds of one silence, and of an answer altogether."""
_LARGEST = 262_144
"""Bytes of an answer of the provider."""
_KEPT = 300.0
"""Seconds for which what the provider says of itself is kept."""
_WAITS = 600.0
"""Seconds within which whoever was sent to the provider must be back."""
_MOST_WAITING = 1_000
_LEEWAY = 60
"""Seconds by which two clocks may differ."""
_EVERYBODY = "*"


class OidcSettings(Struct, frozen=True, kw_only=True):
    """What a person sets of the provider."""

    issuer: str
    client_id: str
    client_secret: Callable[[], Secret]
    roles: Mapping[str, Role]
    """Value of the claim -> role; `*`: whoever the provider lets in."""
    claim: str = "groups"


class Identity(Struct, frozen=True, kw_only=True):
    """Who the provider says it is."""

    subject: str
    """Never changes, and is nobody else's: issuer and `sub`."""
    name: str
    role: Role


@dataclass(slots=True)
class _PendingSignIn:
    nonce: str
    verifier: str
    then: str
    until: float
    network: str


def read_roles(text: str) -> Mapping[str, Role]:
    """Read `sec-admins=admin, soc=analyst, *=viewer`. Raises ConfigError."""
    found = dict[str, Role]()
    for part in (each.strip() for each in text.split(",") if each.strip()):
        value, _, role = (each.strip() for each in part.rpartition("="))
        if not value or role not in list(Role):
            raise ConfigError(f"{part!r} is not VALUE=ROLE, such as soc=analyst; roles: {', '.join(Role)}.")
        found[value] = Role(role)
    if not found:
        raise ConfigError("Nobody would be let in: write such as *=viewer, or soc=analyst.")
    return found


def read_issuer(text: str) -> str:
    """Read the issuer's address: over TLS, unless it is on this machine. Raises ConfigError."""
    parts = urlsplit(text)
    local = parts.hostname in {"127.0.0.1", "localhost", "::1"}
    if not parts.hostname or parts.query or parts.fragment or parts.username or parts.scheme not in {"https", "http"}:
        raise ConfigError("expected the issuer's address, such as https://login.example.com/realms/ops.")
    if parts.scheme == "http" and not local:
        raise ConfigError("must begin with https://: whoever is on the way could sign in as anybody.")
    return text.rstrip("/")


def provider_of(settings: Settings) -> "IdentityProvider | None":
    """Return the provider that is set; None: there is none. Raises ConfigError for half a provider."""
    reference = settings.oidc_secret
    if settings.oidc_issuer is None:
        return None
    if settings.oidc_client_id is None or reference is None:
        raise ConfigError("oidc_issuer takes oidc_client_id and oidc_secret, too: see `ocelog config`.")
    try:
        issuer = read_issuer(settings.oidc_issuer)
    except ConfigError as error:
        raise ConfigError(f"oidc_issuer: {error}") from error
    return IdentityProvider(
        OidcSettings(
            issuer=issuer,
            client_id=settings.oidc_client_id,
            client_secret=lambda: _referenced(reference),
            roles=read_roles(settings.oidc_roles),
            claim=settings.oidc_claim,
        )
    )


def _referenced(reference: str) -> Secret:
    kind, _, place = reference.partition(":")
    try:
        text = Path(place).read_text() if kind == "file" else os.environ.get(place, "")
    except (OSError, UnicodeDecodeError):
        text = ""
    if not text.strip():
        raise SignInRefusedError(Phrase("The client secret of the identity provider cannot be read: see oidc_secret."))
    return Secret(text.strip())


@dataclass(slots=True)
class IdentityProvider:
    """A provider, and who was sent there and is not back yet. Any thread may call it."""

    settings: OidcSettings
    monotonic: Callable[[], float] = time.monotonic
    _waiting: dict[str, _PendingSignIn] = field(default_factory=dict)
    _said: dict[str, tuple[float, Any]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def begin(self, redirect_uri: str, then: str, address: str) -> tuple[str, str]:
        """Return where to send the browser, and the state that it must bring back. Raises SignInRefusedError.

        `address`: of the client. One that begins a thousand sign-ins ends its own earlier ones, and nobody else's.
        """
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        endpoint = self._endpoint("authorization_endpoint")
        now, network = self.monotonic(), network_of(address)
        with self._lock:
            self._waiting = {name: each for name, each in self._waiting.items() if each.until > now}
            if len(self._waiting) >= _MOST_WAITING:
                ((crowded, _),) = Counter(each.network for each in self._waiting.values()).most_common(1)
                del self._waiting[next(name for name, each in self._waiting.items() if each.network == crowded)]
            self._waiting[state] = _PendingSignIn(
                nonce=nonce, verifier=verifier, then=then, until=now + _WAITS, network=network
            )
        query = {
            "response_type": "code",
            "client_id": self.settings.client_id,
            "redirect_uri": redirect_uri,
            "scope": "openid profile email",
            "state": state,
            "nonce": nonce,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        return f"{endpoint}{'&' if urlsplit(endpoint).query else '?'}{urlencode(query)}", state

    def finish(self, state: str, code: str, redirect_uri: str) -> tuple[Identity, str]:
        """Return who came back, and where they wanted to go. Raises SignInRefusedError."""
        with self._lock:
            waiting = self._waiting.pop(state, None)
        if waiting is None or waiting.until <= self.monotonic():
            raise SignInRefusedError(Phrase("That took too long, or was tried before: sign in once more."))
        answer = self._ask(
            "POST",
            self._endpoint("token_endpoint"),
            data={
                "grant_type": "authorization_code",
                "code": code,
                "redirect_uri": redirect_uri,
                "client_id": self.settings.client_id,
                "client_secret": self.settings.client_secret().reveal(),
                "code_verifier": waiting.verifier,
            },
        )
        token = answer.get("id_token")
        if not isinstance(token, str):
            raise _odd(Phrase("it returned no ID token"))
        return self._identity(self._claims(token, waiting.nonce)), waiting.then

    def _claims(self, token: str, nonce: str) -> Mapping[str, Any]:
        try:
            keys = KeySet.import_key_set(self._kept(self._endpoint("jwks_uri")))
            claims = jwt.decode(token, keys, algorithms=_ALGORITHMS).claims
            jwt.JWTClaimsRegistry(
                leeway=_LEEWAY,
                # To the letter, with the slash at its end that the setting may lack.
                iss={"essential": True, "value": self._discovery()["issuer"]},
                aud={"essential": True, "value": self.settings.client_id},
                sub={"essential": True},
                exp={"essential": True},
                iat={"essential": True},
                nonce={"essential": True, "value": nonce},
            ).validate(claims)
        except (JoseError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise _odd(Phrase("its ID token does not hold (%(error)s)", error=type(error).__name__)) from error
        several = isinstance(claims["aud"], list) and len(claims["aud"]) > 1
        if claims.get("azp", None if several else self.settings.client_id) != self.settings.client_id:
            raise _odd(Phrase("its ID token is for another program"))
        return claims

    def _identity(self, claims: Mapping[str, Any]) -> Identity:
        given = claims.get(self.settings.claim)
        listed = given if isinstance(given, list) else [given]
        values = {each for each in listed if isinstance(each, str)}
        roles = [role for value, role in self.settings.roles.items() if value in values or value == _EVERYBODY]
        if not roles:
            raise SignInRefusedError(
                Phrase(
                    "The identity provider lets you in, and Ocelog has no role for you. What it says of you in the "
                    "claim %(claim)s must be in the setting oidc_roles.",
                    claim=repr(self.settings.claim),
                )
            )
        # An address that nobody has verified may be anybody's.
        mail = claims.get("email") if claims.get("email_verified") is True else None
        name = mail or claims.get("preferred_username") or claims["sub"]
        return Identity(
            subject=f"{self.settings.issuer} {claims['sub']}", name=str(name), role=max(roles, key=list(Role).index)
        )

    def _discovery(self) -> Any:
        said = self._kept(f"{self.settings.issuer}/.well-known/openid-configuration")
        if str(said.get("issuer", "")).rstrip("/") != self.settings.issuer:
            raise _odd(Phrase("it calls itself otherwise than the setting oidc_issuer"))
        return said

    def _endpoint(self, name: str) -> str:
        said = self._discovery()
        try:
            return read_issuer_endpoint(str(said[name]), self.settings.issuer)
        except (KeyError, ConfigError) as error:
            raise _odd(Phrase("it names no %(name)s that may be used", name=name)) from error

    def _kept(self, address: str) -> Any:
        now = self.monotonic()
        with self._lock:
            until, said = self._said.get(address, (0.0, None))
        if now >= until:
            said = self._ask("GET", address)
            with self._lock:
                self._said[address] = (now + _KEPT, said)
        return said

    def _ask(self, method: str, address: str, data: Mapping[str, str] | None = None) -> Any:
        deadline = Deadline(_WITHIN, self.monotonic)
        try:
            with httpx2.Client(timeout=_WITHIN, follow_redirects=False) as client:
                deadline.bound(client)
                deadline.begin()
                with client.stream(method, address, data=data, headers={"accept": "application/json"}) as answer:
                    body = b""
                    for piece in answer.iter_bytes():
                        body += piece
                        if len(body) > _LARGEST:
                            raise _odd(Phrase("its answer is too large"))
                        deadline.within(None)
                    if answer.status_code != 200:
                        raise _odd(Phrase("it answered HTTP %(status)s", status=str(answer.status_code)))
                    said = httpx2.Response(200, content=body).json()
        except OutOfTimeError as error:
            raise _odd(Phrase("its answer takes too long")) from error
        except (httpx2.HTTPError, ValueError, RecursionError) as error:
            raise _odd(Phrase("it cannot be reached (%(error)s)", error=type(error).__name__)) from error
        if not isinstance(said, dict):
            raise _odd(Phrase("its answer is no JSON object"))
        return said


def read_issuer_endpoint(address: str, issuer: str) -> str:
    """Return an address that the provider names: over TLS, if the issuer is. Raises ConfigError."""
    parts = urlsplit(address)
    if not parts.hostname or parts.fragment or parts.scheme not in {"https", urlsplit(issuer).scheme}:
        raise ConfigError("an address over https:// was expected.")
    return address


def _odd(what: Phrase) -> SignInRefusedError:
    return SignInRefusedError(
        Phrase("The identity provider cannot be used: %(what)s. An admin can see more in its own log.", what=what)
    )
