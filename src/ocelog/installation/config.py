"""What this installation is set to: the only reader of the configuration file and of the environment.

A setting comes from the environment (`OCELOG_<NAME>`), else from `config.yml` in the home, else it has its default.
"""

import ipaddress
import os
import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from ocelog.errors import ConfigError, without_number
from ocelog.files import read_regular
from ocelog.secrets.secret import Secret, hidden
from ocelog.suggest import suggest
from ocelog.units import between, choice, exact_size, host_and_port, per_table, size, switch, whole, write_duration

FILE_NAME = "config.yml"
_PREFIX = "OCELOG_"
_LEAST_QUERY_MEMORY = 16_000_000
"""Bytes."""
_OFF = "off"
"""What the file says in the place of a value that there need not be."""
_MAX_FILE = 1_000_000
"""Bytes; a larger configuration file is some other file."""


def _path(text: str) -> Path:
    return Path(text).expanduser()


def _retention(text: str) -> str:
    per_table(text)
    return text.strip()


def _address(text: str) -> Secret | None:
    if text.strip().lower() == _OFF:
        return None
    if not re.fullmatch(r"https?://[^\s/]+(/\S*)?", text) or not text.isascii():
        raise ConfigError(f"expected an address such as https://watcher.example.com/ID, not {hidden(text)}.")
    return Secret(text)


def _reference(text: str) -> str | None:
    if text.strip().lower() == _OFF:
        return None
    kind, _, place = text.strip().partition(":")
    if kind not in {"file", "env"} or not place:
        raise ConfigError(f"expected file:PATH or env:VARIABLE, not {hidden(text)}.")
    return text.strip()


def _query_memory(text: str) -> int:
    value = size(text)
    if value < _LEAST_QUERY_MEMORY:
        raise ConfigError(f"{text!r} is less than {exact_size(_LEAST_QUERY_MEMORY)}, with which most queries fail.")
    return value


def _listen(text: str) -> str:
    if text.strip().lower() == "off":
        return "off"
    host_and_port(text)
    return text.strip()


def _optional_text(text: str) -> str | None:
    return None if text.strip().lower() == _OFF else text.strip()


def _optional_path(text: str) -> Path | None:
    return None if text.strip().lower() == _OFF else _path(text)


def networks(text: str) -> str:
    """Return addresses and networks as they are kept, such as `127.0.0.1, 10.0.0.0/24`, or off. Raises ConfigError."""
    if text.strip().lower() == _OFF:
        return _OFF
    try:
        found = [str(ipaddress.ip_network(each.strip())) for each in text.split(",")]
    except ValueError:
        raise ConfigError(
            f"expected the address of a proxy such as 127.0.0.1 or 10.0.0.0/24, or several with commas, not {text!r}."
        ) from None
    return ", ".join(found)


def public_name(text: str) -> str | None:
    """Return a host's name as it is kept, None if it is off. Raises ConfigError."""
    name = text.strip().lower().rstrip(".")
    if name == _OFF:
        return None
    if not re.fullmatch(r"[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63}){0,20}", name):
        raise ConfigError(f"expected the name of a host such as ocelog.example.com, not {text!r}.")
    return name


class Settings(Struct, frozen=True, kw_only=True):
    """Every setting, read and checked; `SETTINGS` says what each means."""

    home: Path
    key_file: Path | None
    threads: int
    publish_bytes: int
    publish_after: timedelta
    part_grace: timedelta
    retention: str
    alert_retention: timedelta
    heartbeat_url: Secret | None
    heartbeat_every: timedelta
    user: str | None
    detections: bool
    query_timeout: timedelta
    query_memory: int
    log_format: str
    log_level: str
    listen: str
    oidc_issuer: str | None
    oidc_client_id: str | None
    oidc_secret: str | None
    oidc_roles: str
    oidc_claim: str
    tls_cert: Path | None
    tls_key: Path | None
    trusted_proxy: str
    public_name: str | None
    insecure: bool
    private_sources: bool
    debug: bool


class SettingSpec(Struct, frozen=True, kw_only=True):
    """How one setting is read."""

    default: object
    read: Callable[[str], object]
    doc: str
    only_environment: bool = False


SETTINGS: dict[str, SettingSpec] = {
    "home": SettingSpec(
        default=None,
        read=_path,
        doc="Folder of the ledger, the lake and the key; ~/.local/share/ocelog if it is not set.",
        only_environment=True,
    ),
    "key_file": SettingSpec(
        default=None,
        read=_path,
        doc="File with the key that encrypts secrets, instead of `key` in the home.",
        only_environment=True,
    ),
    "threads": SettingSpec(default=4, read=whole(1, 64), doc="How many time ranges of one stream may be read at once."),
    "publish_bytes": SettingSpec(
        default=64_000_000, read=size, doc="Publish a table when this much waits, such as 64MB."
    ),
    "publish_after": SettingSpec(
        default=timedelta(minutes=5),
        read=between(timedelta(seconds=1), timedelta(days=1)),
        doc="Publish a table when its oldest part has waited this long.",
    ),
    "part_grace": SettingSpec(
        default=timedelta(minutes=10),
        # Longer than the longest query, or files would go away under it.
        read=between(timedelta(minutes=10), timedelta(days=7)),
        doc="Keep published part files this long, for queries that began before; at least 10m.",
    ),
    "retention": SettingSpec(
        default="off",
        read=_retention,
        doc="Delete rows whose p_event_time is older than this, per table: `wiz_audit=400d, rejections=90d`; at least "
        "7d. The current version of an open issue or finding is never deleted.",
    ),
    "alert_retention": SettingSpec(
        default=timedelta(days=365),
        read=between(timedelta(days=7), timedelta(days=36_500)),
        doc="Delete alerts this long after they were closed or resolved, with their timeline; at least 7d. Those that "
        "nobody heard of, below their threshold or suppressed, go after 30d.",
    ),
    "heartbeat_url": SettingSpec(
        default=None,
        read=_address,
        doc="Address of an outside watcher, such as https://watcher.example.com/ID: requested as long as all loops are "
        "alive. It is a secret, and never shown. off: nobody watches.",
    ),
    "heartbeat_every": SettingSpec(
        default=timedelta(minutes=5),
        read=between(timedelta(minutes=1), timedelta(days=1)),
        doc="How often to request the address of the watcher.",
    ),
    "user": SettingSpec(
        default=None,
        read=str.strip,
        doc="Who works with alerts, as their timeline shows it; the login name if it is not set.",
        only_environment=True,
    ),
    "detections": SettingSpec(
        default=True,
        read=switch,
        doc="Judge events by rules as they land. `no`: what lands meanwhile is never judged by itself.",
    ),
    "query_timeout": SettingSpec(
        default=timedelta(seconds=60),
        read=between(timedelta(seconds=1), timedelta(minutes=9)),
        doc="Interrupt a query after this long; at most 9m.",
    ),
    "query_memory": SettingSpec(
        default=1_000_000_000,
        read=_query_memory,
        doc="Memory that a query may use, such as 1GB; at least 16MB. The rest goes to disk.",
    ),
    "log_format": SettingSpec(
        default="auto",
        read=choice("auto", "text", "json"),
        doc="auto: lines for people on a terminal, JSON elsewhere; text: lines everywhere.",
    ),
    "log_level": SettingSpec(
        default="info", read=choice("debug", "info", "warning", "error"), doc="Minimum log level."
    ),
    "listen": SettingSpec(
        default="off",
        read=_listen,
        doc="Where `ocelog run` serves the console, `/metrics` and `/healthz`: a port (for this machine alone), "
        "HOST:PORT, or off. An address that other machines reach takes `tls_cert`, `trusted_proxy` or `insecure`.",
    ),
    "tls_cert": SettingSpec(
        default=None,
        read=_optional_path,
        doc="Certificate in PEM with which the console is served by TLS, with those that lead up to its authority. A "
        "renewed one is taken without a restart. off: no TLS.",
    ),
    "tls_key": SettingSpec(default=None, read=_optional_path, doc="Its key in PEM, without a password; off: none."),
    "trusted_proxy": SettingSpec(
        default=_OFF,
        read=networks,
        doc="Addresses or networks of the proxy before the console, such as `127.0.0.1` or `10.0.0.0/24`: its "
        "X-Forwarded-For and X-Forwarded-Proto are believed, and nobody else's. off: there is none.",
    ),
    "public_name": SettingSpec(
        default=None,
        read=public_name,
        doc="Name of the host under which people reach the console, such as `ocelog.example.com`; requests for other "
        "names are refused. off: any name, or those of this machine if it listens to it alone.",
    ),
    "insecure": SettingSpec(
        default=False,
        read=switch,
        doc="Serve other machines without TLS and without a proxy: passwords and events can be read on the way.",
    ),
    "private_sources": SettingSpec(
        default=False,
        read=switch,
        doc="Let a source that was added in the console or by the API have a token URL or API URL in a private network "
        "or on this machine. `ocelog source add` may always.",
    ),
    "oidc_issuer": SettingSpec(
        default=None,
        read=_optional_text,
        doc="Identity provider through which people may sign in to the console (OpenID Connect), such as "
        "https://login.example.com/realms/ops.",
    ),
    "oidc_client_id": SettingSpec(
        default=None, read=_optional_text, doc="Client id of Ocelog at the identity provider."
    ),
    "oidc_secret": SettingSpec(
        default=None,
        read=_reference,
        doc="Where the client secret is: file:PATH or env:VARIABLE. It is read at each sign-in.",
    ),
    "oidc_roles": SettingSpec(
        default="",
        read=str.strip,
        doc="Who gets which role, by a claim: sec-admins=admin, soc=analyst, *=viewer. The highest that fits; none: "
        "nobody is let in.",
    ),
    "oidc_claim": SettingSpec(default="groups", read=str.strip, doc="The claim that oidc_roles is about."),
    "debug": SettingSpec(default=False, read=switch, doc="Show the traceback of an unexpected error."),
}


class Setting(Struct, frozen=True, kw_only=True):
    """One setting as `ocelog config` shows it."""

    name: str
    value: object
    origin: str
    """`default`, a variable's name, or a file's path."""
    doc: str


def as_written(name: str, value: object) -> str | None:
    """Write the value of the setting `name` as the configuration file takes it, None if it has none."""
    match value:
        case None:
            return None if SETTINGS[name].only_environment else _OFF
        case Secret():
            return "(hidden)"
        case bool():
            return "yes" if value else "no"
        case timedelta():
            return write_duration(value)
        case int() if SETTINGS[name].read in {size, _query_memory}:
            return exact_size(value)
        case other:
            return str(other)


def home_path(environment: Mapping[str, str] | None = None) -> Path:
    """Return the home's folder: OCELOG_HOME, else the user's data folder."""
    environment = os.environ if environment is None else environment
    named = named_home(environment)
    if named is not None:
        return named
    data = environment.get("XDG_DATA_HOME")
    return (Path(data) if data else Path("~/.local/share").expanduser()) / "ocelog"


def named_home(environment: Mapping[str, str] | None = None) -> Path | None:
    """Return the folder that OCELOG_HOME names, None if it names none."""
    environment = os.environ if environment is None else environment
    named = environment.get("OCELOG_HOME")
    return Path(named).expanduser().absolute() if named else None


def load(environment: Mapping[str, str] | None = None, *, home: Path | None = None) -> Settings:
    """Read every setting, for the home at `home` if one is given.

    Raises ConfigError, which names the file or variable at fault.
    """
    environment = os.environ if environment is None else environment
    if home is not None:
        environment = {**environment, "OCELOG_HOME": str(home)}
    values: dict[str, Any] = {each.name: each.value for each in explain(environment)}
    return Settings(**values)


def explain(environment: Mapping[str, str] | None = None) -> list[Setting]:
    """Read every setting together with where it came from. Raises ConfigError."""
    environment = os.environ if environment is None else environment
    home = home_path(environment)
    file = home / FILE_NAME
    written = _read_file(file)
    _refuse_unknown_variables(environment)
    found = [_one(name, environment, written, file) for name in SETTINGS]
    return [replace(each, value=home) if each.name == "home" else each for each in found]


def origin(name: str, home: Path) -> str:
    """Return where the setting `name` of the home at `home` comes from. Raises ConfigError."""
    found = explain({**os.environ, "OCELOG_HOME": str(home)})
    return next(each.origin for each in found if each.name == name)


def _one(name: str, environment: Mapping[str, str], written: Mapping[str, str], file: Path) -> Setting:
    known = SETTINGS[name]
    variable = _PREFIX + name.upper()
    if environment.get(variable):
        text, origin = environment[variable], variable
    elif name in written:
        text, origin = written[name], str(file)
    else:
        return Setting(name=name, value=known.default, origin="default", doc=known.doc)
    try:
        return Setting(name=name, value=known.read(text), origin=origin, doc=known.doc)
    except ConfigError as error:
        # The variable is called as the setting.
        named = origin if origin == variable else f"{origin}: {name}"
        raise ConfigError(f"{named}: {error}") from error


def _read_file(path: Path) -> dict[str, str]:
    """Return the settings in `path` as texts; a home without the file is fine."""
    try:
        if path.stat().st_size > _MAX_FILE:
            raise ConfigError(f"{path} is larger than a megabyte: it is not a configuration file.")
        content = read_regular(path).decode("utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except PermissionError as error:
        raise ConfigError(f"{path} may not be read by this user: run as its owner, or: chmod u+r {path}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {without_number(error)}") from error
    import yaml  # noqa: PLC0415 - takes 10 ms, and most homes have no such file

    from ocelog.yaml_nodes import fault_of  # noqa: PLC0415 - see above

    try:
        # Every value is text, as in a variable: YAML's own types would read `off` as false.
        found = yaml.load(content, Loader=yaml.BaseLoader)  # noqa: S506 - it makes texts only
        node = yaml.compose(content, Loader=yaml.BaseLoader)
    except yaml.MarkedYAMLError as error:
        line, what = fault_of(error, content)
        raise ConfigError(f"{path}:{line}: {what}") from error
    except yaml.YAMLError as error:
        line = content.count("\n", 0, getattr(error, "position", 0)) + 1
        raise ConfigError(f"{path}:{line}: this is not YAML: {getattr(error, 'reason', error)}") from error
    except RecursionError:
        raise ConfigError(f"{path} is nested too deeply: it must hold `name: value` lines.") from None
    if not found:
        return {}
    if not isinstance(found, dict) or not isinstance(node, yaml.MappingNode):
        raise ConfigError(f"{path} must hold `name: value` lines.")
    names = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ConfigError(f"{path}: {twice} is there more than once: keep one line of them.")
    return {name: _text(name, value, path) for name, value in found.items()}


def _text(name: object, value: object, path: Path) -> str:
    allowed = [each for each, known in SETTINGS.items() if not known.only_environment]
    if name in SETTINGS and name not in allowed:
        raise ConfigError(f"{path}: {name} can only be set as {_PREFIX}{str(name).upper()}.")
    if name not in allowed:
        raise ConfigError(f"{path}: there is no setting {str(name)!r}{suggest(str(name), allowed)}")
    if not isinstance(value, str):
        raise ConfigError(f"{path}: {name}: expected one value, found {type(value).__name__}.")
    return value


def _refuse_unknown_variables(environment: Mapping[str, str]) -> None:
    """Refuse a variable that is nearly one of ours; others may be a person's own, for a secret perhaps."""
    ours = [_PREFIX + name.upper() for name in SETTINGS] + ["OCELOG_KEY", "OCELOG_URL", "OCELOG_TOKEN"]
    for name in environment:
        if name.startswith(_PREFIX) and name not in ours:
            meant = suggest(name, ours, cutoff=0.85)
            if meant:
                raise ConfigError(f"There is no setting {name!r}{meant}")


def key_text(environment: Mapping[str, str] | None = None) -> Secret | None:
    """Return what OCELOG_KEY holds, None if it is not set."""
    environment = os.environ if environment is None else environment
    text = environment.get("OCELOG_KEY", "").strip()
    return Secret(text) if text else None


def remote_url(environment: Mapping[str, str] | None = None) -> str | None:
    """Return where the Ocelog is that commands are for, as OCELOG_URL says; None: on this machine."""
    environment = os.environ if environment is None else environment
    return environment.get("OCELOG_URL", "").strip() or None


def remote_token(environment: Mapping[str, str] | None = None) -> Secret | None:
    """Return the token that OCELOG_TOKEN holds, None if it is not set."""
    environment = os.environ if environment is None else environment
    text = environment.get("OCELOG_TOKEN", "").strip()
    return Secret(text) if text else None


def is_credential(path: Path, environment: Mapping[str, str] | None = None) -> bool:
    """Whether systemd keeps `path` for this service alone; its mode bits then say less than its folder's."""
    environment = os.environ if environment is None else environment
    folder = environment.get("CREDENTIALS_DIRECTORY")
    return bool(folder) and path.parent == Path(str(folder))


def notify_socket(environment: Mapping[str, str] | None = None) -> str | None:
    """Return where systemd wants to hear that the service is ready, None if it does not."""
    environment = os.environ if environment is None else environment
    return environment.get("NOTIFY_SOCKET") or None
