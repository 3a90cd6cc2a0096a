"""`ocelog run`: all loops until stopped."""

from ocelog.app.assemble import Assembly
from ocelog.app.service import Service
from ocelog.cli import logs
from ocelog.cli.news import News
from ocelog.cli.signals import listening
from ocelog.dispatch.threads import Stop
from ocelog.installation.home_lock import SERVICE, held
from ocelog.installation.opening import opened


def command() -> None:
    """Keep pulling and publishing until stopped by Ctrl-C or SIGTERM.

    On a terminal it prints a line when something happens; elsewhere it logs JSON to stderr (the setting `log_format`
    decides otherwise). It notices sources that change. A failure of one stream never stops the others.
    """
    stop = Stop()
    with opened() as installation, held(installation.home, SERVICE) as pulse, listening(stop):
        logs.configure(installation.settings)
        news = News(installation=installation) if logs.is_for_people(installation.settings) else None

        def alive() -> None:
            pulse.beat()
            if news is not None:
                news.tell()

        assembly = Assembly(installation=installation, told=logs.step if news is None else news.step)
        Service(assembly=assembly, stop=stop, alive=alive).run()
