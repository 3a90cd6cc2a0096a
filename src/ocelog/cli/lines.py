"""What each log event says to a person: one readable line, and nothing that was said already."""

import shutil
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import structlog

from ocelog.app.advice import without_request
from ocelog.cli import show, typed

_HIDDEN = frozenset({"overtaken"})
"""Events that mean nothing to the person at the terminal; JSON has them."""
_OVER = {"works again": "failed", "publishing works again": "publish failed"}
"""Event that ends a trouble -> the event that began it."""
_NAMES = ("event", "level", "timestamp", "source", "log_type", "table", "channel", "loop", "exception")


@dataclass(slots=True, kw_only=True)
class Lines:
    """Writes events, as the last processor of the log; a trouble is told when it begins and when it is over."""

    on_terminal: bool
    """Whether lines wrap between words, and carry no more than the time of day."""
    _sources: set[str] = field(default_factory=set)
    """Names of those that are read."""
    _told: dict[tuple[str, ...], tuple[str, str]] = field(default_factory=dict)
    """Warnings and errors that were written, by event and what it is about: their code, or text, and their reason."""

    def __call__(self, _: object, __: str, event: MutableMapping[str, Any]) -> str:
        """Return what to print for `event`. Raises DropEvent if that is nothing."""
        name = event["event"]
        match name:
            case "source taken up":
                self._sources.add(event["source"])
                # If all of them go again, that is news again.
                self._told = {key: told for key, told in self._told.items() if key[0] != "nothing to read"}
                self._forget("failed", event["source"])
            case "source left":
                self._sources.discard(event["source"])
                self._forget("failed", event["source"])
            case "delivered":
                # If it fails again, that is news again.
                self._told = {key: told for key, told in self._told.items() if key[4] != event["channel"]}
        text = typed.as_typed(self._text(event))
        about = tuple(str(event.get(each)) for each in ("source", "log_type", "table", "channel", "loop"))
        if name in _OVER:
            if self._told.pop((_OVER[name], *about), None) is None:
                raise structlog.DropEvent
        elif event["level"] in {"warning", "error"}:
            # The text of a failure names its request, so that each try would be news.
            what = (str(event.get("code") or text), without_request(str(event.get("reason"))))
            if self._told.get((name, *about), ("",))[0] == what[0]:
                raise structlog.DropEvent
            if any(key[:2] == (name, about[0]) and told == what for key, told in self._told.items()):
                # A source that is down fails each of its streams.
                text = f"{self._about(event)}: the same."
            self._told[name, *about] = what
        if not text:
            raise structlog.DropEvent
        return self._line(event["timestamp"], text, event.get("exception"))

    def _forget(self, name: str, source: str) -> None:
        for key in [each for each in self._told if each[:2] == (name, source)]:
            del self._told[key]

    def _line(self, timestamp: str, text: str, exception: str | None) -> str:
        if not self.on_terminal:
            return f"{timestamp} {' '.join(text.split())}" + ("" if exception is None else f"\n{exception}")
        at = f"{datetime.fromisoformat(timestamp):%H:%M:%S}  "
        lines = [
            show.wrapped(
                f"{at if first else ' ' * len(at)}{line}",
                max(40, shutil.get_terminal_size().columns),
                indent=len(at) if first else 0,
            )
            for first, line in zip([True, *[False] * text.count("\n")], text.split("\n"), strict=True)
        ]
        return "\n".join([*lines, *([] if exception is None else [exception])])

    def _stream(self, event: Mapping[str, Any]) -> str:
        """Name the stream that an event is about; its source only if there are several."""
        named = (event.get("source") if len(self._sources) > 1 else None, event.get("log_type"))
        return " ".join(each for each in named if each is not None)

    def _about(self, event: Mapping[str, Any]) -> str:
        named = event.get("table") or self._stream(event) or event.get("source") or event.get("channel")
        return str(named or event.get("loop") or "Ocelog")

    def _text(self, event: Mapping[str, Any]) -> str:
        """Return what a person reads about `event`; empty: nothing."""
        table, source = event.get("table"), event.get("source")
        about = self._about(event)
        match event["event"]:
            case hidden if hidden in _HIDDEN:
                return ""
            case "started":
                return f"Started in {event['home']}. Times are UTC. Ctrl-C stops it."
            case "listening":
                return f"The console is at {event['open']}"
            case "no user yet":
                return f"Nobody uses it yet. Make the first user: {event['open']}"
            case "no source yet":
                return f"Create a source: {event['open']}"
            case "stopping":
                return "Stopping."
            case "stopped":
                return "Stopped. What has landed stays; the next run goes on from there."
            case "source taken up":
                return f"{source}: reading it from now on."
            case "source left":
                return f"{source}: no longer read, since it was paused or removed."
            case "nothing to read":
                return f"{event['reason']} {event['todo']}"
            case "read" | "landed":
                return _news(about, event)
            case "moved":
                # Splitting and starting over are part of reading.
                return f"{about}: a time range is parked: {event['reason']}" if event["state"] == "parked" else ""
            case "published":
                return f"{table}: published {_count(event['rows'], 'row')}."
            case "delivered":
                return _delivered(event)
            case "rules read":
                return f"Read the rules of the folder {event['folder']}. See which are on: ocelog rules list"
            case "source onboarded":
                many = _count(event["known"], "match")
                return f"{source}: {many} in what was there before, told in one summary."
            case "system error is over":
                return f"{about}: the system error is over. {event['reason']}"
            case "publish failed":
                return f"{table}: publishing fails, no row is lost: {event['reason']}"
            case "works again" | "publishing works again":
                return f"{about}: works again."
            case "compacted":
                return f"{table}: joined {_count(event['files'], 'small file')}."
            case "old rows deleted":
                return f"{table}: deleted {_count(event['rows'], 'row')} that retention no longer keeps."
            case "failed":
                todo = f"\nTo do: {event['todo']}" if event.get("todo") else ""
                code = f"\n(error code: {event['code']})" if self.on_terminal and event.get("code") else ""
                return f"{about}: {event['reason']}{todo}{code}"
            case name if event.get("reason"):
                return f"{about}: {name}: {event['reason']}"
            case name:
                more = ", ".join(f"{key} {value}" for key, value in event.items() if key not in _NAMES)
                return f"{about}: {name}{f' ({more})' if more else ''}"


def _delivered(event: Mapping[str, Any]) -> str:
    """Say what a channel was told: the first alert by its severity and title, and of how many others."""
    others = event["told"] - 1
    more = f", and {_count(others, 'other alert')}" if others else ""
    return f"{event['channel']}: told of {event['severity']}: {event['title']}{more}"


def _news(about: str, event: Mapping[str, Any]) -> str:
    parts = [f"{event['rows']:,} new"]
    if event["rejections"]:
        parts.append(f"{event['rejections']:,} rejected (see: ocelog rejections)")
    if event.get("left"):
        parts.append(f"catching up, {_count(event['left'], 'time range')} left")
    elif event.get("complete_through") is not None:
        through = datetime.fromisoformat(event["complete_through"])
        today = through.date() == datetime.now(UTC).date()
        parts.append(f"complete through {through:%H:%M}" if today else f"complete through {through:%Y-%m-%d %H:%M}")
    return f"{about}: {', '.join(parts)}"


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 'es' if what.endswith('ch') else 's'}"
