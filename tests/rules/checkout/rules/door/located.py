import json

from door_helpers import place_of


def rule(event):
    return json.loads(place_of(event.get("address")))["country"] == "XX"
