"""How the log is written: to stderr, as lines for people on a terminal, else as one JSON object per line."""

import logging
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

from ocelog.cli.lines import Lines
from ocelog.cli.show import harmless
from ocelog.installation.config import Settings
from ocelog.pull.puller import PullStep
from ocelog.pull.stream import Stream
from ocelog.shorten import shorten


def is_for_people(settings: Settings) -> bool:
    """Whether the log is lines that people read, not JSON."""
    return settings.log_format == "text" or (settings.log_format == "auto" and sys.stderr.isatty())


def configure(settings: Settings, *, quiet: bool = False) -> None:
    """Set the log up. `quiet` lets nothing through, for commands that tell everything themselves."""
    level = logging.CRITICAL if quiet else logging.getLevelNamesMapping()[settings.log_level.upper()]
    writers: list[structlog.typing.Processor]
    if is_for_people(settings):
        writers = [structlog.processors.format_exc_info, _cut, _harmless, Lines(on_terminal=sys.stderr.isatty())]
    else:
        renderer = structlog.processors.JSONRenderer(ensure_ascii=sys.stderr.isatty())
        writers = [structlog.processors.format_exc_info, _cut, renderer]
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *writers,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )


def step(stream: Stream, done: PullStep) -> None:
    """Log what one request came to; called after its commit."""
    log = structlog.get_logger().bind(
        source=stream.row.name, log_type=stream.kind.log_type, slice=done.slice_.id, request_id=done.request_id
    )
    if done.landed is not None:
        log.info("landed", rows=done.landed.events, repeats=done.landed.repeats, rejections=done.landed.rejections)
    if done.note is not None:
        log.warning("moved", state=done.slice_.state.value, reason=done.note)


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
            event[name] = shorten(value, 2000)
    return event
