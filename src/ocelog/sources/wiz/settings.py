"""What a Wiz source is set to: every option of `source add`, as one value that the ledger keeps as JSON."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct
from msgspec.structs import fields, replace

from ocelog.errors import ConfigError
from ocelog.languages.phrases import Phrase
from ocelog.product import SourceSettings
from ocelog.secrets.secret import shown, shown_path
from ocelog.sources.wiz.endpoints import api_url, audience, token_url
from ocelog.sources.wiz.streams import MOST_RECORDS, ROOTS, SHORT_NAMES
from ocelog.suggest import suggest
from ocelog.units import write_list

_MOST_PROJECTS = 500
_LONGEST_ID = 200
_NO_CLIENT_ID = Phrase("Invalid client ID: use the one that Wiz showed together with the client secret.")


class WizSettings(Struct, frozen=True, kw_only=True):
    """How one tenant is asked. Holds no secret. Made by `settings`, which checks it."""

    token_url: str
    client_id: str
    audience: str
    api_url: str | None = None
    """None: what the token says."""
    projects: tuple[str, ...] = ()
    """Only what belongs to these; the audit log has no such filter. Empty: everything."""
    log_types: tuple[str, ...] = tuple(ROOTS)
    rate: float = 3.0
    """Requests per second, at most. The vendor lists 10; other clients were rate-limited at 8 and not at 3."""
    sweep_share: float = 0.25
    """Share of the rate that daily sweeps may use, so that news never waits for them."""
    page_size: int = MOST_RECORDS
    ca_file: str | None = None
    """Certificate authorities to trust beside the system's: for a proxy that opens TLS."""
    public_only: bool = False
    """Nothing is sent to an address of a private network or of this machine: somebody at a distance named them."""
    connect_seconds: float = 10.0
    read_seconds: float = 180.0
    """How long the answer may be silent: heavy pages take minutes (reports of other clients)."""
    total_seconds: float = 600.0
    """How long one answer may take as a whole."""
    most_bytes: int = 256 * 1024 * 1024
    """Largest answer, counted after unpacking."""

    @property
    def product(self) -> str:
        """As `SOURCES` names it."""
        return "wiz"

    @property
    def account_names(self) -> tuple[str, ...]:
        """What audit entries may call the service account."""
        return (self.client_id,)

    def to_mapping(self) -> dict[str, Any]:
        """Return plain JSON values: what `read` reads."""
        return dict(msgspec.to_builtins(self))

    def is_same_tenant(self, other: SourceSettings) -> bool:
        """Whether both reach the same tenant, as far as their addresses tell."""
        if not isinstance(other, WizSettings) or _place(self.token_url) != _place(other.token_url):
            return False
        return self.api_url is None or other.api_url is None or _place(self.api_url) == _place(other.api_url)

    def is_same_account(self, other: SourceSettings) -> bool:
        """Whether both read the same tenant with the same client ID."""
        return (
            isinstance(other, WizSettings)
            and self.client_id.strip() == other.client_id.strip()
            and self.is_same_tenant(other)
        )

    def shows_more_than(self, before: SourceSettings) -> bool:
        """Whether there are projects here that a source set to `before` does not read."""
        if not isinstance(before, WizSettings) or not before.projects:
            return False
        return not self.projects or not set(self.projects) <= set(before.projects)

    def conflict(self) -> str | None:
        """Say so if there are projects, and log types that cannot be limited to them."""
        whole = [ROOTS[name] for name in self.log_types if ROOTS[name].project_filter is None]
        if not self.projects or not whole:
            return None
        rest = " ".join(f"--log-type {root.short}" for root in ROOTS.values() if root.project_filter is not None)
        return (
            f"Note: {write_list(root.title for root in whole)} cannot be limited to projects: all of it is read, and "
            "a service account that is bound to projects cannot read it at all. Leave it out with "
            f"{rest}."
        )


def from_mapping(values: Mapping[str, Any]) -> WizSettings:
    """Return the settings that options give; what is left out has its default.

    `token_url`, `api_url` and `log_types` may be abbreviated: cognito, us1, audit. Raises ConfigError.
    """
    settings = read(values)
    _demand_client_id(settings)
    if settings.ca_file is not None:
        demand_ca_file(settings.ca_file)
    return settings


def read(values: Mapping[str, Any]) -> WizSettings:
    """Return the settings that `to_mapping` wrote. Raises ConfigError.

    Whether the CA file is still there is asked by whoever opens it: it may vanish, and come back, at any time.
    """
    known = [setting.name for setting in fields(WizSettings)]
    for name in values:
        if name not in known:
            raise ConfigError(
                Phrase(
                    "A Wiz source has no setting %(name)s%(known)s", name=repr(name), known=suggest(name, known) or "."
                )
            )
    endpoint = token_url(str(values.get("token_url", "")))
    given = {name: value for name, value in values.items() if value is not None}
    given["token_url"] = endpoint
    given.setdefault("audience", audience(endpoint))
    given["log_types"] = tuple(dict.fromkeys(map(_log_type, given.get("log_types", tuple(ROOTS)))))
    if "api_url" in given:
        given["api_url"] = api_url(str(given["api_url"]), endpoint)
    try:
        return _checked(msgspec.convert(given, WizSettings))
    except msgspec.ValidationError as error:
        raise ConfigError(Phrase("Invalid setting of the Wiz source: %(error)s.", error=str(error))) from error


def changed(settings: WizSettings, changes: Mapping[str, Any]) -> WizSettings:
    """Return `settings` with `changes`, each checked. Raises ConfigError."""
    values = {**settings.to_mapping(), **changes}
    if "token_url" in changes and "audience" not in changes:
        del values["audience"]
    settings = from_mapping(values) if "ca_file" in changes else read(values)
    if "client_id" in changes:
        _demand_client_id(settings)
    return settings


def confined(settings: SourceSettings, /, *, public_only: bool) -> WizSettings:
    """Return settings with which only public addresses are reached, or any."""
    if not isinstance(settings, WizSettings):
        raise TypeError(settings.product)
    return replace(settings, public_only=public_only)


def demand_ca_file(path: str) -> None:
    """Raise ConfigError if there is no such file."""
    if not Path(path).is_file():
        raise ConfigError(
            Phrase(
                "The CA file %(path)s is not there: put it back, or name another with --ca-file.", path=shown_path(path)
            )
        )


def _log_type(name: object) -> str:
    log_type = SHORT_NAMES.get(str(name), str(name))
    if log_type not in ROOTS:
        meant = suggest(str(name), [*SHORT_NAMES, *ROOTS])
        raise ConfigError(
            Phrase(
                "Wiz has no log type %(name)s%(short_names)s",
                name=shown(str(name)),
                short_names=meant or Phrase(": it has %(known)s.", known=", ".join(SHORT_NAMES)),
            )
        )
    return log_type


def _demand_client_id(settings: WizSettings) -> None:
    """Raise ConfigError if a person gave what can be none; what is kept is only read."""
    if not may_be_client_id(settings.client_id):
        raise ConfigError(_NO_CLIENT_ID)


def may_be_client_id(text: str) -> bool:
    """Whether Wiz may have shown a text as a client ID: none has spaces, or begins as an option does."""
    return 0 < len(text) <= _LONGEST_ID and not text.startswith("-") and text.isprintable() and " " not in text


def _checked(settings: WizSettings) -> WizSettings:
    client_id = settings.client_id.strip()
    if not client_id or len(client_id) > _LONGEST_ID or not client_id.isprintable():
        raise ConfigError(_NO_CLIENT_ID)
    if not settings.log_types:
        raise ConfigError(Phrase("A source needs at least one log type."))
    if not 0.01 <= settings.rate <= 1000:
        raise ConfigError(
            Phrase(
                "The rate must be from 0.01 to 1000 requests per second, not %(rate)s.", rate=format(settings.rate, "g")
            )
        )
    if not 0.01 <= settings.sweep_share <= 1:
        raise ConfigError(
            Phrase(
                "The sweep share must be from 0.01 to 1 of the rate, not %(sweep_share)s.",
                sweep_share=format(settings.sweep_share, "g"),
            )
        )
    if not 1 <= settings.page_size <= MOST_RECORDS:
        raise ConfigError(
            Phrase(
                "The page size must be from 1 to %(most_records)s records, not %(page_size)s.",
                most_records=MOST_RECORDS,
                page_size=settings.page_size,
            )
        )
    if len(settings.projects) > _MOST_PROJECTS or not all(settings.projects):
        raise ConfigError(
            Phrase("Give at most %(most_projects)s project ids, and no empty one.", most_projects=_MOST_PROJECTS)
        )
    return replace(settings, client_id=client_id)


def _place(url: str) -> tuple[str | None, int, str]:
    """Return what `url` leads to, however it is spelled."""
    parts = urlsplit(url)
    return parts.hostname, parts.port or (443 if parts.scheme == "https" else 80), parts.path.rstrip("/")
