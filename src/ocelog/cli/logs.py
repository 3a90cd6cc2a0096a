"""How the log is written: to stderr, for people on a terminal, else one JSON object a line."""

import logging
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

from ocelog.app.assemble import Stream
from ocelog.cli.show import harmless
from ocelog.installation.config import Settings
from ocelog.pull.puller import Step


def configure(settings: Settings, *, quiet: bool = False) -> None:
    """Set the log up. `quiet` lets only mistakes through, for commands that tell everything themselves."""
    as_json = settings.log_format == "json" or (settings.log_format == "auto" and not sys.stderr.isatty())
    level = logging.CRITICAL if quiet else logging.getLevelNamesMapping()[settings.log_level.upper()]
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *_writers(as_json=as_json),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )


def step(stream: Stream, done: Step) -> None:
    """Log what one question came to; called after its commit."""
    log = structlog.get_logger().bind(
        source=stream.row.name, log_type=stream.kind.log_type, slice=done.slice_.id, request_id=done.request_id
    )
    if done.landed is not None:
        log.info("landed", rows=done.landed.events, repeats=done.landed.repeats, rejections=done.landed.rejections)
    if done.note is not None:
        log.warning("moved", state=done.slice_.state.value, reason=done.note)


def _writers(*, as_json: bool) -> list[structlog.typing.Processor]:
    if not as_json:
        return [_cut, _harmless, structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())]
    renderer = structlog.processors.JSONRenderer(ensure_ascii=sys.stderr.isatty())
    return [structlog.processors.format_exc_info, _cut, renderer]


def _harmless(_: object, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Write out what could steer a terminal."""
    for name, value in event.items():
        if isinstance(value, str) and name != "exception":
            event[name] = harmless(value)
    return event


def _cut(_: object, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Bound every text: an answer of the other side may be in it."""
    for name, value in event.items():
        if isinstance(value, str) and name != "exception":
            event[name] = value if len(value) <= 2000 else value[:2000] + "..."
    return event
