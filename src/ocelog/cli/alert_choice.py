"""Which alerts a command changes, and how: the same options for each command that changes many."""

import inspect
from collections.abc import Callable, Sequence
from enum import StrEnum
from functools import wraps
from typing import Annotated, Any, TypeVar

import typer
from msgspec import Struct

from ocelog.alert.alert import ENDED
from ocelog.alert.listing import AlertFilter
from ocelog.app.alerts import alerts as use
from ocelog.cli import completion
from ocelog.errors import ConfigError
from ocelog.installation.opening import Installation
from ocelog.model import Severity

_Word = TypeVar("_Word", bound=StrEnum)
As = Annotated[
    str | None, typer.Option("--as", metavar="NAME", help="Who you are. By default OCELOG_USER, or your login name.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


class AlertChoice(Struct, frozen=True, kw_only=True):
    """What was chosen on the command line, one field per argument or option; `over` is the command's."""

    ids: Annotated[
        list[str] | None,
        typer.Argument(
            help="Ids of alerts, or how they begin. Or select many by the options below.", metavar="[ID...]"
        ),
    ] = None
    rule: Annotated[
        str | None,
        typer.Option("--rule", metavar="RULE", help="Instead of ids: all of this rule; * stands for anything."),
    ] = None
    since: Annotated[
        str | None,
        typer.Option(
            "--since", metavar="TIME", help="Instead of ids: all opened since then: 7d, 2026-08-01T00:00:00Z."
        ),
    ] = None
    severity: Annotated[
        list[str] | None,
        typer.Option(
            "--severity",
            metavar="|".join(each.lower() for each in Severity),
            help="Instead of ids: all that are so severe.",
            autocompletion=lambda: [each.lower() for each in Severity],
        ),
    ] = None
    source: Annotated[
        list[str] | None,
        typer.Option(
            "--source", metavar="NAME", help="Instead of ids: all of this source.", autocompletion=completion.sources
        ),
    ] = None
    log_type: Annotated[
        str | None,
        typer.Option(
            "--log-type",
            metavar="LOG_TYPE",
            help="Instead of ids: all of this log type.",
            autocompletion=completion.log_types,
        ),
    ] = None
    untold: Annotated[
        bool,
        typer.Option("--untold", help="Of those, also alerts that were not sent to anyone; as alerts list --untold."),
    ] = False
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say how many are selected.")] = False
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before many are changed.")] = False
    quiet: Annotated[bool, typer.Option("--quiet", help="Tell nobody; the timeline says that, too.")] = False
    as_: As = None
    json: Json = False
    over: bool = False
    """Whether those are meant that are closed or resolved, and not those that are open."""

    def check(self) -> None:
        """Raise ConfigError unless alerts are named or selected, and not both."""
        selects = any((self.rule, self.since, self.severity, self.source, self.log_type))
        if self.ids and (selects or self.untold):
            raise ConfigError("Give ids, or options that select alerts, such as --rule; not both.")
        if not self.ids and not selects:
            raise ConfigError(
                "Which alerts? Give ids, or select them by --rule, --since, --severity, --source or --log-type."
            )

    def filter(self, installation: Installation) -> AlertFilter:
        """Return which alerts are selected. Raises ConfigError."""
        return use.wanted(
            installation,
            statuses=[each.value for each in ENDED] if self.over else (),
            severities=self.severity or (),
            rule=self.rule,
            source_names=self.source or (),
            log_type=self.log_type,
            since=self.since,
            untold=self.untold,
        )

    def remote_filter(self) -> dict[str, Any]:
        """Return the same as the API of a remote Ocelog takes it. Raises ConfigError."""
        return {
            "status": [each.value for each in ENDED] if self.over else None,
            "severity": words(Severity, self.severity),
            "rule": self.rule,
            "source": self.source,
            "log_type": self.log_type,
            "since": self.since,
            "untold": self.untold,
        }


def words(kind: type[_Word], given: Sequence[str] | None) -> list[str]:
    """Return the words that a person means as the API takes them. Raises ConfigError with the nearest."""
    return [use.word(kind, each).value for each in given or ()]


def with_choice(*, over: bool = False) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return what gives a command the argument and the options of `AlertChoice` in the place of its parameter `chosen`.

    `over`: it is about alerts that are closed or resolved.
    """
    shared = [each for each in inspect.signature(AlertChoice).parameters.values() if each.name != "over"]

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        own = [each for each in inspect.signature(command).parameters.values() if each.name != "chosen"]

        @wraps(command)
        def unfolded(**given: Any) -> None:
            chosen = AlertChoice(**{each.name: given.pop(each.name) for each in shared}, over=over)
            command(**given, chosen=chosen)

        # Both are what typer reads. The ids come first.
        all_ = [shared[0], *own, *shared[1:]]
        unfolded.__signature__ = inspect.Signature(all_)  # type: ignore[attr-defined] # inspect asks for it
        unfolded.__annotations__ = {each.name: each.annotation for each in all_}
        return unfolded

    return decorate
