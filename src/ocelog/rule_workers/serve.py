"""How a child answers its parent: what each of the two workers has in common."""

import json
from collections.abc import Callable
from importlib import import_module

from ocelog.rule_workers.wire import LONGEST_TEXT
from ocelog.sandbox.channel import Channel, Frame

# What rules usually import: of their libraries only what is there by now is sure to be found.
for _name in ("dateutil.parser", "dateutil.tz"):
    import_module(_name)


def serve(channel: Channel, answer: Callable[[Frame], bytes]) -> None:
    """Answer each frame by one of the same name, until the parent is gone."""
    while True:
        frame = channel.receive()
        try:
            told = answer(frame)
        except BaseException as error:  # noqa: BLE001 - whatever it is, the parent must hear of it
            channel.send("failed", json.dumps({"why": valid(f"failed: {type(error).__name__}: {error}")}).encode())
        else:
            channel.send(frame.kind, told)


def valid(text: str, most: int = LONGEST_TEXT) -> str:
    """Return `text` in a form that can be written down: not too long, and without halves of pairs of surrogates."""
    return text[:most].encode("utf-8", "replace").decode()
