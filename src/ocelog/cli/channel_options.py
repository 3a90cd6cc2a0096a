"""What the options of `ocelog channel add` and `edit` mean, in one place for both."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from functools import wraps
from typing import Annotated, Any

import typer
from msgspec import Struct
from msgspec.structs import replace

from ocelog.alert.delivery.routing import Routing, written
from ocelog.alert.notice import AlertType
from ocelog.app.alerts.channels import ChannelChange, log_type_pattern, severities
from ocelog.app.log_types import short_names
from ocelog.app.sources.sources import GivenSecret
from ocelog.cli import completion
from ocelog.cli.option_values import option_value
from ocelog.cli.secret_input import SecretRequest, carried, given_secret
from ocelog.errors import ConfigError
from ocelog.quiet_hours import read_quiet_hours
from ocelog.secrets.secret import may_be_shown, shown
from ocelog.suggest import suggest
from ocelog.units import between, whole, write_list

_ANY = "any"
_OFF = "off"
_MOST_PER_HOUR = 10_000


class ChannelOptions(Struct, frozen=True, kw_only=True):
    """What was chosen on the command line, one field per option; None: not chosen."""

    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="A setting of its kind (repeat); NAME= takes it back."),
    ] = None
    secret_file: Annotated[
        list[str] | None,
        typer.Option("--secret-file", metavar="NAME=FILE", help="Copy a secret from a file; - is stdin."),
    ] = None
    secret_env: Annotated[
        list[str] | None,
        typer.Option("--secret-env", metavar="NAME=VARIABLE", help="Copy a secret from a variable."),
    ] = None
    secret_ref: Annotated[
        list[str] | None,
        typer.Option(
            "--secret-ref",
            metavar="NAME=REF",
            help="file:PATH or env:VARIABLE: store only this, and read the secret there for each message.",
        ),
    ] = None
    severity: Annotated[
        list[str] | None,
        typer.Option("--severity", metavar="HIGH", help="Only these (repeat), or high+ for that and worse."),
    ] = None
    type_: Annotated[
        list[str] | None,
        typer.Option(
            "--type", metavar="|".join(map(str.lower, AlertType)), help="Only alerts of these types (repeat)."
        ),
    ] = None
    log_type: Annotated[
        list[str] | None,
        typer.Option(
            "--log-type",
            metavar="|".join(short_names()),
            help="Only alerts about these log types (repeat).",
            autocompletion=completion.log_types,
        ),
    ] = None
    rule: Annotated[
        list[str] | None,
        typer.Option("--rule", metavar="ID", help="Only alerts of these rules (repeat); * stands for anything."),
    ] = None
    quiet_hours: Annotated[
        str | None,
        typer.Option(
            "--quiet-hours", metavar="'22:00-07:00 Europe/Berlin'", help="Send nothing then; off: at any time."
        ),
    ] = None
    critical_waits: Annotated[
        bool | None,
        typer.Option("--critical-waits/--critical-pierces", help="Whether CRITICAL waits in quiet hours. Default: no."),
    ] = None
    per_hour: Annotated[
        str | None,
        typer.Option("--per-hour", metavar="N", help="Send at most N messages an hour, then digests. Default: off."),
    ] = None
    escalate_after: Annotated[
        str | None,
        typer.Option(
            "--escalate-after", metavar="30m", help="Only what nobody acknowledges for so long. Default: off."
        ),
    ] = None

    @property
    def is_blank(self) -> bool:
        """Whether nothing was chosen."""
        return self == ChannelOptions()

    def secrets(self) -> dict[str, GivenSecret]:
        """Return the secrets that were handed in, by their names. Raises ConfigError, which shows none."""
        found = dict[str, GivenSecret]()
        given = [("file", text) for text in self.secret_file or ()]
        given += [("env", text) for text in self.secret_env or ()]
        given += [("ref", text) for text in self.secret_ref or ()]
        for option, text in given:
            name, place = _pair(f"--secret-{option}", text)
            if name in found:
                raise ConfigError(f"Give the secret {shown(name)} in one way only.")
            secret = given_secret(
                file=place if option == "file" else None,
                variable=place if option == "env" else None,
                reference=place if option == "ref" else None,
                wanted=wanted(name),
            )
            if secret is not None:
                found[name] = secret
        return found

    def settings(self) -> dict[str, str]:
        """Return the settings that were chosen, by their names. Raises ConfigError."""
        return dict(_pair("--set", text) for text in self.set_ or ())

    def change(self, secrets: Mapping[str, GivenSecret], name: str | None = None) -> ChannelChange:
        """Return what was chosen, with `secrets`, as a change of a channel. Raises ConfigError."""
        settings = self.settings()
        # Read before anything is asked or kept.
        self._routing(Routing())
        return ChannelChange(
            name=name,
            settings={key: value or None for key, value in settings.items()},
            secrets=secrets,
            routing=self._routing,
        )

    def body(self, secrets: Mapping[str, GivenSecret]) -> dict[str, Any]:
        """Return what was chosen, with `secrets`, as the API takes it. Raises ConfigError, also for what it cannot."""
        change = self.change(secrets)
        route = written(self._routing(Routing()))
        chosen = {
            "severities": self.severity,
            "types": self.type_,
            "log_types": self.log_type,
            "rules": self.rule,
            "quiet_hours": self.quiet_hours,
            "critical_pierces": self.critical_waits,
            "per_hour": self.per_hour,
            "escalate_after": self.escalate_after,
        }
        return {
            "settings": dict(change.settings),
            "secrets": {name: carried(secret) for name, secret in secrets.items()},
            # What is off is written as null, which the API takes for what is left out.
            "route": {
                name: (0 if name == "per_hour" else _OFF) if route[name] is None else route[name]
                for name, given in chosen.items()
                if given is not None
            },
        }

    def _routing(self, before: Routing) -> Routing:
        route, routing = before.route, before
        if self.severity is not None:
            route = replace(route, severities=option_value("--severity", severities, _listed(self.severity)))
        if self.type_ is not None:
            route = replace(route, types=frozenset(option_value("--type", _type, each) for each in _listed(self.type_)))
        if self.log_type is not None:
            route = replace(
                route,
                log_types=tuple(option_value("--log-type", log_type_pattern, each) for each in _listed(self.log_type)),
            )
        if self.rule is not None:
            route = replace(route, rules=tuple(_listed(self.rule)))
        if self.quiet_hours is not None:
            routing = replace(routing, quiet_hours=option_value("--quiet-hours", read_quiet_hours, self.quiet_hours))
        if self.critical_waits is not None:
            routing = replace(routing, critical_pierces=not self.critical_waits)
        if self.per_hour is not None:
            many = (
                None
                if self.per_hour.lower() == _OFF
                else option_value("--per-hour", whole(1, _MOST_PER_HOUR), self.per_hour)
            )
            routing = replace(routing, per_hour=many)
        if self.escalate_after is not None:
            off = self.escalate_after.lower() == _OFF
            read = between(timedelta(minutes=1), timedelta(days=30))
            after = None if off else option_value("--escalate-after", read, self.escalate_after)
            routing = replace(routing, escalate_after=after)
        return replace(routing, route=route)


def wanted(name: str) -> SecretRequest:
    """Return which secret of a channel a person is to hand in."""
    named = name if may_be_shown(name) else "secret"
    return SecretRequest(
        what=named,
        ways=f"--secret-file {named}=FILE (- is stdin), --secret-env {named}=VARIABLE or --secret-ref "
        f"{named}=file:PATH|env:VARIABLE",
        lines=True,
    )


def with_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of a channel in the place of its parameter `chosen`."""
    shared = list(inspect.signature(ChannelOptions).parameters.values())
    own = [each for each in inspect.signature(command).parameters.values() if each.name != "chosen"]

    @wraps(command)
    def unfolded(**given: Any) -> None:
        chosen = ChannelOptions(**{each.name: given.pop(each.name) for each in shared})
        command(**given, chosen=chosen)

    # Both are what typer reads.
    all_ = [*own, *shared]
    unfolded.__signature__ = inspect.Signature(all_)  # type: ignore[attr-defined] # inspect asks for it
    unfolded.__annotations__ = {each.name: each.annotation for each in all_}
    return unfolded


def _listed(given: Sequence[str]) -> list[str]:
    """Return what an option lists: each of its values may hold several, with commas between; `any`: nothing."""
    found = [word.strip() for text in given for word in text.split(",") if word.strip()]
    return [] if [word.lower() for word in found] == [_ANY] else found


def _type(text: str) -> AlertType:
    known = {each.value.lower(): each for each in AlertType}
    word = text.strip().lower().replace("-", "_")
    if word not in known:
        near = suggest(word, known) or "."
        raise ConfigError(f"There is no type of alert {shown(text)}{near} There are {write_list(known)}.")
    return known[word]


def _pair(option: str, text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        raise ConfigError(f"{option} takes a name and a value, such as {option} url=..., not {shown(text)}.")
    return name.strip(), value.strip()
