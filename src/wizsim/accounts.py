"""Who may ask, and for what: service accounts, their scopes and projects, and the tokens that speak for them."""

import base64
import hashlib
import hmac
import string
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

import msgspec

from wizsim.dice import dice, uuid
from wizsim.instants import SECOND
from wizsim.nearest import did_you_mean, shown
from wizsim.record_types import RECORD_TYPES

Json = dict[str, Any]

DEFAULT_SCOPES = ("read:resources", *dict.fromkeys(type_.scopes[-1] for type_ in RECORD_TYPES.values()))
AUDIENCES = frozenset({"wiz-api", "beyond-api"})
_AUDIT = RECORD_TYPES["audit"].scopes
_RESOURCES = ("admin:all", "read:all", "read:resources")
SCOPES: Mapping[str, tuple[str, ...]] = {
    **{f"Query.{root}": type_.scopes for type_ in RECORD_TYPES.values() for root in type_.roots},
    "Issue.entitySnapshot": _RESOURCES,
    "VulnerabilityFinding.vulnerableAsset": _RESOURCES,
}
"""Field -> scopes, of which one is enough: of every root, and of fields that take one of their own."""
RESOURCE_FIELDS = frozenset(field for field, scopes in SCOPES.items() if scopes == _RESOURCES)
SCOPE_NAMES = tuple(sorted({scope for scopes in SCOPES.values() for scope in scopes}))


def checked_scopes(given: Iterable[str]) -> tuple[str, ...]:
    """Return `given`. Raises ValueError where one is no scope that opens anything here."""
    scopes = tuple(given)
    for scope in scopes:
        if scope not in SCOPE_NAMES:
            raise ValueError(f"there is no scope {shown(scope)}{did_you_mean(scope, SCOPE_NAMES)}")
    return scopes


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """One service account. With `projects` it sees only what belongs to them, and never the audit log."""

    client_id: str
    client_secret: str = field(repr=False)
    name: str = "collector"
    scopes: tuple[str, ...] = DEFAULT_SCOPES
    projects: frozenset[str] = frozenset()
    dc: str = "us1"

    def lacks(self, coordinate: str, required: tuple[str, ...] | None = None) -> tuple[str, ...] | None:
        """Return the scopes of which one is needed for `Type.field`, None where the account has one or none is."""
        needed = required or SCOPES.get(coordinate)
        if needed == _AUDIT and self.projects:
            return needed
        if needed is None or not set(needed).isdisjoint(self.scopes):
            return None
        return needed


class Accounts:
    """Every service account of the tenant, and their tokens."""

    def __init__(self, seed: int = 0, *, lifetime: int = 86_400) -> None:
        self._rng = dice(seed, "accounts")
        self._key = self._rng.randbytes(32)
        self._known: dict[str, Account] = {}
        self._revoked: set[str] = set()
        self._issued: list[str] = []
        self.lifetime = lifetime
        """Seconds of the tenant's clock that a token holds."""

    def add(self, **facts: Any) -> Account:
        """Make a service account, with a client ID of 53 characters and a secret of 64; takes Account's fields."""
        made = {"client_id": _letters(self._rng, 53), "client_secret": _letters(self._rng, 64)}
        account = Account(**{**made, **facts})
        self._known[account.client_id] = account
        return account

    def replace(self, client_id: str, **facts: Any) -> Account:
        """Change scopes, projects or the secret of an account; tokens that it holds obey at once."""
        old = self._known[client_id]
        fields = {name: getattr(old, name) for name in Account.__slots__}
        self._known[client_id] = Account(**{**fields, **facts})
        return self._known[client_id]

    def rotate(self, client_id: str) -> Account:
        """Give an account a new secret; the old one stops working, tokens that it got still hold."""
        return self.replace(client_id, client_secret=_letters(self._rng, 64))

    def all(self) -> list[Account]:
        """Return every account."""
        return list(self._known.values())

    def check(self, client_id: str, client_secret: str) -> Account | None:
        """Return the account that these credentials are of."""
        account = self._known.get(client_id)
        right = account is not None and hmac.compare_digest(account.client_secret.encode(), client_secret.encode())
        return account if right else None

    def issue(self, account: Account, now: int) -> Json:
        """Return the token endpoint's answer to `account`."""
        jti = uuid(self._rng)
        self._issued.append(jti)
        seconds = now // SECOND
        claims = {
            "iss": "wizsim",
            "sub": account.client_id,
            "jti": jti,
            "iat": seconds,
            "exp": seconds + self.lifetime,
            "dc": account.dc,
            "isServiceAccount": True,
            "encodedScopes": _bitmask(account.scopes),
        }
        token = f"{_part({'alg': 'HS256', 'typ': 'JWT'})}.{_part(claims)}"
        signed = f"{token}.{_b64(self._sign(token))}"
        refresh = f"v1.{_letters(self._rng, 40)}"
        return {"access_token": signed, "refresh_token": refresh, "expires_in": self.lifetime, "token_type": "Bearer"}

    def bearer(self, token: str, now: int) -> tuple[Account, str] | None:
        """Return whose token this is, and its own id; None where it is forged, lapsed or revoked."""
        body, _, signature = token.rpartition(".")
        if not hmac.compare_digest(_b64(self._sign(body)).encode(), signature.encode()):
            return None
        claims = msgspec.json.decode(base64.urlsafe_b64decode(body.partition(".")[2] + "=="))
        account = self._known.get(claims["sub"])
        if account is None or claims["exp"] <= now // SECOND or claims["jti"] in self._revoked:
            return None
        return account, claims["jti"]

    def revoke(self, jti: str | None = None) -> None:
        """Make one token invalid, or all that were issued so far."""
        self._revoked.update(self._issued if jti is None else [jti])

    def _sign(self, text: str) -> bytes:
        return hmac.new(self._key, text.encode(), hashlib.sha256).digest()


def _bitmask(scopes: Iterable[str]) -> str:
    """Return what a token says of its scopes: a bit for each, which only the issuer can read."""
    bits = sum(1 << SCOPE_NAMES.index(scope) for scope in set(scopes) & set(SCOPE_NAMES))
    return base64.b64encode(bits.to_bytes(16, "little")).decode()


def _letters(rng: Random, count: int) -> str:
    return "".join(rng.choices(string.ascii_lowercase + string.digits, k=count))


def _b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _part(value: Json) -> str:
    return _b64(msgspec.json.encode(value))
