"""What runs in the child that tests rules: their Python, with nothing in reach but their own checkout.

The parent sends `try`: the path, and the numbers of the trials that it has the outcome of. It hears `found`, all trials
that there are, and then `begin` and `done` for each that is left, so that it knows at which one a child was that ended
or hangs. At last comes `end`, the report but for what trials tell. This module imports what rules usually import, since
afterwards nothing outside the libraries and the checkout can be read.
"""

import json
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from ocelog.detect.checkout import Checkout, read_checkout
from ocelog.detect.testing import report, trials
from ocelog.errors import OcelogError
from ocelog.sandbox.channel import Channel
from ocelog.sandbox.kernel import Layers

for _name in ("dateutil.parser", "dateutil.tz"):
    import_module(_name)


def main(channel: Channel, _layers: Layers) -> None:
    """Try the rules of one path."""
    asked = json.loads(channel.receive().payload)
    try:
        checkout = read_checkout(Path(asked["path"]), asked["changing"])
    except OcelogError as error:
        _send(channel, "refused", {"why": str(error)})
        return
    _try_all(channel, checkout, frozenset(asked["known"]))


def _try_all(channel: Channel, checkout: Checkout, known: frozenset[int]) -> None:
    found = list(trials(checkout))
    _send(channel, "found", {"trials": [[trial.rule, trial.test] for trial in found]})
    for number, trial in enumerate(found):
        if number not in known:
            _send(channel, "begin", {"number": number})
            _send(channel, "done", {"why": trial.run()})
    _send(channel, "end", report(checkout, ()).as_json())


def _send(channel: Channel, kind: str, told: Mapping[str, Any]) -> None:
    channel.send(kind, json.dumps(told).encode())
