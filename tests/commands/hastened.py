"""Commands some of whose bounds are shorter than people's, so that a test need not wait for them."""

import json
import subprocess
import sys
from collections.abc import Mapping

from commands import Ocelog

_BEGIN = """
import json, sys
from importlib import import_module
from ocelog.cli import main
bounds, *arguments = sys.argv[1:]
for name, value in json.loads(bounds).items():
    module, _, constant = name.rpartition(".")
    assert hasattr(import_module(module), constant), name
    setattr(import_module(module), constant, value)
main(arguments)
"""


def hastened(
    ocelog: Ocelog, bounds: Mapping[str, float], *arguments: str, onto: int = subprocess.PIPE
) -> "subprocess.Popen[str]":
    """Begin a whole command, with other values for these constants; what it says goes to `onto`."""
    return subprocess.Popen(
        [sys.executable, "-c", _BEGIN, json.dumps(bounds), *arguments],
        env=ocelog.environment,
        stdin=subprocess.DEVNULL,
        stdout=onto,
        stderr=onto,
        text=True,
    )
