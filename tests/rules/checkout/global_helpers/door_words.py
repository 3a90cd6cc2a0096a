from collections.abc import Mapping, Sequence

from dateutil import parser

import door_config

CALLS = []


def is_open(event):
    return event.get("state", "") == "OPEN"


def opened_year(event):
    return parser.parse(event.get("openedAt")).year


def who(event):
    CALLS.append(event.get("id"))
    person = event.get("person")
    if not isinstance(person, Mapping):
        return "<nobody>"
    return person.get("name")


def place_of(address):
    raise RuntimeError(f"would ask the network about {address}")


def is_listed(value):
    return isinstance(value, Sequence) and not isinstance(value, str)


def limit():
    return door_config.LIMIT
