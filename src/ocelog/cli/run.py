"""`ocelog run`: all loops until stopped."""

import structlog

from ocelog.assemble import Assembly, Stream
from ocelog.cli import logs
from ocelog.cli.pull import finish
from ocelog.cli.signals import listening
from ocelog.dispatch.threads import Stop
from ocelog.holding import held
from ocelog.installation import opened
from ocelog.pull.puller import Step
from ocelog.service import Service


def command() -> None:
    """Keep pulling and publishing until stopped by Ctrl-C or SIGTERM.

    It logs to stderr, as JSON where that is no terminal, and takes up sources that change meanwhile. A failure of one
    stream never stops the others.
    """
    stop = Stop()
    with opened() as installation, held(installation.home, "ocelog run"), listening(stop):
        logs.configure(installation.settings)
        ended = Service(assembly=Assembly(installation=installation, told=_log), stop=stop).run()
    finish(0, at_once=not ended)


def _log(stream: Stream, step: Step) -> None:
    """Log a step after its commit."""
    log = structlog.get_logger().bind(
        source=stream.row.name, log_type=stream.kind.log_type, slice=step.slice_.id, request_id=step.request_id
    )
    if step.landed is not None:
        log.info("landed", rows=step.landed.events, repeats=step.landed.repeats, rejections=step.landed.rejections)
    if step.note is not None:
        log.warning("moved", state=step.slice_.state.value, reason=step.note)
