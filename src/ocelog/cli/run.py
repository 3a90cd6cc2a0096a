"""`ocelog run`: all loops until stopped."""

from ocelog.app.assemble import Assembly
from ocelog.app.service import Service
from ocelog.cli import logs
from ocelog.cli.pull import finish
from ocelog.cli.signals import listening
from ocelog.dispatch.threads import Stop
from ocelog.installation.home_lock import SERVICE, held
from ocelog.installation.opening import opened


def command() -> None:
    """Keep pulling and publishing until stopped by Ctrl-C or SIGTERM.

    It logs to stderr, as JSON if that is not a terminal, and takes up sources that change meanwhile. A failure of one
    stream never stops the others.
    """
    stop = Stop()
    with opened() as installation, held(installation.home, SERVICE) as pulse, listening(stop):
        logs.configure(installation.settings)
        assembly = Assembly(installation=installation, told=logs.step)
        ended = Service(assembly=assembly, stop=stop, alive=pulse.beat).run()
    finish(0, at_once=not ended)
