"""What runs in the child that tests rules: their Python, with nothing in reach but their own checkout.

The parent sends `test`: the path, and the rules that it has the outcome of. It hears `found` (what there is), and then,
rule by rule, `begin` and `done`, so that it knows which one a child that ends or hangs was at.
"""

import json
from dataclasses import asdict

# Whatever is imported once the process is locked in must be in reach: rules import these.
import dateutil.parser
import dateutil.tz  # noqa: F401 - see above
import yaml  # noqa: F401 - see above

from ocelog.detect.checkout import read_checkout
from ocelog.detect.testing import Failure, Left, each_rule
from ocelog.errors import OcelogError
from ocelog.sandbox.channel import Channel
from ocelog.sandbox.kernel import Layers

__all__ = ["main"]


def main(channel: Channel, layers: Layers) -> None:
    """Test the rules of one path."""
    _ = layers
    asked = json.loads(channel.receive().payload)
    try:
        from pathlib import Path

        checkout = read_checkout(Path(asked["path"]))
    except OcelogError as error:
        _send(channel, "refused", {"why": str(error)})
        return
    done = frozenset(asked["done"])
    rules = list(each_rule(checkout))
    _send(
        channel,
        "found",
        {
            "rules": [name for name, _ in rules],
            "broken": [asdict(Failure(rule=one.id, test=None, why=one.message)) for one in checkout.problems],
            "not_run": [asdict(Left(rule=one.id, why=one.reason)) for one in checkout.not_run],
        },
    )
    for name, test in rules:
        if name not in done:
            _send(channel, "begin", {"rule": name})
            outcome = test()
            _send(channel, "done", asdict(outcome) | {"rule": name})
    _send(channel, "end", {})


def _send(channel: Channel, kind: str, told: object) -> None:
    channel.send(kind, json.dumps(told).encode("utf-8", "replace"))
