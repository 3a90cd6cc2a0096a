"""What the options of `ocelog source add` and `edit` mean, in one place for both."""

import inspect
from collections.abc import Callable, Collection, Mapping
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import typer
from msgspec import Struct, field

from ocelog.app.log_types import log_types, short_names
from ocelog.app.source_settings import (
    BACKFILL,
    POLL,
    SWEEP_EVERY,
    written_backfill,
    written_poll,
    written_sweep_every,
)
from ocelog.app.sources.source_changes import SourceChange
from ocelog.app.sources.sources import GivenSecret, products
from ocelog.cli import completion
from ocelog.cli.secret_input import carried, given_secret
from ocelog.errors import ConfigError
from ocelog.health.settings import AFTER, EVEN_IF_QUIET, QUIET_HOURS, REPEAT, read_after, read_repeat, written
from ocelog.product import Option
from ocelog.quiet_hours import read_quiet_hours

SecretFile: TypeAlias = Annotated[
    str | None,
    typer.Option("--client-secret-file", metavar="FILE", help="Copy the client secret from a file; - is stdin."),
]
SecretEnv: TypeAlias = Annotated[
    str | None,
    typer.Option("--client-secret-env", metavar="VARIABLE", help="Copy the client secret from a variable."),
]
SecretRef: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--client-secret-ref",
        metavar="REF",
        help="file:PATH or env:VARIABLE: store only this, and read the secret there for each token.",
    ),
]


class SourceOptions(Struct, frozen=True, kw_only=True):
    """What was chosen on the command line, one field per option; None: not chosen."""

    client_secret_file: SecretFile = None
    client_secret_env: SecretEnv = None
    client_secret_ref: SecretRef = None
    log_type: Annotated[
        list[str] | None,
        typer.Option(
            "--log-type",
            metavar="|".join(short_names()),
            help="What to read (repeat). Default: all.",
            autocompletion=completion.log_types,
        ),
    ] = None
    backfill: Annotated[
        str | None,
        typer.Option("--backfill", metavar="30d|all", help=f"How far back to read at first. Default: {BACKFILL}."),
    ] = None
    sweep: Annotated[
        bool | None,
        typer.Option(
            "--sweep/--no-sweep",
            help="Whether open records of any age are read at first, and again each day. Default: yes.",
        ),
    ] = None
    sweep_every: Annotated[
        str | None,
        typer.Option(
            "--sweep-every", metavar="1d", help=f"How often to read all open records again. Default: {SWEEP_EVERY}."
        ),
    ] = None
    poll: Annotated[
        str | None, typer.Option("--poll", metavar="5m", help=f"How often to request new records. Default: {POLL}.")
    ] = None
    no_events_after: Annotated[
        list[str] | None,
        typer.Option(
            "--no-events-after",
            metavar="24h|off",
            help="Raise an alarm if no event has come for so long, 15m to 30d. Default: 24h. For one log type: "
            "audit=6h, and audit=default to undo that.",
        ),
    ] = None
    no_events_repeat: Annotated[
        list[str] | None,
        typer.Option(
            "--no-events-repeat", metavar="6h|off", help="Repeat the alert this often while it lasts. Default: off."
        ),
    ] = None
    no_events_quiet_hours: Annotated[
        list[str] | None,
        typer.Option(
            "--no-events-quiet-hours",
            metavar="HOURS",
            help="Tell of it only after these hours: '22:00-07:00 Europe/Berlin', or off.",
        ),
    ] = None
    no_events_even_if_quiet: Annotated[
        bool | None,
        typer.Option(
            "--no-events-even-if-quiet/--no-events-unless-quiet",
            help="Whether to raise it also if a sweep has shown that nothing is missing. Default: no.",
        ),
    ] = None
    no_check: Annotated[bool, typer.Option("--no-check", help="Save without checking that it works.")] = False
    anyway: Annotated[
        bool, typer.Option("--anyway", help="Save even if another source reads the same tenant with this client ID.")
    ] = False

    own: Mapping[str, Any] = field(default_factory=dict)
    """What was chosen about the settings of the product, by their names: those of `Product.options`."""

    @property
    def is_blank(self) -> bool:
        """Whether nothing was chosen about the tenant."""
        return self == SourceOptions(no_check=self.no_check, anyway=self.anyway)

    def secret(self) -> GivenSecret | None:
        """Return the secret that was handed in, None if none was. Raises ConfigError."""
        return given_secret(
            file=self.client_secret_file, variable=self.client_secret_env, reference=self.client_secret_ref
        )

    def change(self, secret: GivenSecret | None = None) -> SourceChange:
        """Return what was chosen, with `secret`, as a change of a source. Raises ConfigError."""
        files = {each.name for product in products().values() for each in product.options if each.is_file}
        return SourceChange(
            own={
                name: str(Path(value).expanduser().absolute()) if name in files else value
                for name, value in self.own.items()
            },
            log_types=self.log_type,
            streams=self._streams(),
            no_events=self._no_events(),
            secret=secret,
            check=not self.no_check,
            anyway=self.anyway,
        )

    def body(self, secret: GivenSecret | None) -> dict[str, Any]:
        """Return what was chosen, with `secret`, as the API takes it. Raises ConfigError, also for what it cannot."""
        change = self.change(secret)
        files = [each for product in products().values() for each in product.options if each.is_file]
        for option in files:
            if option.name in self.own:
                raise ConfigError(f"{option.flag} names a file of the machine of the home: set it there.")
        found = {
            "settings": dict(self.own),
            "log_types": self.log_type,
            "backfill": self.backfill,
            "sweep": self.sweep,
            "sweep_every": self.sweep_every,
            "poll": self.poll,
            "no_events": {log_type or "*": dict(alarm) for log_type, alarm in change.no_events.items()},
            "secret": None if secret is None else carried(secret),
            "check": not self.no_check,
            "anyway": self.anyway,
        }
        return {name: value for name, value in found.items() if value not in (None, {})}

    def _streams(self) -> dict[str, Any]:
        """Return what was chosen about how the streams are read. Raises ConfigError."""
        chosen = {
            "backfill": None if self.backfill is None else written_backfill(self.backfill, "--backfill: "),
            "sweep": self.sweep,
            "sweep_every": None if self.sweep_every is None else written_sweep_every(self.sweep_every, "--sweep-every"),
            "poll": None if self.poll is None else written_poll(self.poll, "--poll"),
        }
        return {name: value for name, value in chosen.items() if value is not None}

    def _no_events(self) -> dict[str | None, dict[str, object]]:
        """Return what was chosen about the no-events alarms, by log type; None: for all. Raises ConfigError."""
        found = dict[str | None, dict[str, object]]()
        for name, option, given, read in (
            (AFTER, "--no-events-after", self.no_events_after, read_after),
            (REPEAT, "--no-events-repeat", self.no_events_repeat, read_repeat),
            (QUIET_HOURS, "--no-events-quiet-hours", self.no_events_quiet_hours, read_quiet_hours),
        ):
            for text in given or ():
                first, equals, rest = text.partition("=")
                value = (rest if equals else first).strip()
                try:
                    which = list[str | None](log_types([first.strip()])) if equals else [None]
                    kept = None if value == "default" else written(read(value))
                except ConfigError as error:
                    raise ConfigError(f"{option}: {error}") from error
                for log_type in which:
                    found.setdefault(log_type, {})[name] = kept
        if self.no_events_even_if_quiet is not None:
            found.setdefault(None, {})[EVEN_IF_QUIET] = self.no_events_even_if_quiet
        return found


def with_options(
    common: Collection[str] | None = None, wanted: Callable[[Option], bool] = lambda _: True
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return what gives a command options in the place of its parameter `chosen`.

    These are the `wanted` ones of the products, and the fields of `SourceOptions` in `common` (None: all of them).
    """
    shared = [each for each in inspect.signature(SourceOptions).parameters.values() if each.name != "own"]
    shared = [each for each in shared if common is None or each.name in common]
    known = {each.name: each for product in products().values() for each in product.options if wanted(each)}
    theirs = [_parameter(each) for each in known.values()]

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        own = [each for each in inspect.signature(command).parameters.values() if each.name != "chosen"]

        @wraps(command)
        def unfolded(**given: Any) -> None:
            values = {each.name: given.pop(each.name) for each in theirs}
            chosen = SourceOptions(
                **{each.name: given.pop(each.name) for each in shared},
                own={name: value for name, value in values.items() if value is not None},
            )
            command(**given, chosen=chosen)

        # Both are what typer reads.
        all_ = [*own, *theirs, *shared]
        unfolded.__signature__ = inspect.Signature(all_)  # type: ignore[attr-defined] # inspect asks for it
        unfolded.__annotations__ = {each.name: each.annotation for each in all_}
        return unfolded

    return decorate


def _parameter(option: Option) -> inspect.Parameter:
    """Return what typer reads as `option`."""
    kind: Any = list[str] if option.many else option.value
    described = Annotated[kind | None, typer.Option(option.flag, metavar=option.metavar, help=option.help)]
    return inspect.Parameter(option.name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=described)
