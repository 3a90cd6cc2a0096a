"""What runs in the child that tests rules: their Python, with nothing in reach but what the parent sends.

The parent sends `load` (a bundle) and hears which trials there are, before any Python of a rule has run; then `try` for
each of them.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import msgspec

from ocelog.detect.bundle import Bundle
from ocelog.detect.checkout import parse_checkout
from ocelog.detect.testing import Trial, trials, untested
from ocelog.rule_workers.serve import serve, valid
from ocelog.rule_workers.wire import LONGEST_TEXT, WireFound
from ocelog.sandbox.channel import Channel, Frame
from ocelog.sandbox.kernel import Layers


class _Load(msgspec.Struct):
    nonce: int
    scope: str
    files: dict[str, bytes]
    refused: dict[str, str]
    changing: tuple[str, ...] | None


class _Try(msgspec.Struct):
    nonce: int
    number: int


def main(channel: Channel, _layers: Layers) -> None:
    """Try the rules of one bundle."""
    found: Sequence[Trial] = ()

    def answer(frame: Frame) -> bytes:
        nonlocal found
        if frame.kind == "load":
            load = msgspec.msgpack.decode(frame.payload, type=_Load)
            bundle = Bundle(root=Path(), scope=load.scope, files=load.files, refused=load.refused)
            checkout = parse_checkout(bundle, load.changing)
            found = list(trials(checkout))
            listed = [(trial.rule, trial.test) for trial in found]
            return msgspec.json.encode(WireFound(nonce=load.nonce, trials=listed, report=untested(checkout)))
        asked = msgspec.msgpack.decode(frame.payload, type=_Try)
        why = found[asked.number].run()
        return json.dumps({"nonce": asked.nonce, "why": None if why is None else valid(why, LONGEST_TEXT)}).encode()

    serve(channel, answer)
